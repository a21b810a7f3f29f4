"""The ledger item of one mailbox and day as pure rules: what each conditional update asks and does (spec §5).

The table's adapter says the same as conditional expressions; both are held to one set of contract tests, and the state-space
model in tests/model drives these very functions. The life of a round:

    untaken ──claim──> sending ──begin_data──> data ──> sent, sent_reply
       ^                 │  ^                   │   ──> failed (also from sending)
       │                 │  └─ takeover ┐       │   ──> unknown ──> sent, sent_reply, failed: by the claim's own token,
       └────give_back────┴──────────────┴───────┘                   or settled by a later look
    expired sending: may be taken over. Expired data: unknown, never untaken again. Untaken at the day's end: missed.

`used` is sent + unknown + in flight as one number, because a condition of the table cannot add.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Literal

from mailtide.warmup.contracts import LedgerKey, LedgerView, RoundState
from mailtide.warmup.outcomes import OutcomeWindow
from mailtide.warmup.ports import CLAIM_TTL_MS, Claim, ClaimAnswer, Mark, Outcome

IN_FLIGHT = (RoundState.SENDING, RoundState.DATA)
OUTCOME_STATES: Mapping[str, RoundState] = MappingProxyType(
    {
        "sent": RoundState.SENT,
        "sent_reply": RoundState.SENT_REPLY,
        "failed": RoundState.FAILED,
        "unknown": RoundState.UNKNOWN,
    }
)
_UNTAKEN = RoundState.UNTAKEN
_NO_OUTCOMES = OutcomeWindow()
_SENT = (RoundState.SENT, RoundState.SENT_REPLY)
_UNUSED = (RoundState.UNTAKEN, RoundState.FAILED, RoundState.MISSED)
TOKEN_DIGITS = 12
"""Hexadecimal digits of a claim's token that the item keeps: 48 bits tell the few handlings of one round apart."""

type RefusalReason = Literal["busy", "done", "too_early", "quota", "day_over", "closed"]


def short_token(token: str) -> str:
    """The part of a claim's token that the item keeps."""
    return token[:TOKEN_DIGITS]


# A simulated day makes ten million of each, and a frozen dataclass takes three times as long to make. Nobody changes them.
@dataclass(slots=True, unsafe_hash=True)
class RoundEntry:
    """What the item holds of a round that is not untaken. Never changed."""

    state: RoundState
    token: str = ""
    """Of the claim that holds it, or that brought it to its end; shortened."""
    expires_ms: int = 0
    """Only in flight."""
    own_next_ok_ms: int = 0
    """What this round's claim set next_ok to; only in flight."""


@dataclass(slots=True, kw_only=True)
class LedgerItem:
    """One mailbox on one day. Never changed: each step makes a new one."""

    key: LedgerKey
    target: int = 0
    used: int = 0
    sent: int = 0
    unknown: int = 0
    next_ok_ms: int = 0
    rounds: Mapping[int, RoundEntry] = field(default_factory=dict)
    tries: Mapping[int, int] = field(default_factory=dict)
    window: OutcomeWindow | None = None
    """None until the day's first outcome, which carries on the window of the last day that had one."""
    closed: bool = False

    def entry(self, number: int) -> RoundEntry | None:
        """None while a round is untaken."""
        return self.rounds.get(number)

    def holds(self, claim: Claim, *states: RoundState) -> bool:
        """Whether the round is in one of these states under this claim's token."""
        entry = self.rounds.get(claim.round)
        return entry is not None and entry.state in states and entry.token == claim.token[:TOKEN_DIGITS]

    def view(self) -> LedgerView:
        """As dispatch, replies and metrics read it."""
        window = self.window or _NO_OUTCOMES
        states = [_UNTAKEN] * (max(self.rounds, default=-1) + 1)
        expires_ms: dict[int, int] = {}
        for number, entry in self.rounds.items():
            state = states[number] = entry.state
            if state in IN_FLIGHT:
                expires_ms[number] = entry.expires_ms
        return LedgerView(
            key=self.key,
            target=self.target,
            states="".join(states),
            sent=self.sent,
            unknown=self.unknown,
            in_flight=self.used - self.sent - self.unknown,
            next_ok_ms=self.next_ok_ms,
            tries=dict(self.tries),
            expires_ms=expires_ms,
            closed=self.closed,
            recent=window.recent,
            bounces=window.bounces,
            policy_refusals=window.policy_refusals,
        )


