"""Which planned replies wait until a visit has found what they answer (docs/decisions/warmup.md). Pure.

A reply that waits is not offered: its slot is a late one at the next tick, and takes no place from the mailbox's others. It waits
no longer than it can without costing the quota; then its slot is an ordinary mail's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mailtide.warmup.contracts import LedgerKey, LedgerView
from mailtide.warmup.days import Member, ShardDay
from mailtide.warmup.objects import QuotaStatus
from mailtide.warmup.offers import Rules, Tick, open_rounds
from mailtide.warmup.reading.contracts import Placement, PlacementDay
from mailtide.warmup.replies import planned_replies
from mailtide.warmup.roster import shard_of
from mailtide.warmup.slots import span_ms

LONGEST_WAIT = 12
"""A reply waits this part of its mailbox's open time: two hours of a whole day. While nobody reads, the mails that wait when the
last 8 % begin are then 3 % of the day's, which find a place there even in a pool that is nearly full."""


@dataclass(frozen=True, slots=True)
class OpenReply:
    """A reply that might be offered at a tick."""

    round: int
    original: LedgerKey
    original_round: int
    may_wait: bool


@dataclass(frozen=True, slots=True)
class Replies:
    """Of a mailbox whose replies wait: those that may go out at a tick, and those that are held back. All others are ordinary."""

    ready: frozenset[int]
    waiting: frozenset[int]


def open_replies(
    shard: ShardDay, member: Member, view: LedgerView, *, status: QuotaStatus, tick: Tick, rules: Rules
) -> list[OpenReply]:
    """The planned replies among the rounds that might be offered."""
    late, due = open_rounds(shard, member, view, tick)
    if not (late or due):
        return []
    planned = planned_replies(shard, member)
    has_time = status != "failing" and _has_time(member, tick, rules)
    found: list[OpenReply] = []
    for number in (*late, *due):
        if number in planned:
            sender, original_round = planned[number]
            may_wait = has_time and _may_wait(member, number, tick)
            found.append(OpenReply(number, original_key(shard, sender), original_round, may_wait))
    return found


def original_key(shard: ShardDay, sender: int) -> LedgerKey:
    """The ledger key of a mailbox of the day, by its index."""
    header, mailbox_id = shard.day.header, shard.day.pool.mailbox_ids[sender]
    return LedgerKey(header.day, shard_of(mailbox_id, header.shards), mailbox_id)


def decide(replies: list[OpenReply], placements: Mapping[LedgerKey, PlacementDay]) -> Replies:
    """Ready: what they answer was found, in whichever folder. Waiting: not found, nor given up as missing, and time is left."""
    ready: set[int] = set()
    waiting: set[int] = set()
    for reply in replies:
        placement = _placement(placements.get(reply.original), reply.original_round)
        if placement is not None and placement.verdict != "missing":
            ready.add(reply.round)
        elif placement is None and reply.may_wait:
            waiting.add(reply.round)
    return Replies(frozenset(ready), frozenset(waiting))


def _placement(day: PlacementDay | None, number: int) -> Placement | None:
    return day.placements.get(number) if day else None


def _has_time(member: Member, tick: Tick, rules: Rules) -> bool:
    """Slots are far enough apart for a late one between two, and the last 8 % of the open time, which is for what is left over,
    begins after this tick."""
    line = member.open_time
    span = span_ms(line.total_ms)
    return span >= 2 * rules.cooldown_max_ms * member.target and line.passed(tick.end_ms) <= span


def _may_wait(member: Member, number: int, tick: Tick) -> bool:
    line = member.open_time
    return line.passed(tick.now_ms) < line.passed(member.due[number]) + line.total_ms // LONGEST_WAIT
