"""Visits to mailboxes on the virtual clock: the real asking and waiting, with modelled mailboxes."""

from collections import defaultdict
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

from mailtide.warmup.contracts import LedgerKey
from mailtide.warmup.reading.contracts import Placement, ReadMessage
from mailtide.warmup.reading.memory import MemoryPlacements, MemoryReadQueue
from mailtide.warmup.services import ReadingPorts

MISSING_AFTER_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWorld:
    """What is modelled of the readers."""

    lost: float = 0.02
    """Share of the accepted mails that no visit finds."""
    down: tuple[int, int] = (0, 0)
    """[start, end) in minutes of the day in which no visit takes place."""


@dataclass(frozen=True, slots=True)
class _Mail:
    key: LedgerKey
    number: int
    is_lost: bool
    arrived_ms: int


class SimulatedReaders:
    """All readers together."""

    def __init__(self, world: ReadWorld, start_ms: int, chance: Random) -> None:
        self.placements = MemoryPlacements()
        self.queue = MemoryReadQueue()
        self.ports = ReadingPorts(placements=self.placements, queue=self.queue)
        self.visits = 0
        self._world = world
        self._start_ms = start_ms
        self._chance = chance
        self._waiting: list[tuple[int, int, ReadMessage]] = []
        self._unread: dict[str, list[_Mail]] = defaultdict(list)

    def arrived(self, key: LedgerKey, number: int, recipient_id: str, now_ms: int) -> None:
        """A server has accepted a mail."""
        is_lost = self._chance.random() < self._world.lost
        self._unread[recipient_id].append(_Mail(key, number, is_lost, now_ms))

    def has_found(self, key: LedgerKey, number: int) -> bool:
        """Whether a visit has found a mail."""
        day = self.placements.read_many([key]).get(key)
        found = day.placements.get(number) if day else None
        return found is not None and found.verdict != "missing"

    def look(self, now_ms: int) -> None:
        """Carry out the visits that are due."""
        for message, delay_s in self.queue.take():
            self.visits += len(message.mailbox_ids)
            heappush(self._waiting, (now_ms + delay_s * 1000, self.visits, message))
        while self._waiting and self._waiting[0][0] <= now_ms:
            _, _, message = heappop(self._waiting)
            first, last = self._world.down
            if not first <= (now_ms - self._start_ms) // 60_000 < last:
                for mailbox_id in message.mailbox_ids:
                    self._visit(mailbox_id, now_ms)

    def _visit(self, mailbox_id: str, now_ms: int) -> None:
        left: list[_Mail] = []
        for mail in self._unread.pop(mailbox_id, ()):
            if not mail.is_lost:
                self.placements.record(mail.key, {mail.number: Placement("inbox")})
            elif now_ms - mail.arrived_ms >= MISSING_AFTER_MS:
                self.placements.record(mail.key, {mail.number: Placement("missing")})
            else:
                left.append(mail)
        if left:
            self._unread[mailbox_id] = left
