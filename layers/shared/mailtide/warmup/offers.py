"""Which sends a shard offers at a tick, and when (spec §4). Pure: the day, the ledger's views and the time in, offers out.

Moments are milliseconds after 00:00 UTC of the day.
"""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from mailtide.warmup.contracts import DAY_MS, LedgerView, RoundState
from mailtide.warmup.days import Member, ShardDay
from mailtide.warmup.ids import unit
from mailtide.warmup.objects import QuotaStatus
from mailtide.warmup.replies import planned_replies
from mailtide.warmup.slots import span_ms

LAST_CALL_MS = 360_000
"""Before the day's end: a largest cooldown of 5 minutes, and one to send."""

NONE: Set[int] = frozenset()

_FREE = RoundState.UNTAKEN.value
_SENDING = RoundState.SENDING.value
_FAILED = RoundState.FAILED.value


@dataclass(frozen=True, slots=True)
class Tick:
    """The part of the day that is being dispatched, and when that happens."""

    start_ms: int
    end_ms: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class Offer:
    """One send to be queued."""

    member: Member
    round: int
    due_ms: int
    weight: float
    extra: bool = False


@dataclass(frozen=True, slots=True)
class _Wish:
    """A round that is to be put somewhere into a span."""

    round: int
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that offers depend on."""

    cooldown_max_ms: int
    boost: float


def member_offers(
    shard: ShardDay,
    member: Member,
    view: LedgerView,
    *,
    status: QuotaStatus,
    tick: Tick,
    earliest_ms: int,
    rules: Rules,
    waiting: Set[int] = NONE,
) -> list[Offer]:
    """What a mailbox is offered: slots of this tick, earlier ones that nobody has taken, extra slots for what failed.

    earliest_ms: no send before (parked, or cooling down from yesterday). No two are closer than the largest cooldown.
    waiting: rounds that are held back for now.
    """
    late, due = open_rounds(shard, member, view, tick, waiting)
    has_failed = _FAILED in view.states
    if not (late or due or has_failed):
        return []
    begin_ms = max(tick.now_ms, tick.start_ms, earliest_ms, view.next_ok_ms - shard.day.start_ms)
    if begin_ms >= tick.end_ms:
        return []
    used = view.sent + view.unknown + view.in_flight
    is_behind = status in {"behind", "failing"}
    needs_spare = bool(due) and member.open_time.passed(tick.end_ms) >= member.open_time.total_ms
    extra: list[_Wish] = []
    spare = None
    if has_failed or needs_spare:
        extra, spare = _extras(
            shard, member, view, used=used, begin_ms=begin_ms, tick=tick, is_behind=is_behind, needs_spare=needs_spare
        )
    until_ms = _spread_end(tick)
    wishes = [*(_Wish(number, begin_ms, until_ms) for number in late), *extra]
    expired = sum(1 for number in (*late, *due) if view.state(number) == RoundState.SENDING)
    placed = _place(shard, member, wishes, due, begin_ms=begin_ms, tick=tick, gap_ms=rules.cooldown_max_ms)
    room = member.target - used + expired + (spare is not None)
    weight = (1 - view.sent / member.target) * (rules.boost if is_behind else 1.0)
    return [
        Offer(member, number, due_ms, 0.0 if number == spare else weight, number >= member.target)
        for number, due_ms in placed[: max(0, room)]
    ]


def overdue_offer(
    shard: ShardDay, member: Member, view: LedgerView, *, tick: Tick, earliest_ms: int, waiting: Set[int] = NONE
) -> list[Offer]:
    """On demand: the oldest open round whose slot has passed, from the moment on that the mailbox may send; or nothing."""
    begin_ms = max(tick.now_ms, earliest_ms, view.next_ok_ms - shard.day.start_ms)
    moment = member.open_time.next_open(begin_ms)
    late, due = open_rounds(shard, member, view, tick, waiting)
    overdue = [number for number in (*late, *due) if member.due[number] <= tick.now_ms]
    if not overdue or moment is None or moment >= tick.end_ms:
        return []
    if view.state(overdue[0]) == RoundState.UNTAKEN and view.sent + view.unknown + view.in_flight >= member.target:
        return []
    return [Offer(member, overdue[0], moment, weight=1.0)]


def open_rounds(
    shard: ShardDay, member: Member, view: LedgerView, tick: Tick, waiting: Set[int] = NONE
) -> tuple[list[int], list[int]]:
    """Rounds that may be claimed: those due before the tick, and those due in it; without those that wait."""
    until = member.due_before(tick.end_ms)
    states, known, target = view.states, len(view.states), member.target
    # Later slots are never taken before these are offered, so as many taken ones as are due leave none open.
    if not view.expires_ms and (known if known < target else target) - states.count(_FREE, 0, target) >= until:
        return [], []
    before = member.due_before(tick.start_ms)
    now_ms = shard.day.start_ms + tick.now_ms
    late: list[int] = []
    due: list[int] = []
    for place in range(until):
        number = member.in_order[place]
        state = states[number] if number < known else _FREE
        is_open = state == _FREE or (state == _SENDING and view.expires_ms.get(number, 0) <= now_ms)
        if is_open and number not in waiting:
            (late if place < before else due).append(number)
    return late, due


def _extras(
    shard: ShardDay,
    member: Member,
    view: LedgerView,
    *,
    used: int,
    begin_ms: int,
    tick: Tick,
    is_behind: bool,
    needs_spare: bool,
) -> tuple[list[_Wish], int | None]:
    """Extra rounds and where they may go; and which of them is a spare.

    A window whose last 8 % no tick begins in: what fails after its last tick could not be made good. So that tick offers one
    round more than is needed, behind all others; the ledger refuses it where the target is reached.
    """
    span = _extra_span(member, tick, begin_ms, is_behind=is_behind)
    if span is None:
        return [], None
    begins_ms, ends_ms = span
    needed = _extra_needed(member, view, used)
    numbers = _extra_rounds(shard, member, view, needed + needs_spare)
    wishes = [_Wish(number, begins_ms, ends_ms) for number in numbers]
    if not needs_spare or len(numbers) <= needed:
        return wishes, None
    wishes[-1] = _Wish(numbers[-1], (begins_ms + ends_ms) // 2, ends_ms)
    return wishes, numbers[-1]


def _extra_span(member: Member, tick: Tick, begin_ms: int, *, is_behind: bool) -> tuple[int, int] | None:
    """Extra slots are for the last 8 % of the open time, and before that for mailboxes that are behind."""
    line = member.open_time
    span = span_ms(line.total_ms)
    if is_behind or line.passed(begin_ms) >= span:
        return begin_ms, _spread_end(tick)
    if line.passed(tick.end_ms) <= span:
        return None
    opens_ms = line.at(span)
    closes_ms = min(tick.end_ms, line.at(line.total_ms - 1))
    # A token may be a few seconds away: what begins in the last quarter could end after the window.
    return opens_ms, opens_ms + (closes_ms - opens_ms) * 3 // 4


def _spread_end(tick: Tick) -> int:
    """What is refused in the day's last minutes finds no later tick: leave time for another try."""
    return tick.end_ms - (LAST_CALL_MS if tick.end_ms == DAY_MS else 0)


