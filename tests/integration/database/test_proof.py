"""What the pages prove, SQLite's quick_check finds too: no damage that it reports is ever called sound."""

import os
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from mailtide.database.header import read_header
from mailtide.database.pages.file import PageFile, UnusualPagesError
from mailtide.database.pages.proof import TableProof, index_holds
from mailtide.database.pages.records import Records
from mailtide.database.pages.runs import runs_of
from mailtide.database.pages.scan import scan_pages
from mailtide.database.schema import Column, Table
from mailtide.database.untrusted import open_untrusted, quick_check
from mailtide.errors import DatabaseError

NAMES = ("id", "who", "kind", "day", "note", "late")
TRIES = 40
LAYOUTS: list[dict[str, Any]] = [
    {"page_size": 512, "reserved": 0, "rows": 400, "shuffled": True, "changes": True},
    {"page_size": 1024, "reserved": 16, "rows": 900, "shuffled": False, "changes": False},
    {"page_size": 4096, "reserved": 0, "rows": 1500, "shuffled": True, "changes": True},
    {"page_size": 65_536, "reserved": 0, "rows": 3000, "shuffled": False, "changes": True},
]


def build(path: Path, page_size: int, reserved: int, rows: int, *, shuffled: bool, changes: bool) -> None:
    """Rows in groups, a whole index and a partial one; with changes there are holes and free blocks."""
    chance = random.Random(page_size)
    with closing(apsw.Connection(str(path))) as connection:
        connection.reserve_bytes("main", reserved)
        connection.pragma("page_size", page_size)
        connection.pragma("auto_vacuum", 0)
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, who INTEGER, kind TEXT, day TEXT, note TEXT, late TEXT);"
            "CREATE TABLE other (x); CREATE INDEX whole ON t (kind, day);"
            "CREATE INDEX part ON t (who) WHERE kind = 'birthday'; BEGIN"
        ).fetchall()
        numbers = list(range(rows))
        if shuffled:
            chance.shuffle(numbers)
        for number in numbers:
            kind, note = ("birthday", "aep")[number // 40 % 2], None if number % 90 else "n" * (number % 75)
            row = (7 * number, number * 31, kind, f"2026-{number // 50 % 12 + 1:02d}-01", note, "2026-11-21")
            connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.execute("INSERT INTO other VALUES (1); COMMIT").fetchall()
        if changes:
            connection.execute(
                "DELETE FROM t WHERE id % 11 = 3; UPDATE t SET note = 'changed' WHERE id % 13 = 5; "
                "INSERT INTO t (who, kind, note) SELECT who + 1, kind, 'more' FROM t WHERE id % 17 = 2"
            ).fetchall()


def is_proven(path: Path, table: Table, indexes: list[tuple[int, bool]], *, in_runs: bool) -> bool:
    """Whether the pages prove the table and its indexes."""

    def look(records: Records) -> None:
        if in_runs:
            runs_of(records, 1, [0, 2, 3, 4], 64).heads.columns([0, 2, 3, 4], len(NAMES))
        else:
            records.columns([0, 3], len(NAMES))

    descriptor = os.open(path, os.O_RDONLY)
    try:
        file = PageFile(descriptor, read_header(os.pread(descriptor, 100, 0), path.stat().st_size))
        proof = TableProof.of(file.header)
        scan_pages(file, table, 1, look, proof=proof)
        return proof.holds and all(index_holds(file, root, proof, is_partial=partial) for root, partial in indexes)
    except UnusualPagesError:
        return False
    finally:
        os.close(descriptor)


def complaint(path: Path) -> str | None:
    """What SQLite says of the table."""
    try:
        with closing(open_untrusted(path)) as connection:
            quick_check(connection, ["t"])
    except DatabaseError as error:
        return str(error)
    return None


def roots(path: Path) -> dict[str, int]:
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        rows = connection.execute("SELECT name, rootpage FROM sqlite_schema").fetchall()
    return {str(name): int(str(root)) for name, root in rows}


def damage(content: bytearray, size: int, chance: random.Random) -> None:
    """Something that a page's header, pointers, cells, free blocks, keys or children can suffer."""
    pages = len(content) // size
    page = chance.randrange(1, pages) * size
    head = 12 if content[page] in (2, 5) else 8
    cells = max(1, min(int.from_bytes(content[page + 3 : page + 5]), size // 4))
    one, two = (page + head + 2 * chance.randrange(cells) for _ in range(2))
    cell = page + int.from_bytes(content[one : one + 2]) % size
    free = page + int.from_bytes(content[page + 1 : page + 3]) % size
    spots = [
        page + chance.randrange(head), one + chance.randrange(2), cell + chance.randrange(12),
        free + chance.randrange(4), page + 7, chance.randrange(size, len(content)),
    ]  # fmt: skip
    at = min(chance.choice(spots), len(content) - 1)
    bytes_ = [0, 1, 2, 5, 10, 13, 127, 128, 255, chance.randrange(256), (content[at] + 1) % 256]
    match chance.randrange(8):
        case 0:
            content[one : one + 2], content[two : two + 2] = content[two : two + 2], content[one : one + 2]
        case 1:
            content[one : one + 2] = content[two : two + 2]
        case 2:
            source = chance.randrange(1, pages) * size
            content[page : page + size] = content[source : source + size]
        case 3 | 4:
            content[at] ^= 1 << chance.randrange(8)
        case _:
            content[at] = chance.choice(bytes_)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: str(layout["page_size"]))
def test_what_is_proven_is_never_damaged(tmp_path: Path, layout: dict[str, Any]) -> None:
    path = tmp_path / "a.db"
    build(path, **layout)
    root = roots(path)
    table = Table("t", "", root["t"], {name: Column(name, is_generated=False) for name in NAMES}, "rowid", "id")
    indexes = [(root["whole"], False), (root["part"], True)]
    sound = path.read_bytes()
    assert complaint(path) is None
    assert is_proven(path, table, indexes, in_runs=False)
    assert is_proven(path, table, indexes, in_runs=True)
    # The count of an index that is whole is that of the rows.
    assert not is_proven(path, table, [(root["part"], False)], in_runs=False)
    # A page can be in one tree only.
    assert not is_proven(path, table, [indexes[0], indexes[0]], in_runs=False)
    chance, found, missed = random.Random(TRIES), 0, 0
    for number in range(TRIES):
        content = bytearray(sound)
        for _ in range(chance.choice([1, 1, 1, 3])):
            damage(content, layout["page_size"], chance)
        path.write_bytes(content)
        sentence, proven = complaint(path), is_proven(path, table, indexes, in_runs=bool(number % 2))
        assert not (sentence and proven), (sentence, number)
        found += sentence is not None
        missed += sentence is None and not proven
    assert found > TRIES // 4
    # SQLite is asked for nothing more often than not.
    assert missed < TRIES // 4


def test_a_record_longer_than_its_page_is_left_to_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    build(path, 4096, 0, 50, shuffled=False, changes=False)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("INSERT INTO t (note) VALUES (?)", ("x" * 9_000,))
    table = Table("t", "", roots(path)["t"], {n: Column(n, is_generated=False) for n in NAMES}, "rowid", "id")
    assert not is_proven(path, table, [], in_runs=False)
    assert complaint(path) is None
