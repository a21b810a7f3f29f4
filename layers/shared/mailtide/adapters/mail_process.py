"""What the sender and the reader of the warm-up are both wired with, once per process."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table, make_dynamodb_client
from mailtide.adapters.kms import KmsSecrets, make_kms_client
from mailtide.adapters.oauth2 import KeptToken
from mailtide.adapters.s3 import S3Bucket, make_client
from mailtide.warmup.settings import WarmupResources, WarmupSettings, load_warmup_resources, load_warmup_settings
from mailtide.warmup.user_files import BucketControl

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BESIDE = 16
"""Threads and connections beyond those of the work that goes on side by side: for what begins and ends meanwhile."""


@dataclass(frozen=True, slots=True)
class MailProcess:
    """What lives as long as the process."""

    settings: WarmupSettings
    resources: WarmupResources
    clock: ServerClock
    threads: ThreadPoolExecutor
    connections: int
    """Of each client, as many as there are threads."""
    dynamodb: "DynamoDBClient"
    bucket: S3Bucket
    ledger: DynamoLedger
    mailboxes: DynamoMailboxes
    control: BucketControl
    secrets: KmsSecrets
    access_tokens: dict[str, KeptToken] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """One of the warm-up's tables."""
        return Table(name, self.dynamodb, self.clock)

    async def run_blocking(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call returns
        """Run it on the process's threads; a mailtide.warmup.desk.RunBlocking."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)


def make_mail_process(concurrent: Callable[[WarmupSettings], int]) -> MailProcess:
    """Wired by the environment. concurrent: how much goes on side by side. SettingsError."""
    settings, resources = load_warmup_settings(), load_warmup_resources()
    clock = ServerClock()
    most = concurrent(settings) + BESIDE
    dynamodb = make_dynamodb_client(connections=most)
    bucket = S3Bucket(resources.bucket, make_client(connections=most))
    ledger = Table(resources.ledger_table, dynamodb, clock)
    return MailProcess(
        settings=settings,
        resources=resources,
        clock=clock,
        threads=ThreadPoolExecutor(most, thread_name_prefix="blocking"),
        connections=most,
        dynamodb=dynamodb,
        bucket=bucket,
        ledger=DynamoLedger(ledger, retention_days=settings.metrics_retention_days),
        mailboxes=DynamoMailboxes(Table(resources.mailboxes_table, dynamodb, clock)),
        control=BucketControl(bucket, clock),
        secrets=KmsSecrets(make_kms_client(connections=most), resources.secrets_kms_key_id),
    )