def refusal(item: LedgerItem, claim: Claim, *, target: int, now_ms: int, day_end_ms: int) -> RefusalReason | None:
    """Why a claim of an untaken or expired round is refused; None when it is not. The first reason that holds, in this order."""
    entry = item.entry(claim.round)
    if now_ms >= day_end_ms:
        return "day_over"
    if item.closed:
        return "closed"
    if entry is not None:
        if entry.state not in IN_FLIGHT:
            return "done"
        return None if is_expired(entry, RoundState.SENDING, now_ms) else "busy"
    if item.used >= target:
        return "quota"
    return "too_early" if now_ms < item.next_ok_ms else None


def is_expired(entry: RoundEntry, state: RoundState, now_ms: int) -> bool:
    """Whether a claim in this state has outlived its expiry."""
    return entry.state == state and entry.expires_ms <= now_ms


def claim_round(
    item: LedgerItem, claim: Claim, *, target: int, now_ms: int, next_ok_ms: int, day_end_ms: int
) -> tuple[LedgerItem, ClaimAnswer]:
    """See mailtide.warmup.ports.Ledger.claim. A takeover replaces token and expiry only."""
    if item.holds(claim, RoundState.SENDING):
        return item, held_already(item, claim)
    reason = refusal(item, claim, target=target, now_ms=now_ms, day_end_ms=day_end_ms)
    if reason is not None:
        return item, ClaimAnswer("refused", reason, next_ok_ms=item.next_ok_ms)
    entry = item.entry(claim.round)
    expires_ms = now_ms + CLAIM_TTL_MS
    answer = ClaimAnswer(
        "held",
        taken_over=entry is not None,
        previous_next_ok_ms=item.next_ok_ms,
        next_ok_ms=item.next_ok_ms if entry else next_ok_ms,
        tries=item.tries.get(claim.round, 0),
    )
    if entry is not None:
        return _put(item, claim.round, replace(entry, token=short_token(claim.token), expires_ms=expires_ms)), answer
    entry = RoundEntry(RoundState.SENDING, short_token(claim.token), expires_ms, next_ok_ms)
    return _put(item, claim.round, entry, used=1, next_ok_ms=next_ok_ms, target=target), answer


def held_already(item: LedgerItem, claim: Claim) -> ClaimAnswer:
    """The answer to a request that was applied before: what next_ok was before the claim is not known any more."""
    return ClaimAnswer(
        "held",
        previous_next_ok_ms=item.next_ok_ms,
        next_ok_ms=item.next_ok_ms,
        tries=item.tries.get(claim.round, 0),
    )


def may_begin(item: LedgerItem, claim: Claim, now_ms: int) -> bool:
    """Whether `sending` may become `data`: own token, and no later claim's cooldown is still running.

    The second part makes the gap between two DATAs of a mailbox certain: a claim that waited long, or was taken over, yields to
    the one that was claimed after it.
    """
    entry = item.entry(claim.round)
    if entry is None or not item.holds(claim, RoundState.SENDING):
        return False
    return item.next_ok_ms == entry.own_next_ok_ms or item.next_ok_ms <= now_ms


def begin_data(item: LedgerItem, claim: Claim, *, now_ms: int, next_ok_ms: int) -> tuple[LedgerItem, bool]:
    """See mailtide.warmup.ports.Ledger.begin_data."""
    if item.holds(claim, RoundState.DATA):
        return item, True
    if not may_begin(item, claim, now_ms):
        return item, False
    later_ms = max(item.next_ok_ms, next_ok_ms)
    entry = RoundEntry(RoundState.DATA, short_token(claim.token), now_ms + CLAIM_TTL_MS, later_ms)
    return _put(item, claim.round, entry, next_ok_ms=later_ms), True


def states_before(outcome: Outcome) -> tuple[RoundState, ...]:
    """From which states a claim's own token may record an outcome."""
    if outcome == "failed":
        return (RoundState.DATA, RoundState.SENDING, RoundState.UNKNOWN)
    return (RoundState.DATA,) if outcome == "unknown" else (RoundState.DATA, RoundState.UNKNOWN)


@cache
def count_changes(before: RoundState, after: RoundState) -> tuple[int, int, int]:
    """What a round's way from one state to another adds to `used`, `sent` and `unknown`."""
    return (
        (after not in _UNUSED) - (before not in _UNUSED),
        (after in _SENT) - (before in _SENT),
        (after == RoundState.UNKNOWN) - (before == RoundState.UNKNOWN),
    )


