"""read_mailboxes: one visit to each mailbox of a message, side by side, each within its time.

A visit that fails leaves what it has done so far, and a back-off; it fails no other.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Literal

from mailtide.contracts import new_token
from mailtide.errors import NotFoundError, TransientError
from mailtide.warmup.contracts import Mailbox, MailboxStatus, day_of
from mailtide.warmup.desk import RunBlocking
from mailtide.warmup.mail_ports import Control, KeyRefusedError
from mailtide.warmup.ports import Ledger, WarmupClock
from mailtide.warmup.reading.contracts import Failure, ReadMessage, VisitState
from mailtide.warmup.reading.days import ReadingDays
from mailtide.warmup.reading.expected import Expectations, Waiting
from mailtide.warmup.reading.look import LEAST_LEFT_S, Findings, FolderLook
from mailtide.warmup.reading.ports import Directory, MailboxView, MailServers, Placements, VisitFailedError, Visits

VISIT_MAX_MS = 90_000
"""A visit has at most so long; what is left over is read by the next one."""
LOGIN_BACK_OFF_MS = 3_600_000
"""After a refused login, doubled each time: providers lock mailboxes whose password is tried too often."""
BACK_OFF_MS = 300_000
"""After any other failure, doubled each time."""
LONGEST_BACK_OFF_MS = 86_400_000
USUAL_FAILED_SHARE = 0.2
FAILED_EXCESS = "failed_excess"
NOT_READ: frozenset[MailboxStatus] = frozenset({"paused", "disconnected"})
"""A person has stopped it, or its login does not work anyway."""

type End = Literal["visited", "unfinished", "failed", "busy", "no_room", "key_refused", "not_read", "stale", "lost"]
"""`unfinished`: the next visit goes on from there. `busy`: another visit has the mailbox, or it backs off.
`no_room`: its host had no connection free in time, or the tables were away. `key_refused`: KMS refuses the key of all secrets;
nothing is kept, since no mailbox is at fault. `not_read`: it has no IMAP server, was stopped by
somebody or is gone. `stale`: the next round of visits has begun. `lost`: another visit took over; nothing is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadServices:
    """The ports and the rules of the reader. `days` keeps what it has read: one for the process."""

    visits: Visits
    placements: Placements
    ledger: Ledger
    mailboxes: Directory
    days: ReadingDays
    servers: MailServers
    control: Control
    clock: WarmupClock
    run_blocking: RunBlocking


@dataclass(frozen=True, slots=True)
class VisitReport:
    """What became of one visit."""

    mailbox_id: str
    end: End
    failure: Failure | None = None
    detail: str = ""
    """The class of an error that nobody expected."""
    looked_at: int = 0
    inbox: int = 0
    junk: int = 0
    marked: int = 0
    rescued: int = 0
    settled: int = 0
    missing: int = 0
    filed: int = 0
    """Found in another folder after an hour."""
    reports: int = 0


async def read(services: ReadServices, message: ReadMessage, deadline_monotonic_ms: int) -> list[VisitReport]:
    """Visit every mailbox of the message; what happens to one visit is in its report.

    deadline_monotonic_ms: by then every visit has ended. TransientError when the mailboxes cannot be read.
    """
    if services.clock.now_ms() >= message.until_ms:
        return [VisitReport(mailbox_id, "stale") for mailbox_id in message.mailbox_ids]
    found = await services.run_blocking(lambda: services.mailboxes.get_many(message.mailbox_ids))
    asked = dict.fromkeys(message.mailbox_ids)
    gone = [VisitReport(mailbox_id, "not_read") for mailbox_id in asked if mailbox_id not in found]
    visits = [visit(services, found[name], message, deadline_monotonic_ms) for name in asked if name in found]
    return [*await asyncio.gather(*visits), *gone]


async def visit(
    services: ReadServices, mailbox: Mailbox, message: ReadMessage, deadline_monotonic_ms: int
) -> VisitReport:
    """One visit, once its host has room for it; never raises."""
    if mailbox.imap is None or mailbox.status in NOT_READ:
        return VisitReport(mailbox.mailbox_id, "not_read")
    left_s = (deadline_monotonic_ms - services.clock.monotonic_ms()) / 1000
    try:
        async with services.servers.room(mailbox, time_left_s=left_s - LEAST_LEFT_S):
            flags = await services.run_blocking(services.control.flags)
            if flags.stops(mailbox.user_id):
                return VisitReport(mailbox.mailbox_id, "not_read")
            return await _Visit(services, mailbox, message, deadline_monotonic_ms).carry_out()
    except KeyRefusedError:
        return VisitReport(mailbox.mailbox_id, "key_refused")
    except TransientError:
        return VisitReport(mailbox.mailbox_id, "no_room")
    except Exception as error:  # noqa: BLE001 - what a table says of one visit must not take the others with it
        return VisitReport(mailbox.mailbox_id, "failed", "tables", type(error).__name__)


