"""The day's pool as a visit needs it: who stands where, whom each mail was for, and who was to write when."""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from mailtide.warmup.contracts import LedgerKey
from mailtide.warmup.days import PoolDay, RosterStore, make_shard_day
from mailtide.warmup.ids import SendId
from mailtide.warmup.pool import ShardMembers
from mailtide.warmup.replies import planned_replies
from mailtide.warmup.roster import shard_of

KEPT_REPLIES = 5_000


@dataclass(frozen=True, slots=True)
class Addressees:
    """Whom a mail may be for: the recipient of its round, and, where a reply was planned, whom that answers."""

    recipient: str | None
    original: SendId | None

    @property
    def mailbox_ids(self) -> set[str | None]:
        """Both, as far as there are."""
        return {self.recipient, self.original.mailbox_id if self.original else None}


class ReadingDay:
    """One day's pool. Safe for threads."""

    def __init__(self, day: PoolDay) -> None:
        self.pool_day = day
        self._index = {mailbox_id: index for index, mailbox_id in enumerate(day.pool.mailbox_ids)}
        self._lock = threading.Lock()
        self._replies: OrderedDict[int, dict[int, tuple[int, int]]] = OrderedDict()

    def key(self, mailbox_id: str) -> LedgerKey:
        """The ledger's key of a mailbox on this day."""
        header = self.pool_day.header
        return LedgerKey(header.day, shard_of(mailbox_id, header.shards), mailbox_id)

    def addressees(self, send_id: SendId) -> Addressees | None:
        """None when its sender is not in the day's pool or has no such round."""
        index = self._index.get(send_id.mailbox_id)
        day = self.pool_day
        if index is None or send_id.round >= day.pairing.rounds(index):
            return None
        names = day.pool.mailbox_ids
        answered = self._planned_replies(index).get(send_id.round)
        original = SendId(day.header.day, names[answered[0]], answered[1]) if answered else None
        return Addressees(names[day.pairing.recipient(index, send_id.round)], original)

    def expected(self, mailbox_id: str, from_ms: int, until_ms: int) -> Iterator[SendId]:
        """The mails that were to be written to a mailbox with a slot in [from_ms, until_ms)."""
        index = self._index.get(mailbox_id)
        day = self.pool_day
        if index is None or until_ms <= day.start_ms or from_ms >= day.end_ms:
            return
        for number in range(day.header.max_target):
            for sender in day.pairing.senders(index, number):
                if number < day.pool.targets[sender]:
                    due_ms = day.start_ms + day.slot(sender, number)
                    if from_ms <= due_ms < until_ms:
                        yield SendId(day.header.day, day.pool.mailbox_ids[sender], number)

    def _planned_replies(self, index: int) -> dict[int, tuple[int, int]]:
        with self._lock:
            if index in self._replies:
                return self._replies[index]
        alone = ShardMembers(array("I", [index]), array("I", [0]), [""], array("I", [0]))
        shard = make_shard_day(self.pool_day, 0, alone)
        found = planned_replies(shard, shard.members[0])
        with self._lock:
            self._replies[index] = found
            while len(self._replies) > KEPT_REPLIES:
                self._replies.popitem(last=False)
        return found


class ReadingDays:
    """Days by date, read once while the process lives. Safe for threads; the store is used under a lock."""

    def __init__(self, rosters: RosterStore) -> None:
        self._rosters = rosters
        self._lock = threading.Lock()
        self._days: OrderedDict[date, ReadingDay] = OrderedDict()

    def get(self, day: date) -> ReadingDay | None:
        """None while the day has no roster. NotFoundError when its columns are gone; TransientError."""
        with self._lock:
            if day not in self._days:
                pool_day = self._rosters.pool(day)
                if pool_day is None:
                    return None
                self._days[day] = ReadingDay(pool_day)
                while len(self._days) > 2:
                    self._days.popitem(last=False)
            return self._days[day]
