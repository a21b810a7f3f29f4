"""Which slots of a mailbox are replies (spec §3): decided by hash, from planned times alone, so that a day can be replayed.

Mail r of another mailbox to this one is answered when the hash of its send id says so. The reply is ready a delay (by hash
too) after the original is due, and takes this mailbox's first slot from then on that no earlier reply has taken; when the day
has none left, there is no reply. Whether it really is a reply is found out when it is sent: only when the original's ledger shows
it as sent, and not as a reply itself. Otherwise, and when it would repeat a pair, the slot stays an ordinary mail.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mailtide.warmup.days import Member, ShardDay
from mailtide.warmup.ids import hasher


@dataclass(frozen=True, slots=True, order=True)
class _Ready:
    """An original that is to be answered."""

    ready_ms: int
    sender: int
    round: int


def planned_replies(shard: ShardDay, member: Member) -> dict[int, tuple[int, int]]:
    """The rounds of a member that are replies: to which (index, round). Computed once a day and member."""
    if member.index not in shard.replies:
        shard.replies[member.index] = _match(member, sorted(_answered(shard, member)))
    return shard.replies[member.index]


def _answered(shard: ShardDay, member: Member) -> Iterator[_Ready]:
    """The originals to this mailbox that are to be answered."""
    header, pool, pairing = shard.day.header, shard.day.pool, shard.day.pairing
    answer, delay = hasher(f"answer|{header.day}/"), hasher(f"delay|{header.day}/")
    limit = int(header.reply_rate * 2**64)
    low_ms, high_ms = header.reply_delay_ms
    for number in range(header.max_target):
        for sender in pairing.senders(member.index, number):
            original = f"{pool.mailbox_ids[sender]}/{number}"
            if pool.targets[sender] <= number or answer(original) >= limit:
                continue
            if pairing.repeats(member.index, sender, member.target):
                continue
            wait_ms = low_ms + (high_ms - low_ms) * (delay(original) >> 11) // 2**53
            yield _Ready(shard.day.slot(sender, number) + wait_ms, sender, number)


def _match(member: Member, originals: list[_Ready]) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    place = 0
    for original in originals:
        place = max(place, member.due_before(original.ready_ms))
        if place >= len(member.in_order):
            break
        found[member.in_order[place]] = (original.sender, original.round)
        place += 1
    return found