def _extra_needed(member: Member, view: LedgerView, used: int) -> int:
    """Rounds beyond the target that failed ones leave to be made good."""
    untaken = view.states[: member.target].count(_FREE) + max(0, member.target - len(view.states))
    return max(0, member.target - used - untaken)


def _extra_rounds(shard: ShardDay, member: Member, view: LedgerView, needed: int) -> list[int]:
    """So many rounds beyond the target that are free; at most as many again as the target."""
    found: list[int] = []
    pairing = shard.day.pairing
    for number in range(member.target, min(2 * member.target, pairing.rounds(member.index))):
        if len(found) == needed:
            break
        if view.state(number) == RoundState.UNTAKEN and not _is_answered(shard, member, number):
            found.append(number)
    return found


def _is_answered(shard: ShardDay, member: Member, number: int) -> bool:
    """Whether a planned reply goes to the recipient of this round already (never so by shifts)."""
    if shard.day.pairing.case in {"shifts", "all_shifts"}:
        return False
    other = shard.day.pairing.recipient(member.index, number)
    return any(sender == other for sender, _ in planned_replies(shard, member).values())


def _place(
    shard: ShardDay,
    member: Member,
    wishes: Iterable[_Wish],
    due: Iterable[int],
    *,
    begin_ms: int,
    tick: Tick,
    gap_ms: int,
) -> list[tuple[int, int]]:
    """(round, moment) of each that finds a place: slots of the tick at their time, the others in the gaps between them."""
    placed = [(number, member.due[number]) for number in due if member.due[number] >= begin_ms]
    pushed = [_Wish(number, begin_ms, _spread_end(tick)) for number in due if member.due[number] < begin_ms]
    taken = [moment for _, moment in placed] + list(_next_due(member, tick.end_ms))
    for wish in (*wishes, *pushed):
        spread = unit("spread", shard.day.header.day, tick.start_ms, member.mailbox_id, wish.round)
        moment_ms = wish.from_ms + int(spread * max(0, wish.until_ms - wish.from_ms))
        moment = _free(member, moment_ms, taken, tick.end_ms, gap_ms)
        if moment is None:
            moment = _free(member, wish.from_ms, taken, tick.end_ms, gap_ms)
        if moment is not None:
            placed.append((wish.round, moment))
            taken.append(moment)
    return placed


def _next_due(member: Member, end_ms: int) -> Iterator[int]:
    place = member.due_before(end_ms)
    if place < len(member.in_order):
        yield member.due[member.in_order[place]]


def _free(member: Member, moment_ms: int, taken: list[int], end_ms: int, gap_ms: int) -> int | None:
    """The first open moment from here on, before the end, that keeps the gap to all that are taken."""
    for other in sorted(taken):
        if abs(other - moment_ms) < gap_ms:
            moment_ms = other + gap_ms
    found = member.open_time.next_open(moment_ms) if moment_ms < end_ms else None
    if found is None or found >= end_ms or any(abs(other - found) < gap_ms for other in taken):
        return None
    return found
