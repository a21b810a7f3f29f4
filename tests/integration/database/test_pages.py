"""What is read straight from a file's pages is what SQLite reads; damaged pages are refused or read, never run past."""

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.database.header import read_header
from mailtide.database.pages.file import PageFile, UnusualPagesError
from mailtide.database.pages.records import Records
from mailtide.database.pages.runs import runs_of, usual_width
from mailtide.database.pages.scan import positions, scan_pages
from mailtide.database.pages.texts import NULL_TEXT, OTHER_TEXT, Texts, days
from mailtide.database.schema import Column, Table
from mailtide.database.values import read_date
from mailtide.rules.columns import NO_DATE

PAGE_SIZES = (512, 1024, 4096, 65_536)
NAMES = ("a", "b", "c", "d")

texts = st.one_of(st.sampled_from(["", "2026-02-28", "2026-02-30x", "birthday", "x" * 90]), st.text(max_size=12))
integers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-300, 300), st.sampled_from([0, 1, 2**31, -(2**47)]))
cells = st.one_of(
    st.none(), texts.filter(lambda text: text.encode("utf-8", "ignore").decode() == text), integers,
    st.floats(allow_nan=False), st.binary(max_size=9), st.sampled_from([b"z" * 700, "y" * 5_000]),
)  # fmt: skip
rows = st.lists(st.tuples(cells, cells, cells, cells), max_size=25)


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "page_size": draw(st.sampled_from(PAGE_SIZES)),
        "reserved": draw(st.sampled_from([0, 0, 16])),
        "auto_vacuum": draw(st.sampled_from([0, 1])),
        "repeat": draw(st.sampled_from([1, 1, 40])),
        "deletes": draw(st.booleans()),
        "vacuum": draw(st.booleans()),
        "rowids": draw(st.sampled_from(["1", "-9000000000000000000", "200000000000"])),
    }


def build(path: Path, stored: list[tuple[Any, ...]], layout: dict[str, Any]) -> None:
    """A file with a table t of the rows, repeated, some of them deleted again."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.reserve_bytes("main", layout["reserved"])
        connection.pragma("page_size", layout["page_size"])
        connection.pragma("auto_vacuum", layout["auto_vacuum"])
        connection.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(NAMES)})")
        connection.execute("BEGIN")
        many = [(int(layout["rowids"]) + 3 * number, *row) for number, row in enumerate(stored * int(layout["repeat"]))]
        random.Random(7).shuffle(many)
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", many)
        connection.execute("COMMIT")
        if layout["deletes"]:
            connection.execute("DELETE FROM t WHERE id % 5 IN (1, -2)")
        if layout["vacuum"]:
            connection.execute("VACUUM")


def table_of(path: Path) -> Table:
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 't'").get
    columns = {name: Column(name, is_generated=False) for name in ("id", *NAMES)}
    return Table("t", "", int(root), columns, "rowid", "id")


@contextmanager
def pages_of(path: Path) -> Iterator[PageFile]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield PageFile(descriptor, read_header(os.pread(descriptor, 100, 0), path.stat().st_size))
    finally:
        os.close(descriptor)


def decode(stored: bytes) -> str | None:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return None


def read(file: PageFile, table: Table, threads: int = 1) -> list[tuple[Any, ...]]:
    """Of each row: its id, whether it is bad, and of each column integer, day, text and whether it is NULL."""
    wanted = positions(table, NAMES)
    known = Texts(decode)

    def parse(records: Records) -> list[tuple[Any, ...]]:
        columns: list[Any] = []
        for values in records.columns(wanted):
            number, is_integer = values.integers()
            day, slow = days(values)
            columns += [number, is_integer, day, slow, known.codes(values), values.is_null]
        arrays = [records.rowid, records.bad, *columns]
        return list(zip(*(array.tolist() for array in arrays), strict=True))

    found = [row for part in scan_pages(file, table, threads, parse) for row in part]
    return [(row[0], row[1], *(_cell(row[at : at + 6], known) for at in range(2, len(row), 6))) for row in found]


def _cell(read: tuple[Any, ...], known: Texts) -> tuple[Any, ...]:
    number, is_integer, day, slow, code, is_null = read
    return (number if is_integer else None, None if slow else day, known.texts[code] if code >= 0 else code, is_null)


def agrees(read: tuple[Any, ...], cell: Any) -> bool:  # noqa: ANN401 - anything that SQLite gives
    number, day, text, is_null = read
    expected_day = read_date(cell) if isinstance(cell, str) else None
    return (
        is_null == (cell is None)
        and number == (cell if isinstance(cell, int) else None)
        and (day is None or day == (NO_DATE if expected_day is None else expected_day))
        and (day is not None or cell is not None)
        and (text == cell if isinstance(text, str) else text == (NULL_TEXT if cell is None else OTHER_TEXT))
        and (isinstance(text, str) or not isinstance(cell, str) or len(cell.encode()) > 200)
    )


@given(rows, layouts(), st.sampled_from([1, 3]))
def test_rows_are_those_of_sqlite(stored: list[tuple[Any, ...]], layout: dict[str, Any], threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        build(path, stored, layout)
        with closing(apsw.Connection(str(path))) as connection:
            expected = connection.execute("SELECT * FROM t ORDER BY id").fetchall()
        with pages_of(path) as file:
            found = read(file, table_of(path), threads)
            usable = file.header.usable_size
    assert [row[0] for row in found] == [row[0] for row in expected]
    for (_, bad, *columns), (_, *cells_) in zip(found, expected, strict=True):
        if bad:
            # Only what does not fit a page is left to SQLite.
            assert sum(len(cell) for cell in cells_ if isinstance(cell, str | bytes)) > (usable - 100) // 4
        else:
            assert all(agrees(column, cell) for column, cell in zip(columns, cells_, strict=True))


def test_usual_rows_are_not_left_to_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    layout = {"page_size": 4096, "reserved": 0, "auto_vacuum": 0, "repeat": 5_000, "deletes": False, "vacuum": False}
    build(path, [(1, "2026-02-28", None, 2.5), (-1, "2026-02-28T10", "é", b"")], layout | {"rowids": "1"})
    with pages_of(path) as file:
        found = read(file, table_of(path), 2)
    assert len(found) == 10_000
    assert not any(row[1] for row in found)


@given(rows, layouts(), st.integers(0, 3), st.sampled_from([0, 0, 1, 9, 512]))
def test_rows_of_a_run_are_equal(
    stored: list[tuple[Any, ...]], layout: dict[str, Any], varying: int, width: int
) -> None:
    """Every row has the columns of the first of its run, and its own integer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        doubled = [row for row in stored for _ in range(3)]
        numbered = [(*row[:varying], number, *row[varying + 1 :]) for number, row in enumerate(doubled)]
        build(path, numbered, layout)
        table = table_of(path)
        at, *others = positions(table, (NAMES[varying], *(name for name in NAMES if name != NAMES[varying])))
        assert at is not None

        def check(records: Records) -> int:
            runs = runs_of(records, at, others, width or usual_width(records, others))
            own, heads = records.columns([at, *others]), runs.heads.columns(others)
            number, is_integer = own[0].integers()
            good = ~records.bad & ~runs.heads.bad[runs.head]
            assert (good == ~records.bad).all()
            assert (runs.integer[good] == number[good]).all()
            assert (runs.is_integer[good] == is_integer[good]).all()
            for column, head in zip(own[1:], heads, strict=True):
                for row in np.flatnonzero(good).tolist():
                    first = int(runs.head[row])
                    size = int(column.stored_bytes[row])
                    assert column.kind[row] == head.kind[first]
                    stored_bytes = [
                        bytes(v.buffer[v.at[r] : v.at[r] + size]) for v, r in ((column, row), (head, first))
                    ]
                    assert stored_bytes[0] == stored_bytes[1]
            return len(runs.heads)

        with pages_of(path) as file:
            scan_pages(file, table, 1, check)


