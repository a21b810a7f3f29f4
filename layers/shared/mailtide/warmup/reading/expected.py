"""Mails that a mailbox should have got: from being due over being sent to being found, or missing an hour later.

Counted are the slots of the day's plan. Replies and rounds that make good for failed ones are recorded where they are found, but
nobody waits for them. Before a mail is called missing it is searched for by its Message-ID in the other folders: where a person
or a rule has filed it, it counts as one that came to the inbox.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, timedelta

from mailtide.warmup.contracts import DAY_MS, LedgerKey, Mailbox, RoundState, day_of, day_start_ms
from mailtide.warmup.ids import SendId, message_id
from mailtide.warmup.reading.contracts import Placement, Verdict, VisitState
from mailtide.warmup.reading.look import LookServices

type IsElsewhere = Callable[[str], bool | None]
"""Whether a mail with this Message-ID lies in another folder; None when the time is not enough to look."""

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
    filed: int
    """Found in another folder."""


class Expectations:
    """One visit's questions about what should have come."""

    def __init__(self, services: LookServices, mailbox: Mailbox) -> None:
        self._services = services
        self._mailbox = mailbox

    def check(self, state: VisitState, found: set[SendId], now_ms: int, is_elsewhere: IsElsewhere) -> Waiting:
        """After every folder was looked into. NotFoundError, TransientError, and what `is_elsewhere` raises."""
        today = day_of(now_ms)
        yesterday = today - timedelta(days=1)
        known = {name: SendId.parse(name) for name in (*state.awaited, *state.unsent)}
        # What is older was counted long ago, and its roster is not worth reading.
        recent = {name for name, send_id in known.items() if send_id.day >= yesterday and send_id not in found}
        awaited = {name: at_ms for name, at_ms in state.awaited.items() if name in recent}
        unsent: set[str] = set()
        candidates = {known[name] for name in recent & state.unsent}
        for send_id in (candidates | self._newly_due(state, (yesterday, today), now_ms)) - found:
            state_now = self._state(send_id)
            if state_now == RoundState.SENT:
                awaited.setdefault(str(send_id), now_ms)
            elif state_now in _NOT_YET and now_ms < day_start_ms(send_id.day) + DAY_MS + GIVE_UP_MS:
                unsent.add(str(send_id))
        overdue = {name: SendId.parse(name) for name, at_ms in awaited.items() if now_ms - at_ms >= MISSING_AFTER_MS}
        seen = self._seen(overdue.values())
        awaited = {name: at_ms for name, at_ms in awaited.items() if overdue.get(name) not in seen}
        judged: dict[str, Verdict] = {}
        for name in sorted(overdue.keys() & awaited.keys()):
            verdict = self._judge(overdue[name], is_elsewhere)
            if verdict is not None:
                judged[name] = verdict
        left = sorted((at_ms, name) for name, at_ms in awaited.items() if name not in judged)
        return Waiting(
            {name: at_ms for at_ms, name in left[:MAX_WAITING]},
            frozenset(sorted(unsent)[-MAX_WAITING:]),
            # While the new day has no roster, nobody knows what is due on it.
            now_ms if self._services.days.get(today) else min(now_ms, day_start_ms(today)),
            sum(verdict == "missing" for verdict in judged.values()),
            sum(verdict == "inbox" for verdict in judged.values()),
        )

    def _seen(self, send_ids: Collection[SendId]) -> set[SendId]:
        """Those that an earlier visit has found, one that did not come to its end."""
        keys = {send_id: key for send_id in send_ids if (key := self._key(send_id))}
        days = self._services.placements.read_many(set(keys.values())) if keys else {}
        verdicts = {send_id: days[key].placements.get(send_id.round) for send_id, key in keys.items() if key in days}
        return {send_id for send_id, placement in verdicts.items() if placement and placement.verdict != "missing"}

    def _judge(self, send_id: SendId, is_elsewhere: IsElsewhere) -> Verdict | None:
        """Where a mail is that did not come in an hour; None while nobody could look."""
        key = self._key(send_id)
        sender = self._services.mailboxes.get_many([send_id.mailbox_id]).get(send_id.mailbox_id)
        is_filed = is_elsewhere(message_id(send_id, sender.domain)) if sender else False
        if is_filed is None:
            return None
        verdict: Verdict = "inbox" if is_filed else "missing"
        if key is not None:
            self._services.placements.record(key, {send_id.round: Placement(verdict, self._mailbox.provider)})
        return verdict

    def _newly_due(self, state: VisitState, days: tuple[date, date], now_ms: int) -> set[SendId]:
        """Due since the last look. What was due before the first visit is nobody's concern."""
        found: set[SendId] = set()
        for date_ in days if state.looked_until_ms else ():
            is_over = state.looked_until_ms >= day_start_ms(date_) + DAY_MS
            day = None if is_over else self._services.days.get(date_)
            if day is not None:
                found |= set(day.expected(self._mailbox.mailbox_id, state.looked_until_ms, now_ms))
        return found

    def _state(self, send_id: SendId) -> RoundState | None:
        key = self._key(send_id)
        if key is None:
            return None
        view = self._services.ledger.read(key)
        return view.state(send_id.round) if view else RoundState.UNTAKEN

    def _key(self, send_id: SendId) -> LedgerKey | None:
        day = self._services.days.get(send_id.day)
        return day.key(send_id.mailbox_id) if day else None
