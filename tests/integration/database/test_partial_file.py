"""Chunks that read only their part of a remote file: every shape of file, as few bytes as it needs, and hostile trees."""

import dataclasses
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import apsw
import numpy as np
import pytest

from mailtide.database.bulk import Source
from mailtide.database.header import read_header
from mailtide.database.id_range import IdRange
from mailtide.database.pages.file import PageFile
from mailtide.database.pages.tree import leaf_pages
from mailtide.database.partial_file import USUAL, Manner, PartialFile, PartialSource, open_partial
from mailtide.database.read import read_inputs
from mailtide.database.read_chunk import ChunkRead, read_chunk
from mailtide.database.schema import Schema, read_schema
from mailtide.errors import DatabaseError, SourceChangedError
from mailtide.rules.columns import Contacts
from tests.integration.database.test_ranged import CountingReader

EXACT = Manner(gap_bytes=0, ahead_bytes=0)
BITTEN = Manner(gap_bytes=0, request_bytes=4096, most_pieces=3, ahead_bytes=0, most_surprises=3)
COLUMNS = "email TEXT, state TEXT, zip_code TEXT, birth_date TEXT, effective_date TEXT, phone_number TEXT"
ROWS = 700
IDS: dict[str, Callable[[int], int]] = {
    "dense": lambda n: n + 1,
    "skewed": lambda n: n if n < 650 else (n - 640) ** 5,
    "negative": lambda n: -(2**63) + n * n * 1_000_003,
    "huge": lambda n: 2**63 - 1 - 7 * n,
}
SHAPES: dict[str, tuple[str, str]] = {
    "usual": ("", f"id INTEGER PRIMARY KEY, {COLUMNS}"),
    "small pages": ("PRAGMA page_size = 512", f"id INTEGER PRIMARY KEY, {COLUMNS}"),
    "large pages": ("PRAGMA page_size = 65536", f"id INTEGER PRIMARY KEY, {COLUMNS}"),
    "utf-16": ("PRAGMA encoding = 'UTF-16le'", f"id INTEGER PRIMARY KEY, {COLUMNS}"),
    "auto_vacuum": ("PRAGMA auto_vacuum = 1", f"id INTEGER PRIMARY KEY, {COLUMNS}"),
    "wal": ("PRAGMA journal_mode = wal", f"id INTEGER PRIMARY KEY, {COLUMNS}"),
    "no key": ("", f"id, {COLUMNS}"),
    "text key": ("", f"id TEXT PRIMARY KEY, {COLUMNS}"),
    "descending key": ("", f"id INTEGER PRIMARY KEY DESC, {COLUMNS}"),
    "generated column": ("", f"id INTEGER PRIMARY KEY, {COLUMNS}, twice GENERATED ALWAYS AS (id * 2) VIRTUAL"),
    "long values first": ("", f"id INTEGER PRIMARY KEY, notes TEXT DEFAULT (hex(zeroblob(3000))), {COLUMNS}"),
}


def build(
    path: Path, pragma: str = "", columns: str = SHAPES["usual"][1], ids: Callable[[int], int] = IDS["dense"]
) -> bytes:
    """A file whose contacts lie between the rows of a schedule that is larger than they are."""
    connection = apsw.Connection(str(path))
    connection.execute(pragma).fetchall()
    connection.execute(
        f"CREATE TABLE contacts ({columns}); CREATE TABLE suppressions (email TEXT);"
        "CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id, email_type, event_date, notes);"
        "CREATE TABLE campaign_types (name TEXT PRIMARY KEY) WITHOUT ROWID;"
        "CREATE TABLE campaign_instances (id INTEGER PRIMARY KEY, campaign_type, instance_name);"
        "CREATE TABLE contact_campaigns (contact_id, campaign_instance_id, trigger_date, "
        "PRIMARY KEY (contact_id, campaign_instance_id)) WITHOUT ROWID; BEGIN"
    )
    names = "id, email, state, zip_code, birth_date, effective_date, phone_number"
    insert = f"INSERT INTO contacts ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)"
    for number in range(ROWS):
        contact = ids(number)
        email = "x" * 5000 + "@b.c" if number % 97 == 50 else f"someone{number}@example.com"
        bad = number % 41 == 7
        birth = "1950-02-30" if bad else f"19{50 + number % 40}-0{1 + number % 9}-11"
        connection.execute(
            insert, (contact, email, None if number % 31 == 3 else "CA", "90210", birth, "2020-03-01", None)
        )
        connection.execute(
            "INSERT INTO email_schedules (contact_id, email_type, notes) VALUES (?, 'birthday', hex(zeroblob(300)))",
            (contact,),
        )
        if number % 5 == 0:
            connection.execute("INSERT INTO contact_campaigns VALUES (?, 4, '2026-12-01')", (contact,))
    connection.execute(
        "INSERT INTO suppressions VALUES ('someone20@example.com'), (' SOMEONE400@example.com ');"
        "INSERT INTO campaign_types VALUES ('rate'); INSERT INTO campaign_instances VALUES (4, 'rate', 'x'); COMMIT"
    )
    connection.close()
    return path.read_bytes()