class _Visit:
    """One visit under way."""

    def __init__(self, services: ReadServices, mailbox: Mailbox, message: ReadMessage, deadline_ms: int) -> None:
        self._services = services
        self._mailbox = mailbox
        self._message = message
        self._ends_ms = min(deadline_ms, services.clock.monotonic_ms() + VISIT_MAX_MS)

    async def carry_out(self) -> VisitReport:
        """KeyRefusedError, TransientError: it has not begun, since secret or lease cannot be asked for."""
        mailbox_id, token, visits = self._mailbox.mailbox_id, new_token(), self._services.visits
        now_ms = self._services.clock.now_ms()
        if now_ms >= self._message.until_ms or self._time_left_s() < LEAST_LEFT_S:
            return VisitReport(mailbox_id, "stale")
        await self._services.servers.prepare(self._mailbox, time_left_s=self._time_left_s())
        access = access_of(self._mailbox)
        state: VisitState | None = await self._blocking(
            lambda: visits.begin(mailbox_id, token, now_ms=now_ms, access=access)
        )
        if state is None:
            return VisitReport(mailbox_id, "busy")
        if state.access != access:
            state = replace(state, access=access, failures=0)
        look = FolderLook(self._services, self._mailbox, state, day_of(now_ms), self._time_left_s)
        waiting, failure, detail = await self._outcome(look, state)
        left = self._left(state, look.findings, waiting, failure)
        end = _end(look.findings, failure)
        try:
            if not await self._blocking(lambda: visits.end(left, token)):
                end = "lost"
        except TransientError:
            end = "lost"
        return _report(mailbox_id, end, look.findings, waiting, failure, detail)

    async def _outcome(self, look: FolderLook, state: VisitState) -> tuple[Waiting | None, Failure | None, str]:
        """What is awaited after a look into everything, or why there was none."""
        try:
            view = await self._services.servers.open(self._mailbox, time_left_s=self._time_left_s())
            try:
                return await self._blocking(lambda: self._look(look, state, view)), None, ""
            finally:
                await self._blocking(view.close)
        except VisitFailedError as failed:
            return None, failed.failure, ""
        except (TransientError, NotFoundError) as error:
            return None, "tables", type(error).__name__
        except Exception as error:  # noqa: BLE001 - whatever a mailbox holds, the others are visited
            return None, "error", type(error).__name__

    def _look(self, look: FolderLook, state: VisitState, view: MailboxView) -> Waiting | None:
        look.run(view)
        if not look.findings.is_complete:
            return None
        since = look.since

        may_search = True

        def is_elsewhere(message_id: str) -> bool | None:
            nonlocal may_search
            if not may_search or self._time_left_s() < LEAST_LEFT_S:
                return None
            try:
                return view.is_elsewhere(message_id, since)
            except VisitFailedError:
                # Inbox and junk were read: a slow search through all the rest is no reason to leave the mailbox in peace.
                may_search = False
                return None

        expectations = Expectations(self._services, self._mailbox)
        # What comes while the look goes on is seen by the next one: the moment is that of the end.
        return expectations.check(state, look.findings.found, self._services.clock.now_ms(), is_elsewhere)

    def _left(
        self, state: VisitState, findings: Findings, waiting: Waiting | None, failure: Failure | None
    ) -> VisitState:
        """What the next visit begins with."""
        found = {str(send_id) for send_id in findings.found}
        failures = 0 if failure is None else state.failures + (failure != "tables")
        return VisitState(
            mailbox_id=state.mailbox_id,
            cursors=findings.cursors,
            awaited=waiting.awaited if waiting else {n: at for n, at in state.awaited.items() if n not in found},
            unsent=waiting.unsent if waiting else state.unsent - found,
            unsettled=findings.unsettled,
            looked_until_ms=waiting.until_ms if waiting else state.looked_until_ms,
            access=state.access,
            failures=failures,
            failure=failure,
            not_before_ms=self._services.clock.now_ms() + back_off_ms(failure, failures) if failure else 0,
        )

    def _time_left_s(self) -> float:
        return (self._ends_ms - self._services.clock.monotonic_ms()) / 1000

    async def _blocking(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call returns
        return await self._services.run_blocking(call)


def access_of(mailbox: Mailbox) -> str:
    """See VisitState: a mended password is tried at once, whatever the pause after the old one was."""
    server = mailbox.imap.model_dump_json() if mailbox.imap else ""
    return blake2b((server + mailbox.auth.model_dump_json()).encode(), digest_size=8).hexdigest()


def back_off_ms(failure: Failure, failures: int) -> int:
    """How long a mailbox is left in peace after so many failures in a row."""
    first_ms = LOGIN_BACK_OFF_MS if failure == "login" else BACK_OFF_MS
    return int(min(first_ms * 2 ** min(max(failures - 1, 0), 20), LONGEST_BACK_OFF_MS))


def failed_excess(ends: Mapping[End, int]) -> float:
    """Failed visits beyond a fifth of those that ended, below 0 when fewer failed.

    Its sum over half an hour says whether visits fail in numbers: few cannot reach a threshold, however few visits there are.
    """
    failed = ends.get("failed", 0)
    return failed - USUAL_FAILED_SHARE * (failed + ends.get("visited", 0) + ends.get("unfinished", 0))


def _end(findings: Findings, failure: Failure | None) -> End:
    if failure is not None:
        return "failed"
    return "visited" if findings.is_complete else "unfinished"


def _report(
    mailbox_id: str, end: End, findings: Findings, waiting: Waiting | None, failure: Failure | None, detail: str
) -> VisitReport:
    return VisitReport(
        mailbox_id,
        end,
        failure,
        detail,
        looked_at=findings.looked_at,
        inbox=findings.inbox,
        junk=findings.junk,
        marked=findings.marked,
        rescued=findings.rescued,
        settled=findings.settled,
        missing=waiting.missing if waiting else 0,
        filed=waiting.filed if waiting else 0,
        reports=findings.reports,
    )
