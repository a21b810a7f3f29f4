"""Planning and dispatch of the warm-up over memory."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

import pytest

from mailtide.contracts import new_token
from mailtide.warmup import keys
from mailtide.warmup.contracts import (
    LedgerKey,
    LedgerView,
    MailboxProfile,
    SendMessage,
    WarmupTick,
)
from mailtide.warmup.days import Member, RosterStore
from mailtide.warmup.dispatch import dispatch_shard
from mailtide.warmup.ids import SendId
from mailtide.warmup.memory import MemoryLedger, MemoryMailboxes, MemoryMailQueue, MemoryObjects, VirtualClock
from mailtide.warmup.objects import ShardSummary
from mailtide.warmup.plan import plan_warmup
from mailtide.warmup.ports import Claim, Outcome
from mailtide.warmup.reading.memory import MemoryPlacements, MemoryReadQueue
from mailtide.warmup.services import PlanningServices, ReadingPorts
from mailtide.warmup.store import read
from tests.support.warmup_pools import DAY, END, START, pool_of, settings

TICK_MS = 600_000
END_OF_SLOTS_MS = 86_400_000 * 92 // 100
NEXT_DAY = DAY + timedelta(days=1)


class Bench:
    """Planning and dispatch over memory, one shard unless told."""

    def __init__(self, profiles: Sequence[MailboxProfile], **values: object) -> None:
        self.clock = VirtualClock(START)
        self.queue = MemoryMailQueue(self.clock)
        self.ledger = MemoryLedger()
        self.mailboxes = MemoryMailboxes(profiles)
        self.bucket = MemoryObjects()
        self.placements, self.reads = MemoryPlacements(), MemoryReadQueue()
        self.services = PlanningServices(
            bucket=self.bucket,
            rosters=RosterStore(self.bucket),
            mailboxes=self.mailboxes,
            ledger=self.ledger,
            queue=self.queue,
            clock=self.clock,
            settings=settings(**{"shards": 1, **values}),
            reading=ReadingPorts(placements=self.placements, queue=self.reads),
        )
        self.cooldown_ms = self.services.settings.mailbox_cooldown_max_ms

    def tick(self, number: int, *, late_ms: int = 0) -> list[SendMessage]:
        """Dispatch one tick of the time since START (144 are the next day's first); the mails it queued, in their order."""
        self.clock.at_ms = START + number * TICK_MS + late_ms
        plan_warmup(self.services, WarmupTick())
        for tick in self.queue.take_ticks():
            dispatch_shard(self.services, tick)
        return self.queued()

    def queued(self) -> list[SendMessage]:
        now_ms = self.clock.at_ms
        self.clock.at_ms = now_ms + 901_000
        mails = [mail for _, mail in self.queue.take_mails(1_000_000)]
        self.clock.at_ms = now_ms
        return mails

    def member(self, mailbox_id: str) -> Member:
        shard = self.services.rosters.shard(DAY, 0)
        assert shard is not None
        return next(member for member in shard.members if member.mailbox_id == mailbox_id)

    def claim(self, mail: SendMessage, now_ms: int | None = None) -> Claim:
        claim = Claim(LedgerKey(mail.day, mail.shard, mail.mailbox_id), mail.round, new_token())
        now_ms = mail.due_ms if now_ms is None else now_ms
        answer = self.ledger.claim(
            claim, target=mail.target, now_ms=now_ms, next_ok_ms=now_ms + self.cooldown_ms, day_end_ms=END
        )
        assert answer.outcome == "held", answer
        return claim

    def send(self, mail: SendMessage, outcome: Outcome = "sent") -> None:
        claim = self.claim(mail)
        assert self.ledger.begin_data(claim, now_ms=mail.due_ms, next_ok_ms=mail.due_ms + self.cooldown_ms)
        assert self.ledger.finish(claim, outcome)

    def view(self, mailbox_id: str) -> LedgerView:
        found = self.ledger.read(LedgerKey(DAY, 0, mailbox_id))
        assert found is not None
        return found

    def day(self, ticks: Iterable[int] = range(144)) -> Iterator[SendMessage]:
        """The mails of these ticks, each sent."""
        for number in ticks:
            for mail in self.tick(number):
                self.send(mail)
                yield mail

    def summary(self, day_ahead: int = 0) -> ShardSummary:
        found = read(self.bucket, keys.summary(DAY + timedelta(days=day_ahead), 0), ShardSummary)
        assert found is not None
        return found


def ids(mails: Sequence[SendMessage]) -> Counter[SendId]:
    return Counter(mail.send_id for mail in mails)


@pytest.fixture
def bench() -> Bench:
    return Bench(pool_of([1] * 100))
