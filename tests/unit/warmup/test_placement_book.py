"""The objects that the folds have left, read together: the last whole night, kept while it is the last."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import date, timedelta

import pytest

from mailtide.ports import StoredObject
from mailtide.warmup import keys
from mailtide.warmup.days import RosterStore
from mailtide.warmup.memory import MemoryObjects
from mailtide.warmup.reading.book import PlacementBook
from mailtide.warmup.reading.sheet import PlacementSheet
from tests.support.warmup_pools import DAY, pool_of, roster_of

TODAY = DAY + timedelta(days=3)
SHARDS = 4


class Counted(MemoryObjects):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def get(self, key: str) -> StoredObject | None:
        self.reads += 1
        return super().get(key)


@pytest.fixture
def bucket() -> Counted:
    made = Counted()
    for back in range(1, 4):
        RosterStore(made).write(roster_of(pool_of([1] * 12), day=TODAY - timedelta(days=back)))
    return made


@pytest.fixture
def book(bucket: Counted) -> PlacementBook:
    return PlacementBook(bucket, RosterStore(bucket))


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def fold(bucket: Counted, back: int, *shards: int) -> date:
    day = TODAY - timedelta(days=back)
    numbers = dict.fromkeys(
        (
            *("written_ms", "mailboxes", "measured", "bounces", "complaints", "slowed", "quarantined", "resumed"),
            *("graduated", "withheld", "slowed_now", "quarantined_now", "graduated_now"),
        ),
        0,
    )
    for shard in shards:
        sheet = PlacementSheet.model_validate({"day": day, "shard": shard, "landed": {}, "week": {}, **numbers})
        bucket.create(keys.placements(day, shard), sheet.to_bytes())
    return day


def test_before_the_first_fold_there_is_nothing(bucket: Counted, book: PlacementBook, executor: Executor) -> None:
    assert book.latest(TODAY, executor) == ()
    assert bucket.reads == 7 + 3, "seven days' rosters, and the first shard's object of the three that there are"


def test_a_whole_night_is_read_once(bucket: Counted, book: PlacementBook, executor: Executor) -> None:
    day = fold(bucket, 1, *range(SHARDS))
    found = book.latest(TODAY, executor)
    assert [(sheet.day, sheet.shard) for sheet in found] == [(day, shard) for shard in range(SHARDS)]
    bucket.reads = 0
    assert book.latest(TODAY, executor) == found
    assert bucket.reads == 0


def test_while_a_night_is_being_folded_the_one_before_it_is_shown(
    bucket: Counted, book: PlacementBook, executor: Executor
) -> None:
    before = fold(bucket, 2, *range(SHARDS))
    fold(bucket, 1, 0, 2)
    assert {sheet.day for sheet in book.latest(TODAY, executor)} == {before}
    day = fold(bucket, 1, 1, 3)
    assert {sheet.day for sheet in book.latest(TODAY, executor)} == {day}


def test_where_no_night_is_whole_the_last_is_shown_as_far_as_it_is(
    bucket: Counted, book: PlacementBook, executor: Executor
) -> None:
    day = fold(bucket, 2, 0, 3)
    assert [(sheet.day, sheet.shard) for sheet in book.latest(TODAY, executor)] == [(day, 0), (day, 3)]
