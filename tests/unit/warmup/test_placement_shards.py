"""The fold of many mailboxes: when too many would be quarantined at once, and when shards are folded, and come and go."""

from dataclasses import replace

import pytest

from mailtide.ports import StoredObject
from mailtide.warmup import keys
from mailtide.warmup.contracts import (
    DAY_MS,
    ShardTick,
    day_start_ms,
)
from mailtide.warmup.memory import MemoryObjects
from mailtide.warmup.reading.at_once import at_once
from mailtide.warmup.reading.fold import FOLD_AFTER_MS, WAVE_MS, fold_days
from mailtide.warmup.reading.sheet import PlacementSheet
from mailtide.warmup.reading.shown import of_pool
from mailtide.warmup.services import PlanningServices
from mailtide.warmup.store import read
from tests.support.fold_pool import AWFUL, GOOD, ONE, POOR, CrashError, Pool, a_day_of_everything, pool
from tests.support.warmup_pools import DAY, settings


def test_a_fault_that_many_share_quarantines_nobody() -> None:
    made = pool(30)
    for number in range(9):
        made.find(DAY, number, AWFUL)
    for number in range(9, 25):
        made.find(DAY, number, GOOD)
    made.fold()
    sheet = made.sheet()
    assert sheet is not None
    assert (sheet.quarantined, sheet.slowed, sheet.withheld) == (0, 9, 9)
    assert {box.status for box in made.health.boxes.values()} == {"active"}


def a_bad_night() -> Pool:
    made = pool(30)
    for number in range(30):
        made.find(DAY, number, AWFUL if number < 9 else GOOD)
    return made


def test_a_crash_while_many_are_spared_quarantines_none_of_the_rest() -> None:
    made = a_bad_night()
    made.health.left = 20
    with pytest.raises(CrashError):
        made.fold()
    made.health.left = None
    made.fold()
    sheet = made.sheet()
    assert sheet is not None
    assert (sheet.quarantined, sheet.slowed, sheet.withheld) == (0, 9, 9)
    assert {box.status for box in made.health.boxes.values()} == {"active"}


def test_a_bad_night_of_many_quarantines_none_of_them_when_most_have_recovered() -> None:
    made = a_bad_night()
    made.fold()
    made.plan(DAY + ONE)
    for number in range(7):
        made.find(DAY + ONE, number, {"google": (90, 0, 0)})
    made.fold(DAY + ONE)
    sheet = made.sheet(DAY + ONE)
    assert sheet is not None
    assert (sheet.quarantined, sheet.withheld) == (0, 0)
    made.plan(DAY + 2 * ONE)
    made.find(DAY + 2 * ONE, 8, AWFUL)
    made.fold(DAY + 2 * ONE)
    assert [box.mailbox_id for box in made.health.boxes.values() if box.status == "quarantined"] == ["box-8"]


@pytest.mark.parametrize(
    ("members", "mailboxes", "least"), [(10, 10, 5), (3, 300, 1), (100, 300, 2), (0, 0, 1), (1_000, 100_000, 1)]
)
def test_of_a_small_shard_few_are_quarantined_whatever_the_others_do(members: int, mailboxes: int, least: int) -> None:
    """300 mailboxes in 100 shards: five of each three would be all of them."""
    assert at_once(members, mailboxes) == least


def test_the_shards_of_a_pool_are_folded_in_waves() -> None:
    made = pool(40, shards=7)
    start_ms = day_start_ms(DAY) + DAY_MS + FOLD_AFTER_MS

    def folded(shard: int, now_ms: int) -> bool:
        tick = ShardTick(day=DAY + ONE, start_ms=now_ms, end_ms=now_ms + 1, shard=shard)
        return bool(fold_days(made.services, tick, now_ms))

    assert [folded(shard, start_ms) for shard in range(7)] == [True, *[False] * 5, True]
    assert [folded(shard, start_ms + 5 * WAVE_MS) for shard in range(7)] == [False, *[True] * 5, False]


def test_a_shard_that_yesterday_did_not_have_costs_nothing() -> None:
    made = a_day_of_everything()
    asked: list[str] = []

    class Asked(MemoryObjects):
        def get(self, key: str) -> StoredObject | None:
            asked.append(key)
            return super().get(key)

    fields = {name: getattr(made.services, name) for name in PlanningServices.__slots__}
    now_ms = day_start_ms(DAY) + DAY_MS + 2 * FOLD_AFTER_MS
    tick = ShardTick(day=DAY + ONE, start_ms=now_ms, end_ms=now_ms + 1, shard=1)
    assert fold_days(PlanningServices(**(fields | {"bucket": Asked()})), tick, now_ms) == []
    assert asked == []


def test_nobody_is_counted_twice_when_the_number_of_shards_changes() -> None:
    made = pool()
    for number in range(10):
        made.find(DAY, number, POOR)
    made.fold()
    made.services = replace(made.services, settings=settings(shards=2))
    made.health.set_status("box-3", "paused", "by a person")
    made.plan(DAY + ONE)
    now_ms = day_start_ms(DAY) + 2 * DAY_MS + FOLD_AFTER_MS + WAVE_MS
    sheets = []
    for shard in range(2):
        fold_days(made.services, ShardTick(day=DAY + 2 * ONE, start_ms=now_ms, end_ms=now_ms + 1, shard=shard), now_ms)
        sheet = read(made.services.bucket, keys.placements(DAY + ONE, shard), PlacementSheet)
        assert sheet is not None
        sheets.append(sheet)
    found = of_pool(sheets, limit=99)
    assert sorted(row.mailbox_id for row in found.held) == sorted(made.health.boxes)
    assert (found.slowed, found.total.inbox) == (10, 800)


def test_a_few_of_a_small_pool_are_quarantined() -> None:
    made = pool(8)
    for number in range(5):
        made.find(DAY, number, AWFUL)
    made.fold()
    sheet = made.sheet()
    assert sheet is not None
    assert (sheet.quarantined, sheet.withheld) == (5, 0)
