"""A first schedule that is written as whole b-trees is, row by row and index by index, the one that SQLite writes."""

import random
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtide.database.building.encode import serial_types, varint, varint_bytes
from mailtide.database.building.tree import PageWriter
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import query

DAY, STARTED = date(2026, 11, 21), datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
RULES = load_rules()
EVERYTHING = "SELECT * FROM email_schedules ORDER BY id"
PLANNED = "status IN ('pre-scheduled', 'skipped')"
BY_KEY = (
    "SELECT contact_id, email_type, event_date, campaign_instance_id, id FROM email_schedules "
    f"INDEXED BY email_schedules_planned_key WHERE {PLANNED} ORDER BY 1, 2, 3, 4"
)
BY_DUE = (
    "SELECT status, scheduled_send_date, id FROM email_schedules INDEXED BY email_schedules_due "
    f"WHERE {PLANNED} ORDER BY 1, 2, 3"
)


def build(path: Path, ids: list[int], page_size: int, kinds: int, seed: int, freed: int = 0) -> None:
    """A database of contacts, some of whom get campaigns; with free pages in the middle."""
    chance = random.Random(seed)
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("page_size", page_size)
        connection.execute("CREATE TABLE junk (text)")
        connection.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, email, state, birth_date, effective_date)")
        connection.execute("CREATE TABLE campaign_types (name, days_before_event, priority)")
        connection.execute("CREATE TABLE campaign_instances (id, campaign_type, instance_name, email_template)")
        connection.execute("CREATE TABLE contact_campaigns (contact_id, campaign_instance_id, trigger_date)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO junk VALUES (?)", [("x" * 900,)] * freed)
        day = [f"19{chance.randrange(40, 99)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}" for _ in ids]
        states = [chance.choice(["TX", "CA", "NV", "NY", "MO"]) for _ in ids]
        people = [(number, "a@b.cd", state, born, born) for number, state, born in zip(ids, states, day, strict=True)]
        connection.executemany("INSERT INTO contacts VALUES (?, ?, ?, ?, ?)", people)
        instances = [-5, 0, 1, 2, 300, 70_000, 2**40, 2**62][:kinds]
        for number in instances:
            connection.execute("INSERT INTO campaign_types VALUES (?, 3, ?)", (f"späte aktion {number}", number % 99))
            template = chance.choice(["t", "länger" * 9, None])
            connection.execute(
                "INSERT INTO campaign_instances VALUES (?, ?, 'i', ?)", (number, f"späte aktion {number}", template)
            )
        targets = [
            (who, chance.choice(instances), f"2027-0{chance.randrange(1, 10)}-11") for who in ids[: 200 * bool(kinds)]
        ]
        connection.executemany("INSERT INTO contact_campaigns VALUES (?, ?, ?)", targets)
        connection.execute("DROP TABLE junk")
        connection.execute("COMMIT")


def both(path: Path, threads: int = 2) -> tuple[list[list[Any]], list[list[Any]]]:
    """What three scans of the schedule give, of a built one and of SQLite's."""
    other = path.with_name("other.db")
    other.write_bytes(path.read_bytes())
    run_pass(path, DAY, RULES, "run-1", STARTED, threads, "highperf")
    run_pass(other, DAY, RULES, "run-1", STARTED, threads, "reliable")
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    built, usual = ([query(file, sql) for sql in (EVERYTHING, BY_KEY, BY_DUE)] for file in (path, other))
    other.unlink()
    return built, usual


IDS = {
    "small": list(range(1, 1_500)),
    "wide": [number * 9_973 for number in range(-700, 700)],
    "huge": [-(2**63), -(2**40), -129, -128, -1, 0, 1, 127, 128, 32_768, 2**23, 2**31, 2**31 + 7, 2**47, 2**63 - 1],
}


@pytest.mark.parametrize("page_size", [512, 1024, 4096, 65_536])
@pytest.mark.parametrize("ids", sorted(IDS))
def test_it_is_what_sqlite_writes(tmp_path: Path, page_size: int, ids: str) -> None:
    path = tmp_path / "a.db"
    build(path, IDS[ids], page_size, kinds=8, seed=3, freed=50)
    built, usual = both(path)
    assert built == usual
    assert len(built[0]) > 2 * len(IDS[ids])
    again = run_pass(path, DAY, RULES, "run-2", STARTED, 2)
    assert (again.inserted, again.updated, again.deleted) == (0, 0, 0)
    later = run_pass(path, date(2027, 2, 3), RULES, "run-3", STARTED, 2)
    assert later.updated + later.inserted + later.deleted > 0
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


@settings(max_examples=25)
@given(st.integers(1, 400), st.sampled_from([512, 4096]), st.integers(0, 4), st.integers(1, 3))
def test_trees_of_every_size(
    tmp_path_factory: pytest.TempPathFactory, contacts: int, page_size: int, kinds: int, threads: int
) -> None:
    path = tmp_path_factory.mktemp("built") / "a.db"
    build(path, list(range(contacts)), page_size, kinds, seed=contacts)
    built, usual = both(path, threads)
    assert built == usual


@pytest.mark.parametrize(
    "pragma", ["auto_vacuum = 1", "encoding = 'UTF-16le'", "user_version = 7", "journal_mode = wal"]
)
def test_what_the_owner_chose_stays(tmp_path: Path, pragma: str) -> None:
    path = tmp_path / "a.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute("CREATE TABLE first (x)")
    build(path, IDS["small"], 4096, kinds=2, seed=1)
    name = pragma.split(maxsplit=1)[0]
    before = query(path, f"PRAGMA {name}")
    built, usual = both(path)
    assert built == usual
    assert query(path, f"PRAGMA {name}") == before


def test_the_page_of_the_lock_byte_stays_free() -> None:
    for page_size in (512, 4096, 65_536):
        lock_page = (1 << 30) // page_size + 1
        file = PageWriter(-1, page_size, lock_page - 3)
        assert file.allocate(4).tolist() == [lock_page - 2, lock_page - 1, lock_page + 1, lock_page + 2]
        assert file.allocate(2).tolist() == [lock_page + 3, lock_page + 4]
        at_it = PageWriter(-1, page_size, lock_page - 1)
        assert at_it.allocate(1).tolist() == [lock_page + 1]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_integers_take_the_bytes_that_sqlite_gives_them(values: list[int]) -> None:
    def bits_of(kind: int) -> int:
        return {1: 8, 2: 16, 3: 24, 4: 32, 5: 48, 6: 64, 8: 0, 9: 0}[kind]

    for value, kind in zip(values, serial_types(np.array(values, np.int64)).tolist(), strict=True):
        assert value == kind - 8 if kind >= 8 else -(1 << bits_of(kind) - 1) <= value < 1 << bits_of(kind) - 1
        assert kind in (1, 8, 9) or not -(1 << bits_of(kind - 1) - 1) <= value < 1 << bits_of(kind - 1) - 1
    small = [value & (1 << 56) - 1 for value in values]
    assert [len(varint(value)) for value in small] == varint_bytes(np.array(small, np.int64)).tolist()
