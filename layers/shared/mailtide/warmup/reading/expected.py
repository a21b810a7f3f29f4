"""Mails that a mailbox should have got: from being due over being sent to being found, or missing an hour later.

Counted are the slots of the day's plan. Replies and rounds that make good for failed ones are recorded where they are found, but
nobody waits for them.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from mailtide.warmup.contracts import DAY_MS, LedgerKey, RoundState, day_start_ms
from mailtide.warmup.ids import SendId
from mailtide.warmup.ports import Ledger
from mailtide.warmup.reading.contracts import Placement, VisitState
from mailtide.warmup.reading.days import ReadingDays
from mailtide.warmup.reading.ports import Placements

MISSING_AFTER_MS = 3_600_000
"""From when a visit first looked for it."""
GIVE_UP_MS = 1_800_000
"""After the day's end: what is under way by then has ended."""
MAX_WAITING = 300
"""Of one mailbox: ten times what a usual one gets in a day."""

_NOT_YET = {RoundState.UNTAKEN, RoundState.SENDING, RoundState.DATA}


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a visit goes on waiting for."""

    awaited: dict[str, int]
    unsent: frozenset[str]
    until_ms: int
    """Mails that were due before it have been looked for."""
    missing: int


class Expectations:
    """One visit's questions about what should have come."""

    def __init__(
        self, ledger: Ledger, placements: Placements, days: ReadingDays, mailbox_id: str, provider: str
    ) -> None:
        self._ledger = ledger
        self._placements = placements
        self._days = days
        self._mailbox_id = mailbox_id
        self._provider = provider

    def check(self, state: VisitState, found: set[SendId], today: date, now_ms: int) -> Waiting:
        """After every folder was looked into. NotFoundError, TransientError."""
        names = {str(send_id) for send_id in found}
        awaited = {name: at_ms for name, at_ms in state.awaited.items() if name not in names}
        unsent: set[str] = set()
        for send_id in self._candidates(state, today, now_ms) - found:
            state_now = self._state(send_id)
            if state_now == RoundState.SENT:
                awaited.setdefault(str(send_id), now_ms)
            elif state_now in _NOT_YET and now_ms < day_start_ms(send_id.day) + DAY_MS + GIVE_UP_MS:
                unsent.add(str(send_id))
        overdue = [name for name, at_ms in awaited.items() if now_ms - at_ms >= MISSING_AFTER_MS]
        for name in overdue:
            del awaited[name]
            self._record_missing(SendId.parse(name))
        return Waiting(
            dict(sorted(awaited.items(), key=lambda item: item[1])[:MAX_WAITING]),
            frozenset(sorted(unsent)[-MAX_WAITING:]),
            now_ms,
            len(overdue),
        )

    def _candidates(self, state: VisitState, today: date, now_ms: int) -> set[SendId]:
        """Due since the last look, or not sent by then. What was due before the first visit is nobody's concern."""
        candidates = {SendId.parse(name) for name in state.unsent}
        if not state.looked_until_ms:
            return candidates
        for day_date in (today - timedelta(days=1), today):
            if state.looked_until_ms < day_start_ms(day_date) + DAY_MS and (day := self._days.get(day_date)):
                candidates |= set(day.expected(self._mailbox_id, state.looked_until_ms, now_ms))
        return candidates

    def _state(self, send_id: SendId) -> RoundState | None:
        key = self._key(send_id)
        view = self._ledger.read(key) if key else None
        return view.state(send_id.round) if view else (RoundState.UNTAKEN if key else None)

    def _key(self, send_id: SendId) -> LedgerKey | None:
        day = self._days.get(send_id.day)
        return day.key(send_id.mailbox_id) if day else None

    def _record_missing(self, send_id: SendId) -> None:
        key = self._key(send_id)
        if key is not None:
            self._placements.record(key, {send_id.round: Placement("missing", self._provider)})