def finish(
    item: LedgerItem,
    claim: Claim,
    outcome: Outcome,
    *,
    mark: Mark | None = None,
    earlier: OutcomeWindow | None = None,
) -> tuple[LedgerItem, bool]:
    """See mailtide.warmup.ports.Ledger.finish. `earlier`: the window to carry on when the day has none yet."""
    after = OUTCOME_STATES[outcome]
    if item.holds(claim, after):
        return item, True
    if not item.holds(claim, *states_before(outcome)):
        return item, False
    return _marked(_move(item, claim.round, after, short_token(claim.token)), mark, earlier), True


def give_back(
    item: LedgerItem,
    claim: Claim,
    answer: ClaimAnswer,
    *,
    refused: bool,
    next_ok_ms: int | None = None,
    mark: Mark | None = None,
    earlier: OutcomeWindow | None = None,
) -> tuple[LedgerItem, bool]:
    """See mailtide.warmup.ports.Ledger.give_back. Without `refused` only from `sending`: nothing was offered to a server.

    What next_ok was before comes back only from `sending`: after DATA the gap counts, whatever the server said.
    """
    states = (RoundState.SENDING, RoundState.DATA) if refused else (RoundState.SENDING,)
    entry = item.entry(claim.round)
    if entry is None:
        return item, True
    if not item.holds(claim, *states):
        return item, False
    restores = entry.state == RoundState.SENDING and not answer.taken_over
    earlier_ms = answer.previous_next_ok_ms if restores else item.next_ok_ms
    back_ms = earlier_ms if next_ok_ms is None else next_ok_ms
    tries = {**item.tries, claim.round: item.tries.get(claim.round, 0) + 1} if refused else item.tries
    is_own = item.next_ok_ms == entry.own_next_ok_ms
    given = _put(item, claim.round, None, used=-1, next_ok_ms=back_ms if is_own else None, tries=tries)
    return _marked(given, mark, earlier), True


def expire(item: LedgerItem, now_ms: int) -> LedgerItem:
    """See mailtide.warmup.ports.Ledger.expire."""
    for number, entry in item.rounds.items():
        if is_expired(entry, RoundState.DATA, now_ms):
            item = _move(item, number, RoundState.UNKNOWN, entry.token)
    return item


def settle(item: LedgerItem, number: int, outcome: Outcome) -> tuple[LedgerItem, bool]:
    """See mailtide.warmup.ports.Ledger.settle."""
    entry = item.entry(number)
    if entry is None or entry.state != RoundState.UNKNOWN:
        return item, False
    return _move(item, number, OUTCOME_STATES[outcome], entry.token), True


def close(item: LedgerItem, *, target: int, rounds: int, now_ms: int) -> LedgerItem:
    """See mailtide.warmup.ports.Ledger.close."""
    item = replace(expire(item, now_ms), target=target, closed=True)
    for number in range(rounds):
        entry = item.entry(number)
        if entry is None or is_expired(entry, RoundState.SENDING, now_ms):
            item = _move(item, number, RoundState.MISSED, "")
    return item


def _marked(item: LedgerItem, mark: Mark | None, earlier: OutcomeWindow | None) -> LedgerItem:
    if mark is None:
        return item
    window = item.window or earlier or OutcomeWindow()
    return replace(item, window=window.with_mark(mark))


def _put(
    item: LedgerItem,
    number: int,
    entry: RoundEntry | None,
    *,
    used: int = 0,
    sent: int = 0,
    unknown: int = 0,
    next_ok_ms: int | None = None,
    target: int | None = None,
    tries: Mapping[int, int] | None = None,
) -> LedgerItem:
    """The item with another entry, or without the one it had; used, sent, unknown: what is added to them.

    Written out, since dataclasses.replace takes four times as long.
    """
    rounds = dict(item.rounds)
    if entry is None:
        del rounds[number]
    else:
        rounds[number] = entry
    return LedgerItem(
        key=item.key,
        target=item.target if target is None else target,
        used=item.used + used,
        sent=item.sent + sent,
        unknown=item.unknown + unknown,
        next_ok_ms=item.next_ok_ms if next_ok_ms is None else next_ok_ms,
        rounds=rounds,
        tries=item.tries if tries is None else tries,
        window=item.window,
        closed=item.closed,
    )


def _move(item: LedgerItem, number: int, after: RoundState, token: str) -> LedgerItem:
    entry = item.rounds.get(number)
    used, sent, unknown = count_changes(entry.state if entry else RoundState.UNTAKEN, after)
    return _put(item, number, RoundEntry(after, token), used=used, sent=sent, unknown=unknown)