def test_equal_rows_make_one_run_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    layout = {"page_size": 4096, "reserved": 0, "auto_vacuum": 0, "repeat": 1, "deletes": False, "vacuum": False}
    build(path, [(number, "2026-02-28", None, "x") for number in range(1_000, 9_000)], layout | {"rowids": "1"})
    with pages_of(path) as file:
        heads = scan_pages(
            file,
            table_of(path),
            1,
            lambda records: len(runs_of(records, 1, [2, 3, 4], usual_width(records, [2, 3, 4])).heads),
        )
    assert heads == [1]


@given(rows.filter(bool), layouts(), st.randoms(use_true_random=False), st.integers(1, 60))
def test_damaged_pages_are_read_or_refused(
    stored: list[tuple[Any, ...]], layout: dict[str, Any], chance: random.Random, damages: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        build(path, stored, layout)
        table = table_of(path)
        content = bytearray(path.read_bytes())
        size = int(layout["page_size"])
        for _ in range(damages):
            page = chance.randrange(1, len(content) // size)
            # Page headers and cell pointers are where it matters; the rest is hit too.
            at = page * size + (chance.randrange(24) if chance.random() < 0.5 else chance.randrange(size))
            content[at] = chance.choice([0, 1, 5, 13, 127, 128, 255, chance.randrange(256)])
        path.write_bytes(content)
        with pages_of(path) as file:
            for root in (table.root_page, chance.randrange(-1, file.header.page_count + 2)):
                wrong = Table("t", "", root, table.columns, "rowid", "id")
                try:
                    found = read(file, wrong)
                    scan_pages(
                        file,
                        wrong,
                        1,
                        lambda records: len(runs_of(records, 1, [2, 3, 4], usual_width(records, [2, 3, 4])).heads),
                    )
                except UnusualPagesError:
                    continue
                assert [row[0] for row in found] == sorted({row[0] for row in found})


@pytest.mark.parametrize("child", ["itself", "another twice", "none"])
def test_a_tree_that_is_none_ends(tmp_path: Path, child: str) -> None:
    path = tmp_path / "a.db"
    layout = {"page_size": 512, "reserved": 0, "auto_vacuum": 0, "repeat": 300, "deletes": False, "vacuum": False}
    build(path, [(1, 2, 3, "x" * 40)], layout | {"rowids": "1"})
    table = table_of(path)
    content = bytearray(path.read_bytes())
    base = (table.root_page - 1) * 512
    assert content[base] == 5
    last = content[base + 8 : base + 12]
    first_cell = base + int.from_bytes(content[base + 12 : base + 14])
    wanted = {"itself": table.root_page.to_bytes(4), "another twice": bytes(last), "none": (2**32 - 1).to_bytes(4)}
    content[first_cell : first_cell + 4] = wanted[child]
    path.write_bytes(content)
    with pages_of(path) as file, pytest.raises(UnusualPagesError):
        read(file, table)


def test_a_file_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    layout = {"page_size": 512, "reserved": 0, "auto_vacuum": 0, "repeat": 300, "deletes": False, "vacuum": False}
    build(path, [(1, 2, 3, "x" * 40)], layout | {"rowids": "1"})
    table = table_of(path)
    with pages_of(path) as file:
        os.truncate(path, path.stat().st_size - 4_096)
        with pytest.raises(UnusualPagesError):
            read(file, table)
