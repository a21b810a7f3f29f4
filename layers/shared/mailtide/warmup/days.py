"""The roster in the bucket: written once, read by every dispatcher, kept while the process lives (it never changes)."""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import date

from mailtide.errors import NotFoundError
from mailtide.warmup import keys
from mailtide.warmup.contracts import DAY_MS, day_start_ms
from mailtide.warmup.objects import RosterHeader
from mailtide.warmup.open_time import OpenTime
from mailtide.warmup.pairing import Pairing
from mailtide.warmup.pool import Pool, ShardMembers
from mailtide.warmup.ports import Objects
from mailtide.warmup.roster import Roster
from mailtide.warmup.slots import slot, slots
from mailtide.warmup.store import create_once, read

KEPT_SHARDS = 256


class PoolDay:
    """One day's pool, for every shard: the header, the columns, the pairing, the open times."""

    def __init__(self, header: RosterHeader, pool: Pool) -> None:
        self.header = header
        self.pool = pool
        self.start_ms = day_start_ms(header.day)
        self.end_ms = self.start_ms + DAY_MS
        self.open_times = [OpenTime.of(periods) for periods in header.windows]
        self.pairing = Pairing(
            day=header.day,
            case=header.case,
            mailboxes=header.mailboxes,
            modulus=header.modulus,
            lowest_shift=header.lowest_shift,
            step=header.step,
            base=header.base,
            party_starts=pool.party_starts,
        )

    def open_time(self, index: int) -> OpenTime:
        """The open time of a mailbox."""
        return self.open_times[self.pool.windows[index]]

    def slots(self, index: int) -> "array[int]":
        """When the mails of a mailbox are due, by round: milliseconds after 00:00 UTC."""
        return slots(
            self.header.day,
            self.pool.mailbox_ids[index],
            self.pool.targets[index],
            self.open_time(index),
            self.header.cooldown_max_ms,
        )

    def slot(self, index: int, number: int) -> int:
        """When one mail of a mailbox is due, `number` below its target."""
        return slot(
            self.header.day,
            self.pool.mailbox_ids[index],
            number,
            self.pool.targets[index],
            self.open_time(index),
            self.header.cooldown_max_ms,
        )


@dataclass(frozen=True, slots=True)
class Member:
    """One mailbox of a shard on its day."""

    index: int
    mailbox_id: str
    user_id: str
    user_planned: int
    """Mails of the day of all mailboxes of its user."""
    target: int
    window: int
    """Place of its open time among the day's."""
    open_time: OpenTime
    due: "array[int]"
    """Of each round: milliseconds after 00:00 UTC, shape (target,)."""
    in_order: "array[int]"
    """The rounds by due time."""
    due_in_order: "array[int]"

    def due_before(self, moment_ms: int) -> int:
        """How many rounds are due before a moment of the day: the first so many of `in_order`."""
        return bisect_left(self.due_in_order, moment_ms)


@dataclass(frozen=True, slots=True)
class ShardDay:
    """One shard on one day."""

    day: PoolDay
    number: int
    members: list[Member]
    replies: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)
    """Planned replies by member's index, as far as anybody asked (mailtide.warmup.replies)."""


def make_shard_day(day: PoolDay, number: int, shares: ShardMembers) -> ShardDay:
    """The members of a shard with their slots."""
    members = []
    for index, user in zip(shares.indexes, shares.users, strict=True):
        due = day.slots(index)
        members.append(
            Member(
                index=index,
                mailbox_id=day.pool.mailbox_ids[index],
                user_id=shares.user_ids[user],
                user_planned=shares.user_planned[user],
                target=day.pool.targets[index],
                window=day.pool.windows[index],
                open_time=day.open_time(index),
                due=due,
                in_order=array("H", sorted(range(len(due)), key=due.__getitem__)),
                due_in_order=array("I", sorted(due)),
            )
        )
    return ShardDay(day, number, members)


class RosterStore:
    """Rosters in the bucket. What was read is kept: the header, the columns and up to KEPT_SHARDS shards."""

    def __init__(self, bucket: Objects) -> None:
        self._bucket = bucket
        self._days: OrderedDict[date, PoolDay] = OrderedDict()
        self._shards: OrderedDict[tuple[date, int], ShardDay] = OrderedDict()

    def write(self, roster: Roster) -> RosterHeader:
        """Store a roster, or find that the day has one: the header that counts. Columns first, the header last."""
        header = roster.header
        self._bucket.create(keys.pool(header.day, header.token), roster.pool.to_bytes())
        for number, share in enumerate(roster.shards):
            self._bucket.create(keys.shard(header.day, header.token, number), share.to_bytes())
        return create_once(self._bucket, keys.roster(header.day), header)

    def header(self, day: date) -> RosterHeader | None:
        """None while the day has no roster."""
        kept = self._days.get(day)
        return kept.header if kept else read(self._bucket, keys.roster(day), RosterHeader)

    def pool(self, day: date) -> PoolDay | None:
        """The day's pool, None while the day has no roster. NotFoundError when its columns are gone."""
        if day not in self._days:
            header = read(self._bucket, keys.roster(day), RosterHeader)
            if header is None:
                return None
            self._days[day] = PoolDay(header, Pool.from_bytes(self._body(keys.pool(day, header.token))))
            while len(self._days) > 2:
                self._days.popitem(last=False)
        return self._days[day]

    def shard(self, day: date, number: int) -> ShardDay | None:
        """One shard of a day, None when the day has no roster or no such shard. NotFoundError as for `pool`."""
        if (day, number) not in self._shards:
            pool = self.pool(day)
            if pool is None or number >= pool.header.shards:
                return None
            body = self._body(keys.shard(day, pool.header.token, number))
            self._shards[day, number] = make_shard_day(pool, number, ShardMembers.from_bytes(body))
            while len(self._shards) > KEPT_SHARDS:
                self._shards.popitem(last=False)
        return self._shards[day, number]

    def _body(self, key: str) -> bytes:
        stored = self._bucket.get(key)
        if stored is None:
            raise NotFoundError(f"The object {key} of the roster is not there.")
        return stored.body
