"""The send protocol as a state space: two workers, copies of a message, any crash, any lost answer, takeovers, late workers.

The ledger's transitions are those of mailtide.warmup.ledger itself. Everything else is written down here as the smallest thing
that can go wrong in the same ways: a queue that delivers copies at any time, workers that die or freeze between any two steps,
answers that are lost before or after they took effect, expiry at any moment, a mail server that accepts and does not say so, one
limit window that may roll over at any moment.

A mutation breaks one rule; `explore` must then find a state that breaks an invariant.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Literal, NamedTuple

from mailtide.warmup import ledger as rules
from mailtide.warmup.contracts import LedgerKey, RoundState
from mailtide.warmup.ledger import LedgerItem, RoundEntry
from mailtide.warmup.ports import Claim, ClaimAnswer, Outcome

type Mutation = Literal[
    "",
    "takeover_of_data",
    "token_from_message",
    "data_without_token",
    "give_back_without_token",
    "unknown_given_back",
    "resend_after_lost_answer",
    "no_data_mark",
    "data_after_refusal",
    "limit_not_rechecked",
    "limit_read_then_write",
    "give_back_before_refusal",
]
MUTATIONS: tuple[Mutation, ...] = (
    "takeover_of_data",
    "token_from_message",
    "data_without_token",
    "give_back_without_token",
    "unknown_given_back",
    "resend_after_lost_answer",
    "no_data_mark",
    "data_after_refusal",
    "limit_not_rechecked",
    "limit_read_then_write",
    "give_back_before_refusal",
)

KEY = LedgerKey(date(2026, 11, 21), 0, "box")
NOW = 0
"""The model's clock stands still: a claim expires by an event of its own, at any moment."""
OUTCOMES: dict[str, Outcome] = {"sent": "sent", "failed": "failed", "unknown": "unknown"}
HANDLINGS = 5
"""Deliveries of the message in one history: first, copy, redeliveries."""
MAX_TRIES = 2
LIMIT = 1
"""Starts in one window."""
WINDOWS = 2

type Step = Literal["idle", "claim", "tokens", "start", "mark", "data", "record", "back", "ack"]


class Worker(NamedTuple):
    """One process. `token` names its handling; `window`: of the limit token that it holds."""

    step: Step = "idle"
    token: int = 0
    window: int = -1
    outcome: str = ""
    """What it is about to write down."""
    seen: int = -1
    """What it read of the counter (only a broken limit reads before it writes)."""


class Round(NamedTuple):
    """A ledger item with one round."""

    entry: RoundEntry | None = None
    used: int = 0
    sent: int = 0
    unknown: int = 0
    tries: int = 0


