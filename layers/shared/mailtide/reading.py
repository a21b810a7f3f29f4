"""The reader, wired once per process; each batch has an event loop and connections of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.placements import DynamoPlacements
from mailtide.adapters.dynamodb.table import Table, make_dynamodb_client
from mailtide.adapters.dynamodb.visits import DynamoVisits
from mailtide.adapters.imap import ImapServers
from mailtide.adapters.kms import KmsSecrets, make_kms_client
from mailtide.adapters.oauth2 import AccessTokens, KeptToken, make_http_client
from mailtide.adapters.s3 import S3Bucket, make_client
from mailtide.adapters.smtp import make_tls_context
from mailtide.errors import TransientError
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.days import RosterStore
from mailtide.warmup.reading.contracts import ReadMessage
from mailtide.warmup.reading.days import ReadingDays
from mailtide.warmup.reading.ports import MailboxView, MailServers
from mailtide.warmup.reading.read import ReadServices, VisitReport, read
from mailtide.warmup.settings import WarmupSettings, load_warmup_resources, load_warmup_settings
from mailtide.warmup.user_files import BucketControl

MARGIN_S = 15.0
"""Before the call's own end all visits have ended, and what they found is written down."""
_stopping = threading.Event()


@dataclass(frozen=True, slots=True)
class Process:
    """What lives as long as the process."""

    settings: WarmupSettings
    clock: ServerClock
    threads: ThreadPoolExecutor
    visits: DynamoVisits
    placements: DynamoPlacements
    ledger: DynamoLedger
    mailboxes: DynamoMailboxes
    days: ReadingDays
    control: BucketControl
    secrets: KmsSecrets
    access_tokens: dict[str, KeptToken] = field(default_factory=dict)


@cache
def process() -> Process:
    """Wired by the environment. SettingsError."""
    settings, resources = load_warmup_settings(), load_warmup_resources()
    clock = ServerClock()
    # A visit keeps a thread while it looks into its mailbox; beginnings and ends of others are not to wait for that.
    most = settings.read_concurrent + 16
    client = make_dynamodb_client(connections=most)
    kept_days = settings.metrics_retention_days
    bucket = S3Bucket(resources.bucket, make_client(connections=most))
    reads = Table(resources.required("reads_table"), client, clock)
    return Process(
        settings=settings,
        clock=clock,
        threads=ThreadPoolExecutor(most, thread_name_prefix="visits"),
        visits=DynamoVisits(reads, retention_days=kept_days),
        placements=DynamoPlacements(reads, retention_days=kept_days),
        ledger=DynamoLedger(Table(resources.ledger_table, client, clock), retention_days=kept_days),
        mailboxes=DynamoMailboxes(Table(resources.mailboxes_table, client, clock)),
        days=ReadingDays(RosterStore(bucket)),
        control=BucketControl(bucket, clock),
        secrets=KmsSecrets(make_kms_client(connections=most), resources.secrets_kms_key_id),
    )


def stop_starting() -> None:
    """From a signal's handler: visits that have begun are finished, no other is begun by this process any more."""
    _stopping.set()


@dataclass(frozen=True, slots=True)
class _Doors:
    """Mail servers that nobody is let in to once the process is to end. A `MailServers`."""

    servers: MailServers

    @asynccontextmanager
    async def room(self, mailbox: Mailbox, *, time_left_s: float) -> AsyncIterator[None]:
        """See mailtide.warmup.reading.ports.MailServers."""
        async with self.servers.room(mailbox, time_left_s=time_left_s):
            if _stopping.is_set():
                raise TransientError("This process is about to end.")
            yield

    async def prepare(self, mailbox: Mailbox, *, time_left_s: float) -> None:
        """See mailtide.warmup.reading.ports.MailServers."""
        await self.servers.prepare(mailbox, time_left_s=time_left_s)

    async def open(self, mailbox: Mailbox, *, time_left_s: float) -> MailboxView:
        """See mailtide.warmup.reading.ports.MailServers."""
        return await self.servers.open(mailbox, time_left_s=time_left_s)


def visit_all(messages: Sequence[ReadMessage], *, time_left_s: float) -> list[VisitReport]:
    """One invocation's messages, side by side; a message whose mailboxes cannot be looked up is left to the next round.

    The process may have been frozen before, so its idea of the time starts anew.
    """
    own = process()
    own.clock.forget()
    return asyncio.run(_visit(own, messages, time_left_s))


async def _visit(own: Process, messages: Sequence[ReadMessage], time_left_s: float) -> list[VisitReport]:
    async def run_blocking(call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call returns
        return await asyncio.get_running_loop().run_in_executor(own.threads, call)

    ends_ms = own.clock.monotonic_ms() + int((time_left_s - MARGIN_S) * 1000)
    timeout_s = own.settings.imap_timeout_ms / 1000
    tls = make_tls_context()
    async with make_http_client(tls, timeout_s) as http:
        servers = ImapServers(
            own.secrets,
            AccessTokens(http, own.access_tokens),
            timeout_s=timeout_s,
            max_connections=own.settings.read_concurrent,
            tls_context=tls,
            run_blocking=run_blocking,
        )
        services = ReadServices(
            visits=own.visits,
            placements=own.placements,
            ledger=own.ledger,
            mailboxes=own.mailboxes,
            days=own.days,
            servers=_Doors(servers),
            control=own.control,
            clock=own.clock,
            run_blocking=run_blocking,
        )
        found = await asyncio.gather(*(_reports(services, message, ends_ms) for message in messages))
    return [report for reports in found for report in reports]


async def _reports(services: ReadServices, message: ReadMessage, ends_ms: int) -> list[VisitReport]:
    try:
        return await read(services, message, ends_ms)
    except TransientError as error:
        return [VisitReport(name, "no_room", detail=type(error).__name__) for name in message.mailbox_ids]
