"""The reader, wired once per process; each batch has an event loop and connections of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from mailtide.adapters.dynamodb.placements import DynamoPlacements
from mailtide.adapters.dynamodb.visits import DynamoVisits
from mailtide.adapters.imap import ImapServers
from mailtide.adapters.mail_process import MailProcess, make_mail_process
from mailtide.adapters.oauth2 import AccessTokens, make_http_client
from mailtide.adapters.smtp import make_tls_context
from mailtide.errors import TransientError
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.days import RosterStore
from mailtide.warmup.reading.contracts import ReadMessage
from mailtide.warmup.reading.days import ReadingDays
from mailtide.warmup.reading.ports import MailboxView, MailServers
from mailtide.warmup.reading.read import ReadServices, VisitReport, read

MARGIN_S = 15.0
"""Before the call's own end all visits have ended, and what they found is written down."""
_stopping = threading.Event()


@dataclass(frozen=True, slots=True)
class Process:
    """What lives as long as the process."""

    mail: MailProcess
    visits: DynamoVisits
    placements: DynamoPlacements
    days: ReadingDays


@cache
def process() -> Process:
    """Wired by the environment. SettingsError."""
    # A visit keeps a thread while it looks into its mailbox; beginnings and ends of others are not to wait for that.
    mail = make_mail_process(lambda settings: settings.read_concurrent)
    kept_days = mail.settings.metrics_retention_days
    reads = mail.table(mail.resources.required("reads_table"))
    return Process(
        mail=mail,
        visits=DynamoVisits(reads, retention_days=kept_days),
        placements=DynamoPlacements(reads, retention_days=kept_days),
        days=ReadingDays(RosterStore(mail.bucket)),
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
    own.mail.clock.forget()
    return asyncio.run(_visit(own, messages, time_left_s))


async def _visit(own: Process, messages: Sequence[ReadMessage], time_left_s: float) -> list[VisitReport]:
    mail = own.mail
    ends_ms = mail.clock.monotonic_ms() + int((time_left_s - MARGIN_S) * 1000)
    timeout_s = mail.settings.imap_timeout_ms / 1000
    tls = make_tls_context()
    async with make_http_client(tls, timeout_s) as http:
        servers = ImapServers(
            mail.secrets,
            AccessTokens(http, mail.access_tokens),
            timeout_s=timeout_s,
            max_connections=mail.settings.read_concurrent,
            tls_context=tls,
            run_blocking=mail.run_blocking,
        )
        services = ReadServices(
            visits=own.visits,
            placements=own.placements,
            ledger=mail.ledger,
            mailboxes=mail.mailboxes,
            days=own.days,
            servers=_Doors(servers),
            control=mail.control,
            clock=mail.clock,
            run_blocking=mail.run_blocking,
        )
        found = await asyncio.gather(*(_reports(services, message, ends_ms) for message in messages))
    return [report for reports in found for report in reports]


async def _reports(services: ReadServices, message: ReadMessage, ends_ms: int) -> list[VisitReport]:
    try:
        return await read(services, message, ends_ms)
    except TransientError as error:
        return [VisitReport(name, "no_room", detail=type(error).__name__) for name in message.mailbox_ids]
