"""Where a remote table is cut: equal counts however the ids lie, few reads, every id in one range, damage in one sentence."""

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailtide.database.borders import LARGEST_ID, MAX_BYTES, MAX_REQUESTS, chunk_borders
from mailtide.database.estimate import inspect_database
from mailtide.database.row_estimate import estimate_rows
from mailtide.database.sampled_tree import Node
from mailtide.errors import BudgetExceededError, DatabaseError
from mailtide.machines import MachineSize
from mailtide.runs.sizing import Sizing
from tests.integration.database.test_ranged import CountingReader

SMALLEST_ID = -LARGEST_ID - 1
SIZE = MachineSize(cpu_kind="performance", cpus=2, memory_mb=4096)


def database(ids: Iterable[int], *, page_size: int = 4096, width: Callable[[int], int] = lambda _: 40) -> bytes:
    """A file with contacts of these ids, inserted in this order; `width` is the size of the n-th row."""
    connection = apsw.Connection(":memory:")
    try:
        connection.execute(f"PRAGMA page_size = {page_size}").fetchall()
        connection.execute(
            "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, zip_code TEXT, note TEXT); BEGIN"
        )
        rows = ((number, "a@example.com", "90210", "x" * width(place)) for place, number in enumerate(ids))
        connection.executemany("INSERT INTO contacts VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
        return connection.serialize("main")
    finally:
        connection.close()


def cut(content: bytes, chunks: int) -> tuple[list[int], CountingReader]:
    facts = inspect_database(CountingReader(content))
    reader = CountingReader(content)
    return chunk_borders(reader, facts, chunks), reader


def counts(ids: Sequence[int], borders: Sequence[int]) -> list[int]:
    ordered = sorted(ids)
    ends = [0, *(bisect_right(ordered, border) for border in borders), len(ordered)]
    return [last - first for first, last in pairwise(ends)]


RANDOM = random.Random(7)


def dense(count: int) -> Sequence[int]:
    return range(1, count + 1)


def sparse(count: int) -> Sequence[int]:
    return sorted(RANDOM.sample(range(10**15), count))


def skewed(count: int) -> Sequence[int]:
    return sorted({int(2 ** RANDOM.uniform(0, 62)) + place for place in range(count)})


def clustered(count: int) -> Sequence[int]:
    starts = [RANDOM.randrange(10**12) * 10**5 for _ in range(7)]
    return sorted({starts[place % 7] + place for place in range(count)})


def negative(count: int) -> Sequence[int]:
    return range(-count, 0)


def huge(count: int) -> Sequence[int]:
    return [*range(SMALLEST_ID, SMALLEST_ID + count // 2), *range(LARGEST_ID - count // 2, LARGEST_ID + 1)]


def shuffled(count: int) -> Sequence[int]:
    return RANDOM.sample(range(count), count)


KINDS = (dense, sparse, skewed, clustered, negative, huge, shuffled)
SIZES = [(1_000, 512, 8), (1_000, 65_536, 2), (6_000, 1_024, 17), (20_000, 4_096, 8)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("count", "page_size", "chunks"), SIZES)
def test_chunks_hold_equal_counts(
    kind: Callable[[int], Sequence[int]], count: int, page_size: int, chunks: int
) -> None:
    ids = kind(count)
    borders, reader = cut(database(ids, page_size=page_size), chunks)
    assert_equal(ids, borders, chunks)
    assert len(reader.reads) <= MAX_REQUESTS
    assert sum(length for _, length in reader.reads) <= MAX_BYTES


def assert_equal(ids: Sequence[int], borders: list[int], chunks: int) -> None:
    assert borders == sorted(set(borders))
    found = counts(ids, borders)
    assert len(found) == chunks
    assert max(abs(count - len(ids) / chunks) for count in found) <= 0.05 * len(ids) / chunks


@pytest.mark.parametrize(
    ("kind", "width"),
    [
        (negative, lambda place: 500 if place // 15_001 % 3 == 0 else 0),
        (shuffled, lambda place: place % 120),
    ],
    ids=["small and large ones in turns", "in no order, of all sizes"],
)
def test_300_000_contacts(kind: Callable[[int], Sequence[int]], width: Callable[[int], int]) -> None:
    """A sample is enough, though rows differ in size by far."""
    ids = kind(300_000)
    content = database(ids, width=width)
    for chunks in (8, 17):
        borders, reader = cut(content, chunks)
        assert_equal(ids, borders, chunks)
        assert len(reader.reads) <= 240
        assert sum(length for _, length in reader.reads) <= min(16 << 20, len(content))


def gapped(count: int) -> list[int]:
    """Runs of ids of all lengths, with holes of all lengths between them."""
    dice = random.Random(11)
    found: list[int] = []
    while len(found) < count:
        start = (found[-1] if found else 0) + int(10 ** dice.uniform(1, 9))
        found += range(start, start + min(count - len(found), int(10 ** dice.uniform(0, 3.5))))
    return found


def by_stretch(place: int) -> int:
    return (0, 400, 60, 250)[place // 4_500 % 4]


@pytest.mark.parametrize(("kind", "page_size"), [(sparse, 512), (gapped, 1_024), (gapped, 4_096), (dense, 65_536)])
def test_rows_in_random_order_of_sizes_that_change_in_long_stretches(
    kind: Callable[[int], Sequence[int]], page_size: int
) -> None:
    ids = kind(30_000)
    place_of = {number: place for place, number in enumerate(ids)}
    order = random.Random(5).sample(ids, len(ids))
    content = database(order, page_size=page_size, width=lambda place: by_stretch(place_of[order[place]]))
    borders, reader = cut(content, 8)
    assert_equal(ids, borders, 8)
    assert len(reader.reads) <= MAX_REQUESTS
    again, second = cut(content, 8)
    assert (again, second.reads) == (borders, reader.reads), "nothing is left to chance"


@pytest.mark.parametrize(("page_size", "wide"), [(512, 120), (512, 300), (4_096, 300), (4_096, 9_000)])
def test_rows_in_order_whose_sizes_alternate(page_size: int, wide: int) -> None:
    """Leaves of many rows beside leaves of few, or of some with overflow pages."""
    ids = gapped(30_000)
    content = database(
        ids, page_size=page_size, width=lambda place: wide if place % 60 < (2 if wide > 999 else 30) else 0
    )
    borders, _ = cut(content, 8)
    assert_equal(ids, borders, 8)


@pytest.mark.parametrize("page_size", [512, 4_096])
@pytest.mark.parametrize("auto_vacuum", ["NONE", "FULL"])
def test_rows_that_were_deleted_singly_and_by_ranges(page_size: int, auto_vacuum: str) -> None:
    """Half-empty leaves, free pages between them, pages of another table."""
    dice = random.Random(13)
    connection = apsw.Connection(":memory:")
    connection.deserialize(
        "main", database(range(30_000), page_size=page_size, width=lambda place: place // 3_500 % 3 * 90)
    )
    connection.execute("CREATE TABLE other (a); BEGIN")
    for start in (dice.randrange(30_000) for _ in range(20)):
        connection.execute("DELETE FROM contacts WHERE id BETWEEN ? AND ?", (start, start + dice.randrange(1_500)))
        connection.execute("INSERT INTO other VALUES (zeroblob(20000))")
    singly = [(number,) for number in dice.sample(range(10_000, 20_000), 6_000)]
    connection.executemany("DELETE FROM contacts WHERE id = ?", singly)
    connection.execute("COMMIT")
    if auto_vacuum == "FULL":
        connection.execute("PRAGMA auto_vacuum = FULL; VACUUM")
    ids = [number for (number,) in connection.execute("SELECT id FROM contacts ORDER BY id")]
    content = connection.serialize("main")
    connection.close()
    borders, _ = cut(content, 8)
    assert_equal(ids, borders, 8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ids=st.sets(st.integers(SMALLEST_ID, LARGEST_ID) | st.integers(-50, 50), max_size=300),
    page_size=st.sampled_from([512, 1024, 4096]),
    chunks=st.integers(2, 20),
    width=st.integers(0, 300),
)
def test_every_id_is_in_exactly_one_chunk(ids: set[int], page_size: int, chunks: int, width: int) -> None:
    """Also ids that nobody has yet; and a small table, which is read whole, is cut to the row."""
    borders, _ = cut(database(sorted(ids), page_size=page_size, width=lambda _: width), chunks)
    tasks = sizing(len(borders) + 1).tasks(borders)[:-1] if borders else sizing(0).tasks([])
    assert tasks[0].first_id is None
    assert tasks[-1].last_id is None
    for before, after in pairwise(tasks):
        assert before.last_id is not None
        assert after.first_id == before.last_id + 1 <= LARGEST_ID
        assert before.first_id is None or before.first_id <= before.last_id
    found = counts(sorted(ids), borders)
    if len(ids) >= chunks:
        assert len(found) == chunks
        assert max(found) - min(found) <= 1


def sizing(chunks: int) -> Sizing:
    return Sizing(
        chunks=chunks,
        sizes=(SIZE,),
        chunk_sizes=(SIZE,),
        expected_s=1.0,
        expected_usd=1.0,
        machine_usd=1.0,
        meets_deadline=True,
    )


def test_a_table_in_another_order_than_its_ids_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE contacts (id TEXT PRIMARY KEY, email TEXT, state TEXT); BEGIN")
    connection.executemany("INSERT INTO contacts VALUES (?, ?, 'TX')", ((str(n), "a@b.co") for n in range(1_000)))
    connection.execute("COMMIT")
    connection.close()
    assert cut(path.read_bytes(), 4)[0] == []


def test_one_chunk_needs_no_border() -> None:
    borders, reader = cut(database(range(100)), 1)
    assert (borders, reader.reads) == ([], [])


def test_damage_anywhere_is_one_sentence_or_borders_that_ascend() -> None:
    """Bytes of the b-tree's pages are changed; nothing hangs, and no other error comes out."""
    content = database(range(5_000), page_size=1_024)
    facts = inspect_database(CountingReader(content))
    dice, outcomes = random.Random(3), {"cut": 0, "refused": 0}
    for _ in range(400):
        spoiled = bytearray(content)
        for _ in range(dice.choice((1, 3, 40))):
            page = dice.randrange(1, len(content) // 1_024)
            spoiled[page * 1_024 + dice.choice((dice.randrange(16), dice.randrange(1_024)))] = dice.randrange(256)
        try:
            borders = chunk_borders(CountingReader(bytes(spoiled)), facts, 5)
        except (DatabaseError, BudgetExceededError) as error:
            outcomes["refused"] += len(str(error).splitlines())
        else:
            outcomes["cut"] += 1
            assert borders == sorted(set(borders))
    assert min(outcomes.values()) > 20
    assert sum(outcomes.values()) == 400, "one line each"


def test_a_tree_without_end_is_refused() -> None:
    """An interior page that is its own child."""
    content = bytearray(database(range(5_000), page_size=1_024))
    facts = inspect_database(CountingReader(bytes(content)))
    start = (facts.contacts_root - 1) * 1_024
    cells = int.from_bytes(content[start + 3 : start + 5], "big")
    for number in range(cells):
        at = start + 12 + 2 * number
        offset = start + int.from_bytes(content[at : at + 2], "big")
        content[offset : offset + 4] = facts.contacts_root.to_bytes(4, "big")
    content[start + 8 : start + 12] = facts.contacts_root.to_bytes(4, "big")
    with pytest.raises(DatabaseError, match=r"the b-tree of contacts has (no end|ids out of order)\."):
        chunk_borders(CountingReader(bytes(content)), facts, 3)


def test_the_budget_is_kept() -> None:
    content = database(range(100_000), page_size=512)
    facts = inspect_database(CountingReader(content))
    reader = CountingReader(content)
    with pytest.raises(BudgetExceededError):
        chunk_borders(reader, facts, 3, max_requests=2)
    assert len(reader.reads) == 2


def test_few_requests_give_borders_all_the_same() -> None:
    """Not so even, but every id is in one chunk."""
    content = database(dense(50_000), page_size=512)
    facts = inspect_database(CountingReader(content))
    reader = CountingReader(content)
    borders = chunk_borders(reader, facts, 17, max_requests=12)
    assert len(reader.reads) <= 12
    assert borders == sorted(set(borders))
    assert min(counts(dense(50_000), borders)) > 0


def test_ids_that_promise_rows_which_read_pages_do_not_are_doubted() -> None:
    """A stretch of full leaves between two read ones that are alike, of which the spans alone tell."""
    level = [Node(number, 1, low, low + span) for number, (low, span) in enumerate([(0, 100)] * 40 + [(0, 1500)] * 44)]
    for number, node in enumerate(level):
        node.known = not (10 <= number < 14 or 44 <= number < 64)
        node.rows = float(node.span if node.known else 0)
    level[10:14] = [Node(number, 1, 0, 1500) for number in range(4)]
    gap = min(estimate_rows(level), key=lambda gap: gap.first)
    assert (gap.first, gap.last) == (9, 14)
    assert gap.variance**0.5 > 1_000
