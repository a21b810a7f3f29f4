"""Planning over ranged reads: a few dozen of them, an estimate within a few per cent, and no more than the budget."""

from pathlib import Path

import apsw
import pytest

from mailtide.database.estimate import inspect_database
from mailtide.database.header import MISSING_WAL_WARNING
from mailtide.database.local_reader import LocalReader
from mailtide.database.ranged import BLOCK_BYTES, BlockCache, open_ranged
from mailtide.errors import BudgetExceededError, DatabaseError, SourceChangedError
from tests.integration.pass_.rows import execute


class CountingReader:
    """A file in memory that remembers how it was read."""

    def __init__(self, content: bytes, changes_after: int | None = None) -> None:
        self.size_bytes = len(content)
        self.reads: list[tuple[int, int]] = []
        self._content, self._changes_after = content, changes_after

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        if self._changes_after is not None and len(self.reads) > self._changes_after:
            raise SourceChangedError("The ETag is another one.")
        return self._content[offset : offset + length]


def make(path: Path, contacts: int, page_size: int = 4096, width: int = 40, encoding: str = "UTF-8") -> bytes:
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {page_size}; PRAGMA encoding = '{encoding}'").fetchall()
    connection.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, zip_code TEXT, notes TEXT); BEGIN")
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO contacts "
        "SELECT i * 3, 'someone' || i || '@example.com', '90210', "
        "substr(hex(zeroblob(200)), 1, abs(random() % ?)) FROM n LIMIT ?",
        (contacts, width, contacts),
    )
    connection.execute("COMMIT")
    connection.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("contacts", "page_size", "encoding"),
    [
        (0, 4096, "UTF-8"),
        (1, 512, "UTF-8"),
        (50, 4096, "UTF-16le"),
        (5000, 512, "UTF-8"),
        (20000, 65536, "UTF-8"),
        (200000, 4096, "UTF-8"),
        (200000, 1024, "UTF-16be"),
    ],
)
def test_the_estimate_is_near(tmp_path: Path, contacts: int, page_size: int, encoding: str) -> None:
    reader = CountingReader(make(tmp_path / "a.db", contacts, page_size, encoding=encoding))
    facts = inspect_database(reader)
    assert facts.contacts_estimate == pytest.approx(contacts, rel=0.04, abs=0)
    assert facts.requests == len(reader.reads) <= 64
    assert facts.bytes_read == sum(length for _, length in reader.reads) <= 64 * BLOCK_BYTES
    assert len(set(reader.reads)) == len(reader.reads)
    assert (facts.page_size, facts.size_bytes, facts.tables) == (page_size, reader.size_bytes, ["contacts"])
    assert facts.encoding == {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}[encoding]


def test_half_of_the_rows_deleted_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    make(path, 100_000)
    execute(path, "DELETE FROM contacts WHERE id % 2 = 0 OR id BETWEEN 90000 AND 150000")
    connection = apsw.Connection(str(path))
    left = connection.execute("SELECT count(*) FROM contacts").get
    connection.close()
    with LocalReader(path) as reader:
        assert inspect_database(reader).contacts_estimate == pytest.approx(left, rel=0.15)


def test_a_file_in_wal_mode_opens_and_warns(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    make(path, 100)
    execute(path, "PRAGMA journal_mode = wal")
    facts = inspect_database(CountingReader(path.read_bytes()))
    assert facts.journal_mode_wal
    assert facts.warnings == [MISSING_WAL_WARNING]
    assert facts.contacts_estimate == 100


def test_a_source_that_changes_says_so(tmp_path: Path) -> None:
    content = make(tmp_path / "a.db", 50_000)
    for reads in range(4):
        with pytest.raises(SourceChangedError):
            inspect_database(CountingReader(content, changes_after=reads))


def test_a_local_file_that_changes_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    make(path, 10)
    with LocalReader(path) as reader:
        execute(path, "INSERT INTO contacts (id) VALUES (1)")
        with pytest.raises(SourceChangedError):
            inspect_database(reader)


def test_the_budget_is_kept(tmp_path: Path) -> None:
    content = make(tmp_path / "a.db", 50_000)
    cache = BlockCache(CountingReader(content), max_requests=5)
    with pytest.raises(BudgetExceededError), open_ranged(cache) as connection:
        connection.execute("SELECT count(*) FROM contacts").fetchall()
    assert cache.requests == 5
    cache = BlockCache(CountingReader(content), max_bytes=3 * BLOCK_BYTES)
    with pytest.raises(BudgetExceededError), open_ranged(cache) as connection:
        connection.execute("SELECT count(*) FROM contacts").fetchall()
    assert cache.bytes_read <= 3 * BLOCK_BYTES


def test_whole_queries_work_and_nothing_can_be_written(tmp_path: Path) -> None:
    cache = BlockCache(CountingReader(make(tmp_path / "a.db", 1000)))
    with open_ranged(cache) as connection:
        assert connection.execute("SELECT count(*), max(id) FROM contacts").fetchall() == [(1000, 3000)]
    with pytest.raises(DatabaseError), open_ranged(cache) as connection:
        connection.execute("DELETE FROM contacts")


def test_vfs_are_unregistered(tmp_path: Path) -> None:
    before = apsw.vfs_names()
    inspect_database(CountingReader(make(tmp_path / "a.db", 10)))
    assert apsw.vfs_names() == before