class State(NamedTuple):
    """Everything that matters. Messages are as good as each other: only their number counts."""

    item: Round
    workers: tuple[Worker, Worker]
    queued: int = 2
    """Copies that a worker may receive."""
    handlings: int = 0
    accepted: int = 0
    """Times that the mail server has accepted the mail."""
    window: int = 0
    taken: int = 0
    """Tokens of the present window."""
    starts: int = 0
    """Sends that began in the present window."""


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold, and the way there."""

    what: str
    trace: tuple[str, ...]


@dataclass(frozen=True)
class Explored:
    """What a search found."""

    states: int
    violation: Violation | None


def explore(mutation: Mutation = "", *, max_states: int = 3_000_000) -> Explored:
    """Breadth first through every state. Stops at the first violation, whose trace is then a shortest one."""
    start = State(Round(), (Worker(), Worker()))
    seen: dict[State, tuple[State, str] | None] = {_canonical(start): None}
    waiting = deque([_canonical(start)])
    while waiting:
        state = waiting.popleft()
        for label, reached in successors(state, mutation):
            after = _canonical(reached)
            if after in seen:
                continue
            seen[after] = (state, label)
            waiting.append(after)
            broken = broken_invariant(after)
            if broken:
                return Explored(len(seen), Violation(broken, _trace(seen, state, label)))
        if len(seen) > max_states:
            raise AssertionError("the state space is larger than it should be")
    return Explored(len(seen), None)


def broken_invariant(state: State) -> str:
    """Which invariant a state breaks, as a sentence; empty when none."""
    item = state.item
    entry = item.entry
    held = entry is not None and entry.state not in {RoundState.FAILED, RoundState.MISSED}
    if state.accepted > 1:
        return "the mail was accepted twice"
    if state.starts > LIMIT:
        return "more sends began in a window than its limit allows"
    if item.used != int(held):
        return "the counts of the ledger do not fit its rounds"
    if entry is not None and entry.state == RoundState.SENT and not state.accepted:
        return "the ledger says sent, and nothing was"
    if entry is not None and entry.state == RoundState.FAILED and state.accepted:
        return "the ledger says failed, and it was sent"
    if entry is None and state.accepted:
        return "a mail that was accepted may be claimed again"
    return ""


def successors(state: State, mutation: Mutation) -> Iterator[tuple[str, State]]:
    """Every event that may come next."""
    for number in (0, 1):
        worker = state.workers[number]
        if worker.step == "idle":
            yield from _receive(state, number, mutation)
            continue
        yield "dies", _with(state, number, Worker(), queued=state.queued + 1)
        yield from STEPS[worker.step](state, number, mutation)
    yield from _time_passes(state, mutation)


def _time_passes(state: State, mutation: Mutation) -> Iterator[tuple[str, State]]:
    entry = state.item.entry
    if entry is not None and entry.state in rules.IN_FLIGHT and entry.expires_ms > NOW:
        old = state.item._replace(entry=replace(entry, expires_ms=-1))
        yield "the claim expires", state._replace(item=old)
    expired = _expired(state.item)
    if expired != state.item:
        yield "a tick finds expired data", state._replace(item=expired)
    if mutation == "unknown_given_back" and entry is not None and entry.state == RoundState.UNKNOWN:
        yield "unknown is given back", state._replace(item=Round(tries=state.item.tries))
    if state.window + 1 < WINDOWS:
        yield "the window ends", state._replace(window=state.window + 1, taken=0, starts=0)


def _receive(state: State, number: int, mutation: Mutation) -> Iterator[tuple[str, State]]:
    if not state.queued or state.handlings >= HANDLINGS:
        return
    token = 1 if mutation == "token_from_message" else state.handlings + 1
    received = state._replace(queued=state.queued - 1, handlings=state.handlings + 1)
    yield "receives", _with(received, number, Worker("claim", token))


def _claim(state: State, number: int, mutation: Mutation) -> Iterator[tuple[str, State]]:
    worker = state.workers[number]
    item, held = _claimed(state.item, worker.token, mutation == "takeover_of_data")
    yield "claims, the answer is lost", state._replace(item=item)
    if held:
        yield "claims", _with(state._replace(item=item), number, worker._replace(step="tokens"))
    else:
        yield "is refused", _with(state, number, worker._replace(step="ack"))


def _tokens(state: State, number: int, mutation: Mutation) -> Iterator[tuple[str, State]]:
    worker = state.workers[number]
    if mutation == "limit_read_then_write" and worker.seen < 0:
        yield "reads the counter", _with(state, number, worker._replace(seen=state.taken))
        return
    used = worker.seen if mutation == "limit_read_then_write" else state.taken
    if used < LIMIT:
        taken = state._replace(taken=used + 1)
        got = worker._replace(step="start", window=state.window, seen=-1)
        yield "takes a token", _with(taken, number, got)
        yield "takes a token, the answer is lost", _with(taken, number, worker._replace(seen=-1))
    else:
        yield "gets no token", _with(state, number, worker._replace(step="back", outcome="limit", seen=-1))


def _start(state: State, number: int, mutation: Mutation) -> Iterator[tuple[str, State]]:
    """Connection, the last look at the token, MAIL FROM and RCPT TO."""
    worker = state.workers[number]
    if worker.window != state.window and mutation != "limit_not_rechecked":
        yield "forfeits its token", _with(state, number, worker._replace(step="tokens", window=-1))
        return
    started = state._replace(starts=state.starts + 1)
    after: Step = "data" if mutation == "no_data_mark" else "mark"
    yield "starts", _with(started, number, worker._replace(step=after))
    yield "is refused before DATA", _with(started, number, worker._replace(step="back", outcome="refused"))
    yield "is refused for good", _with(started, number, worker._replace(step="record", outcome="failed"))


def _mark(state: State, number: int, mutation: Mutation) -> Iterator[tuple[str, State]]:
    worker = state.workers[number]
    item, is_own = _begun(state.item, worker.token, mutation == "data_without_token")
    yield "marks data, the answer is lost", state._replace(item=item)
    if is_own:
        yield "marks data", _with(state._replace(item=item), number, worker._replace(step="data"))
    elif mutation == "data_after_refusal":
        yield "goes on without the mark", _with(state, number, worker._replace(step="data"))
    else:
        yield "has lost its claim", _with(state, number, worker._replace(step="ack"))


def _data(state: State, number: int, mutation: Mutation) -> Iterator[tuple[str, State]]:
    worker = state.workers[number]
    accepted = state._replace(accepted=state.accepted + 1)
    yield "is accepted", _with(accepted, number, worker._replace(step="record", outcome="sent"))
    no_answer: Worker = worker._replace(step="record", outcome="unknown")
    if mutation == "resend_after_lost_answer":
        no_answer = worker._replace(step="back", outcome="refused")
    yield "is accepted, the answer is lost", _with(accepted, number, no_answer)
    yield "is not accepted, the answer is lost", _with(state, number, no_answer)
    if mutation == "give_back_before_refusal":
        yield "gives back before the answer", _with(accepted, number, worker._replace(step="back", outcome="refused"))
    yield "is refused after DATA", _with(state, number, worker._replace(step="back", outcome="refused"))
    yield "is refused for good after DATA", _with(state, number, worker._replace(step="record", outcome="failed"))


def _record(state: State, number: int, _mutation: Mutation) -> Iterator[tuple[str, State]]:
    worker = state.workers[number]
    outcome = OUTCOMES[worker.outcome]
    item = _finished(state.item, worker.token, outcome)
    yield "writes the outcome, the answer is lost", state._replace(item=item)
    yield "writes the outcome", _with(state._replace(item=item), number, worker._replace(step="ack"))


def _back(state: State, number: int, mutation: Mutation) -> Iterator[tuple[str, State]]:
    """The claim is given back, a new message is queued (when the claim still was one's own), the old one acknowledged."""
    worker = state.workers[number]
    item = _returned(state.item, worker.token, worker.outcome == "refused", mutation == "give_back_without_token")
    given = state._replace(item=item)
    yield "gives back, the answer is lost", given
    yield "gives back", _with(given, number, worker._replace(step="ack"))
    if state.queued < 2:
        yield (
            "gives back and queues anew",
            _with(given._replace(queued=state.queued + 1), number, worker._replace(step="ack")),
        )


def _ack(state: State, number: int, _mutation: Mutation) -> Iterator[tuple[str, State]]:
    yield "acknowledges", _with(state, number, Worker())
    yield "acknowledges in vain", _with(state, number, Worker(), queued=state.queued + 1)


STEPS: dict[str, Callable[[State, int, Mutation], Iterator[tuple[str, State]]]] = {
    "claim": _claim,
    "tokens": _tokens,
    "start": _start,
    "mark": _mark,
    "data": _data,
    "record": _record,
    "back": _back,
    "ack": _ack,
}


def _freeze(item: LedgerItem) -> Round:
    return Round(item.entry(0), item.used, item.sent, item.unknown, min(item.tries.get(0, 0), MAX_TRIES))


def _thaw(held: Round) -> LedgerItem:
    return LedgerItem(
        key=KEY,
        used=held.used,
        sent=held.sent,
        unknown=held.unknown,
        rounds={0: held.entry} if held.entry else {},
        tries={0: held.tries} if held.tries else {},
    )


def _by(token: int) -> Claim:
    return Claim(KEY, 0, f"{token:012x}")


@cache
def _claimed(held: Round, token: int, takes_data: bool) -> tuple[Round, bool]:
    item = _thaw(held)
    if takes_data and held.entry and rules.is_expired(held.entry, RoundState.DATA, NOW):
        item = replace(item, rounds={0: replace(held.entry, state=RoundState.SENDING)})
    item, answer = rules.claim_round(item, _by(token), target=1, now_ms=NOW, next_ok_ms=0, day_end_ms=1)
    return (_freeze(item), True) if answer.outcome == "held" else (held, False)


@cache
def _begun(held: Round, token: int, any_token: bool) -> tuple[Round, bool]:
    if any_token and held.entry and held.entry.state in rules.IN_FLIGHT:
        token = int(held.entry.token, 16)
    item, is_own = rules.begin_data(_thaw(held), _by(token), now_ms=NOW, next_ok_ms=0)
    return _freeze(item), is_own


@cache
def _finished(held: Round, token: int, outcome: Outcome) -> Round:
    return _freeze(rules.finish(_thaw(held), _by(token), outcome)[0])


@cache
def _returned(held: Round, token: int, refused: bool, any_token: bool) -> Round:
    if any_token and held.entry and held.entry.state in rules.IN_FLIGHT:
        token, refused = int(held.entry.token, 16), True
    return _freeze(rules.give_back(_thaw(held), _by(token), ClaimAnswer("held"), refused=refused)[0])


@cache
def _expired(held: Round) -> Round:
    return _freeze(rules.expire(_thaw(held), NOW))


def _with(state: State, number: int, worker: Worker, *, queued: int | None = None) -> State:
    item, (first, second), waiting, *rest = state
    workers = (worker, second) if number == 0 else (first, worker)
    return State(item, workers, waiting if queued is None else queued, *rest)


def _canonical(state: State) -> State:
    """Workers are as good as each other."""
    first, second = state.workers
    return state if first <= second else state._replace(workers=(second, first))


def _trace(seen: dict[State, tuple[State, str] | None], state: State, last: str) -> tuple[str, ...]:
    steps = [last]
    before = seen[state]
    while before is not None:
        steps.append(before[1])
        before = seen[before[0]]
    return tuple(reversed(steps))
