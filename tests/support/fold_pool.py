"""A pool of one shard whose nights are folded, in memory: what visits have found is put in by hand, and writes may die."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

from mailtide.warmup import keys
from mailtide.warmup.contracts import (
    DAY_MS,
    LedgerKey,
    Mailbox,
    MailboxStatus,
    ShardTick,
    day_start_ms,
)
from mailtide.warmup.days import RosterStore
from mailtide.warmup.memory import MemoryLedger, MemoryMailboxes, MemoryMailQueue, MemoryObjects, VirtualClock
from mailtide.warmup.objects import QuotaRow, QuotaSheet
from mailtide.warmup.reading.fold import FOLD_AFTER_MS, fold_days
from mailtide.warmup.reading.fold_ports import KeptHealth
from mailtide.warmup.reading.memory import MemoryPlacements, MemoryReadQueue, MemoryVisits
from mailtide.warmup.reading.record import MailboxHealth
from mailtide.warmup.reading.sheet import PlacementSheet
from mailtide.warmup.roster import make_roster
from mailtide.warmup.services import PlanningServices, ReadingPorts
from mailtide.warmup.store import put, read
from tests.support.memory_health import MemoryHealth
from tests.support.placements import mailbox, placed
from tests.support.warmup_pools import DAY, MADE_AT, settings

ONE = timedelta(days=1)
GOOD = {"google": (28, 1, 1)}
POOR = {"google": (60, 10, 0), "microsoft": (20, 40, 10)}
AWFUL = {"google": (2, 20, 8)}


class CrashError(Exception):
    """The process ends here."""


class CrashingHealth(MemoryHealth):
    """It dies at the so-many-th write; status and records count alike."""

    def __init__(self, mailboxes: Iterable[Mailbox]) -> None:
        super().__init__(mailboxes)
        self.left: int | None = None

    def _step(self) -> None:
        if self.left is not None:
            if self.left == 0:
                raise CrashError
            self.left -= 1

    def set_status(self, mailbox_id: str, status: MailboxStatus, reason: str) -> bool:
        self._step()
        return super().set_status(mailbox_id, status, reason)

    def keep_health(self, kept: Sequence[KeptHealth]) -> list[str]:
        refused: list[str] = []
        for each in kept:
            self._step()
            refused += super().keep_health([each])
        return refused


class Pool:
    """A pool of one shard, with what visits have found; `at` is the clock of its ticks."""

    def __init__(self, boxes: Sequence[Mailbox], **values: object) -> None:
        bucket = MemoryObjects()
        self.health = CrashingHealth(boxes)
        self.placements = MemoryPlacements()
        self.visits = MemoryVisits()
        self.clock = VirtualClock(0)
        self.services = PlanningServices(
            bucket=bucket,
            rosters=RosterStore(bucket),
            mailboxes=MemoryMailboxes(boxes),
            ledger=MemoryLedger(),
            queue=MemoryMailQueue(self.clock),
            clock=self.clock,
            settings=settings(**({"shards": 1} | values)),
            reading=ReadingPorts(placements=self.placements, queue=MemoryReadQueue(), visits=self.visits),
            health=self.health,
        )

    def plan(self, day: date) -> None:
        """Its roster and, as if the day were over, its quotas."""
        boxes = self.health.boxes.values()
        roster = make_roster(boxes, day=day, settings=self.services.settings, made_at=MADE_AT)
        self.services.rosters.write(roster)
        shard = self.services.rosters.shard(day, 0)
        assert shard is not None
        rows = tuple(
            QuotaRow(member.mailbox_id, member.user_id, member.target, member.target, 0, 0, "complete")
            for member in shard.members
        )
        sheet = QuotaSheet(day=day, shard=0, written_ms=0, rows=rows)
        put(self.services.bucket, keys.quotas(day, 0), sheet, expected_etag=None)

    def find(self, day: date, number: int, counts: Mapping[str, tuple[int, int, int]], **reports: int) -> None:
        found = placed(counts, **reports)
        key = LedgerKey(day, 0, f"box-{number}")
        self.placements.record(key, found.placements)
        for round_, kind in found.reports.items():
            self.placements.report(key, {round_: kind}, complainer=f"user-{100 + round_}")

    def fold(self, day: date = DAY, *, after_ms: int = FOLD_AFTER_MS) -> list[str]:
        """What a tick of the day after does, so long after its start."""
        now_ms = day_start_ms(day) + DAY_MS + after_ms
        tick = ShardTick(day=day + ONE, start_ms=now_ms, end_ms=now_ms + 600_000, shard=0)
        return [report.action for report in fold_days(self.services, tick, now_ms)]

    def sheet(self, day: date = DAY) -> PlacementSheet | None:
        return read(self.services.bucket, keys.placements(day, 0), PlacementSheet)

    def record(self, number: int) -> MailboxHealth | None:
        return MailboxHealth.from_text(self.health.boxes[f"box-{number}"].health)


def pool(size: int = 10, **values: object) -> Pool:
    made = Pool([mailbox(number) for number in range(size)], **values)
    made.plan(DAY)
    return made


def a_day_of_everything(size: int = 10) -> Pool:
    made = pool(size)
    made.find(DAY, 0, POOR)
    made.find(DAY, 1, AWFUL, bounce=3)
    made.find(DAY, 2, {"google": (50, 0, 0), "": (10, 0, 0)})
    made.find(DAY, 3, {"google": (3, 0, 0)}, complaint=1)
    made.find(DAY, 4, {"google": (5, 0, 0)}, complaint=3)
    return made