@contextmanager
def partial_of(reader: CountingReader, folder: Path, manner: Manner = USUAL) -> Iterator[PartialSource]:
    with open_partial(reader, folder / "partial.db", manner) as source:
        yield source


def read_in_chunks(content: bytes, folder: Path, borders: list[int], manner: Manner) -> list[ChunkRead]:
    found = []
    for low, high in pairwise([None, *borders, None]):
        with partial_of(CountingReader(content), folder, manner) as source:
            found.append(read_chunk(source, IdRange(None if low is None else low + 1, high), 2))
    return found


def whole_of(path: Path) -> tuple[Schema, Source]:
    header = read_header(path.read_bytes()[:100], path.stat().st_size)
    source = Source(path, header)
    connection = source.open()
    schema = read_schema(connection)
    connection.close()
    return schema, source


@pytest.mark.parametrize("manner", [USUAL, BITTEN], ids=["usual", "bitten"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_contacts_of_all_chunks_are_those_of_the_file(tmp_path: Path, shape: str, manner: Manner) -> None:
    path = tmp_path / "a.db"
    content = build(path, *SHAPES[shape], IDS["skewed"])
    schema, source = whole_of(path)
    whole = read_inputs(source, schema, 1)
    chunks = read_in_chunks(content, tmp_path, [-5, 100, 101, 650, 10**7], manner)
    for name in (field.name for field in dataclasses.fields(Contacts)):
        parts = [getattr(chunk.inputs.contacts, name) for chunk in chunks]
        assert np.concatenate(parts).tolist() == getattr(whole.inputs.contacts, name).tolist(), name
    assert sum(chunk.contact_rows for chunk in chunks) == whole.contact_rows == ROWS
    bad = [chunk.quality.get("invalid_birth_date", 0) for chunk in chunks]
    assert sum(bad) == whole.quality["invalid_birth_date"] > max(bad)
    assert sum(len(chunk.inputs.targets.contact) for chunk in chunks) == len(whole.inputs.targets.contact) == ROWS // 5
    assert [len(chunk.inputs.contacts) for chunk in chunks[:3]] == [0, 101, 1]


@pytest.mark.parametrize("ids", IDS)
def test_only_the_chunks_own_leaves_are_read(tmp_path: Path, ids: str) -> None:
    path = tmp_path / "a.db"
    content = build(path, "PRAGMA page_size = 4096", ids=IDS[ids])
    schema, source = whole_of(path)
    ordered = sorted(map(IDS[ids], range(ROWS)))
    with path.open("rb") as file:
        pages = PageFile(file.fileno(), source.header)
        of_schedule = set(leaf_pages(pages, schema.tables["email_schedules"].root_page).tolist())
        of_contacts = leaf_pages(pages, schema.contacts.root_page)
    reader = CountingReader(content)
    with partial_of(reader, tmp_path, EXACT) as partial:
        read = read_chunk(partial, IdRange(ordered[300], ordered[399]), 1)
        assert partial.file.bytes_read == sum(length for _, length in reader.reads)
        assert partial.file.requests == len(reader.reads)
    assert read.inputs.contacts.id.tolist() == ordered[300:400]
    seen = {1 + at // 4096 for offset, length in reader.reads for at in range(offset, offset + length, 4096)}
    assert not seen & of_schedule
    assert len(seen & set(of_contacts.tolist())) <= len(of_contacts) // 7 + 3


def test_gaps_are_fetched_along_and_large_parts_in_pieces(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(100 * 4096 + 77)

    def requests(pages: list[int], manner: Manner) -> list[tuple[int, int]]:
        reader = CountingReader(content)
        file = PartialFile(reader, tmp_path / "partial.bin", manner)
        file.fetch_pages(np.array(pages, np.int64), 4096)
        for page in pages:
            assert file.read((page - 1) * 4096, 4096) == content[(page - 1) * 4096 : page * 4096]
        file.close()
        return sorted((offset // 4096 + 1, length // 4096) for offset, length in reader.reads)

    assert requests([3, 2, 9], EXACT) == [(2, 2), (9, 1)]
    assert requests([2, 5, 40], Manner(gap_bytes=8192)) == [(2, 4), (40, 1)]
    assert requests(list(range(1, 11)), Manner(request_bytes=16384)) == [(1, 4), (5, 4), (9, 2)]
    assert requests([1, 11, 31, 41], Manner(gap_bytes=0, most_pieces=2)) == [(1, 11), (31, 11)]
    file = PartialFile(CountingReader(content), tmp_path / "partial.bin", EXACT)
    assert file.read(99 * 4096 + 5, 10_000) == content[99 * 4096 + 5 :]
    assert file.read(len(content), 5) == b""
    file.close()


def test_reads_that_nobody_asked_for_end_in_the_whole_file(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(200 * 4096)
    reader = CountingReader(content)
    file = PartialFile(reader, tmp_path / "partial.bin", Manner(ahead_bytes=0, most_surprises=5, gap_bytes=0))
    for at in range(0, len(content), 8192):
        assert file.read(at, 100) == content[at : at + 100]
    assert len(reader.reads) < 20
    file.close()


@pytest.mark.parametrize("after", range(1, 6))
def test_a_source_that_changes_says_so_wherever_it_is_read(tmp_path: Path, after: int) -> None:
    content = build(tmp_path / "a.db", *SHAPES["long values first"])
    reader = CountingReader(content, changes_after=after)
    with pytest.raises(SourceChangedError), partial_of(reader, tmp_path, EXACT) as source:
        read_chunk(source, IdRange(10, 600), 2)


def number_at(content: bytearray, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size])


def ids_of_a_leaf(content: bytearray, page: int) -> None:
    """Set a bit in every rowid of a leaf."""
    for at in range(page + 8, page + 8 + 2 * number_at(content, page + 3, 2), 2):
        cell = page + number_at(content, at, 2)
        # After the length of the record, of two bytes at most.
        content[cell + 1 + (content[cell] > 127)] ^= 0x10


def put(content: bytearray, at: int, number: int) -> None:
    content[at : at + 4] = number.to_bytes(4)


def spoil(content: bytearray, tree: str, root: int, cell: int, child: int) -> None:
    """Spoil the tree of contacts. root: a page; cell: of an interior page; child: where the leaf begins that it names."""
    match tree:
        case "cycle":
            put(content, cell, root)
        case "page twice":
            put(content, cell + 7, child // 512 + 1)
        case "no such page":
            put(content, cell, 2**31)
        case "page of another kind":
            put(content, child, 2 << 24)
        case "keys that do not ascend":
            put(content, cell + 4, 0xC0 << 24)
        case "ids out of bounds":
            ids_of_a_leaf(content, child)


TREES = ("cycle", "page twice", "no such page", "page of another kind", "keys that do not ascend", "ids out of bounds")


@pytest.mark.parametrize("tree", TREES)
def test_a_hostile_tree_is_refused(tmp_path: Path, tree: str) -> None:
    path = tmp_path / "a.db"
    content = bytearray(build(path, *SHAPES["small pages"]))
    root = whole_of(path)[0].contacts.root_page
    base = (root - 1) * 512
    interior = (number_at(content, base + number_at(content, base + 12, 2), 4) - 1) * 512
    assert content[base] == content[interior] == 5
    cell = interior + number_at(content, interior + 12 + 2 * 20, 2)
    child = (number_at(content, cell, 4) - 1) * 512
    assert content[child] == 13
    spoil(content, tree, root, cell, child)
    with (
        pytest.raises(DatabaseError, match="The database is damaged"),
        partial_of(CountingReader(bytes(content)), tmp_path) as source,
    ):
        read_chunk(source, IdRange(None, 690), 2)


@pytest.mark.parametrize("target", [0, 1, 2, 7, 2**31])
def test_a_hostile_overflow_chain_ends(tmp_path: Path, target: int) -> None:
    path = tmp_path / "a.db"
    content = bytearray(build(path, "PRAGMA page_size = 4096", SHAPES["long values first"][1]))
    marks = [at for at in range(0, len(content), 4096) if content[at + 4 : at + 40] == b"0" * 36]
    assert len(marks) > ROWS // 2
    for at in marks:
        content[at : at + 4] = target.to_bytes(4)
    with partial_of(CountingReader(bytes(content)), tmp_path) as source:
        try:
            read = read_chunk(source, IdRange(10, 600), 2)
        except DatabaseError as error:
            sentence = str(error)
        else:
            sentence = ""
            assert read.contact_rows == 591
    assert "\n" not in sentence


def test_no_file_stays_open(tmp_path: Path) -> None:
    content = build(tmp_path / "a.db")
    before = len(apsw.vfs_names())
    with pytest.raises(DatabaseError), partial_of(CountingReader(content[:5000]), tmp_path) as source:
        read_chunk(source, IdRange(), 1)
    with partial_of(CountingReader(content), tmp_path) as source:
        read_chunk(source, IdRange(), 1)
    assert len(apsw.vfs_names()) == before
