"""The sender, wired once per process; each batch has an event loop, connections and a token desk of its own."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.limits import DynamoLimits
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table, make_dynamodb_client
from mailtide.adapters.kms import KmsSecrets, make_kms_client
from mailtide.adapters.mail_queue import SqsMailQueue
from mailtide.adapters.oauth2 import AccessTokens, KeptToken, make_http_client
from mailtide.adapters.queues import make_sqs_client
from mailtide.adapters.s3 import S3Bucket, make_client
from mailtide.adapters.smtp import SmtpMailer, make_tls_context
from mailtide.warmup.attempt import SendServices
from mailtide.warmup.contracts import SendMessage
from mailtide.warmup.desk import TokenDesk
from mailtide.warmup.limits import GlobalLimits
from mailtide.warmup.pauses import HostPauses
from mailtide.warmup.send import BatchReport, Sender
from mailtide.warmup.settings import WarmupSettings, load_warmup_resources, load_warmup_settings
from mailtide.warmup.user_files import BucketControl, BucketTemplates

_stopping = threading.Event()


@dataclass(frozen=True, slots=True)
class Process:
    """What lives as long as the process."""

    settings: WarmupSettings
    clock: ServerClock
    threads: ThreadPoolExecutor
    ledger: DynamoLedger
    mailboxes: DynamoMailboxes
    limits: DynamoLimits
    secrets: KmsSecrets
    templates: BucketTemplates
    control: BucketControl
    queue: SqsMailQueue
    pauses: HostPauses
    access_tokens: dict[str, KeptToken] = field(default_factory=dict)


@cache
def process() -> Process:
    """Wired by the environment. SettingsError."""
    settings, resources = load_warmup_settings(), load_warmup_resources()
    clock = ServerClock()
    # Each lane has at most one call under way; the limits have users' updates side by side besides.
    most = settings.max_concurrent + 16
    threads = ThreadPoolExecutor(most, thread_name_prefix="tables")
    client = make_dynamodb_client(connections=most)
    bucket = S3Bucket(resources.bucket, make_client(connections=most))
    limits = DynamoLimits(
        Table(resources.limits_table, client, clock),
        GlobalLimits(hour=settings.global_hourly_limit, minute=settings.global_minute_limit),
        user_hourly_limit=settings.user_hourly_limit,
        executor=ThreadPoolExecutor(16, thread_name_prefix="limits"),
    )
    return Process(
        settings=settings,
        clock=clock,
        threads=threads,
        ledger=DynamoLedger(
            Table(resources.ledger_table, client, clock), retention_days=settings.metrics_retention_days
        ),
        mailboxes=DynamoMailboxes(Table(resources.mailboxes_table, client, clock)),
        limits=limits,
        secrets=KmsSecrets(make_kms_client(connections=most), resources.secrets_kms_key_id),
        templates=BucketTemplates(bucket, clock),
        control=BucketControl(bucket, clock),
        queue=SqsMailQueue(make_sqs_client(connections=most), resources),
        pauses=HostPauses(clock.monotonic_ms),
    )


def stop_starting() -> None:
    """From a signal's handler: mails that are claimed are finished, no other is begun by this process any more."""
    _stopping.set()


def send_batch(messages: Sequence[SendMessage], *, time_left_s: float) -> BatchReport:
    """One invocation's messages. The process may have been frozen before, so its idea of the time starts anew."""
    own = process()
    own.clock.forget()
    return asyncio.run(_send(own, messages, time_left_s))


async def _send(own: Process, messages: Sequence[SendMessage], time_left_s: float) -> BatchReport:
    async def run_blocking(call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call returns
        return await asyncio.get_running_loop().run_in_executor(own.threads, call)

    timeout_s = own.settings.smtp_timeout_ms / 1000
    async with make_http_client(make_tls_context(), timeout_s) as http:
        mailer = SmtpMailer(
            own.secrets,
            AccessTokens(http, own.access_tokens),
            timeout_s=timeout_s,
            host_concurrency=max(1, own.settings.max_concurrent * 4 // 5),
            run_blocking=run_blocking,
        )
        services = SendServices(
            ledger=own.ledger,
            mailboxes=own.mailboxes,
            mailer=mailer,
            templates=own.templates,
            clock=own.clock,
            desk=TokenDesk(own.limits, own.clock, run_blocking),
            pauses=own.pauses,
            run_blocking=run_blocking,
            settings=own.settings,
        )
        sender = Sender(services, own.queue, own.control, is_stopping=_stopping.is_set)
        return await sender.send_batch(messages, time_left_s=time_left_s)
