"""A copy of a database while other programs write to it."""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mailtide.database.snapshot import consistent_copy
from mailtide.errors import DatabaseError
from tests.integration.cli.writers import busy_writer, writer

CREATE = "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT)"
WAL = ("PRAGMA journal_mode=wal", "PRAGMA wal_autocheckpoint=0", CREATE)


def insert(contact: int) -> str:
    return f"INSERT INTO contacts VALUES ({contact}, 'c{contact}@example.net', 'OH')"


def query(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute(sql)]


def beside(path: Path) -> dict[str, bytes]:
    """The database and its -wal or journal, byte for byte; -shm is scratch memory that readers write to."""
    names = [path.name, f"{path.name}-wal", f"{path.name}-journal"]
    return {name: (path.parent / name).read_bytes() for name in names if (path.parent / name).exists()}


def test_what_is_committed_to_the_wal_is_in_the_copy_and_nothing_else(tmp_path: Path) -> None:
    live, copy = tmp_path / "live.db", tmp_path / "copy.db"
    with writer(live) as first, writer(live) as second:
        first.execute(*WAL, insert(1))
        second.execute("PRAGMA wal_autocheckpoint=0", insert(2))
        first.execute("BEGIN", insert(3), "UPDATE contacts SET state = 'XX'")
        before = beside(live)
        assert len(before["live.db-wal"]) > 0
        consistent_copy(live, copy)
        assert beside(live) == before
        first.execute("COMMIT")
    assert query(copy, "SELECT id || state FROM contacts ORDER BY id") == ["1OH", "2OH"]
    assert query(copy, "PRAGMA integrity_check") == ["ok"]
    assert copy.read_bytes()[18:20] == b"\x01\x01"
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.db"]


def test_a_copy_in_the_middle_of_a_stream_of_commits_is_of_one_moment(tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    with closing(sqlite3.connect(live)) as connection:
        connection.executescript(
            "PRAGMA journal_mode=wal; CREATE TABLE one (id INTEGER PRIMARY KEY, n INT); CREATE TABLE filler (b BLOB);"
            "CREATE TABLE two (id INTEGER PRIMARY KEY, n INT); INSERT INTO one VALUES (1, 0);"
            "INSERT INTO two VALUES (1, 0);"
        )
    seen = []
    with busy_writer(live):
        for number in range(5):
            copy = tmp_path / f"copy{number}.db"
            consistent_copy(live, copy)
            seen.append((query(copy, "SELECT n FROM one"), query(copy, "SELECT n FROM two")))
            assert query(copy, "PRAGMA quick_check") == ["ok"]
    assert all(one == two for one, two in seen)
    assert seen[0] < seen[-1]


def test_a_writer_with_a_rollback_journal_is_not_disturbed(tmp_path: Path) -> None:
    live, copy = tmp_path / "live.db", tmp_path / "copy.db"
    with writer(live) as one:
        one.execute(CREATE, insert(1), "BEGIN IMMEDIATE", insert(2))
        consistent_copy(live, copy)
        one.execute("COMMIT")
    assert query(copy, "SELECT id FROM contacts") == [1]
    assert query(live, "SELECT id FROM contacts") == [1, 2]


def test_an_exclusive_writer_is_waited_for(tmp_path: Path) -> None:
    live, copy = tmp_path / "live.db", tmp_path / "copy.db"
    with writer(live) as one:
        one.execute(CREATE, insert(1), "BEGIN EXCLUSIVE", insert(2))
        copying = threading.Thread(target=consistent_copy, args=(live, copy))
        copying.start()
        time.sleep(0.3)
        assert copying.is_alive()
        one.execute("COMMIT")
        copying.join(timeout=15)
    assert query(copy, "SELECT id FROM contacts") == [1, 2]


def test_a_database_that_stays_locked_is_refused(tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    with writer(live) as one:
        one.execute(CREATE, "BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match="in use by another program"):
            consistent_copy(live, tmp_path / "copy.db")


def test_a_database_left_by_a_crash_is_refused_and_not_touched(tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    with writer(live) as one:
        one.execute(CREATE, *(insert(number) for number in range(50)))
        one.execute("PRAGMA cache_size=1", "PRAGMA cache_spill=1", "BEGIN EXCLUSIVE")
        one.execute(
            "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
            "INSERT INTO contacts SELECT i, hex(randomblob(200)), 'XX' FROM n"
        )
        one.kill()
    before = beside(live)
    assert len(before["live.db-journal"]) > 0
    with pytest.raises(DatabaseError, match="left in the middle of a write"):
        consistent_copy(live, tmp_path / "copy.db")
    assert beside(live) == before
