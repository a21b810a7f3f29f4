"""A file that is changed in place through a power failure at any instant: it opens with the old schedule or the new one."""

import random
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import get_args

import apsw
import pytest

from mailtide.database.invented import invent_database
from mailtide.machine.report import Profile
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.power_loss import Fate, Noted, NotingVFS
from tests.integration.pass_.rows import execute, query, schedule_of

LATER = date(2027, 3, 1)
INSTANTS = 120
FEW_INSTANTS = 30


def recovered(folder: Path, disk: dict[str, bytes]) -> Path:
    """The files of a disk, opened by a program that may write."""
    folder.mkdir()
    for name, content in disk.items():
        (folder / Path(name).name).write_bytes(content)
    path = folder / "contacts.db"
    execute(path, "SELECT count(*) FROM sqlite_schema")
    return path


@pytest.mark.parametrize("journal_mode", ["delete", "wal", "wal with frames"])
@pytest.mark.parametrize("first", [True, False])
def test_old_or_new(tmp_path: Path, as_of: date, started: datetime, journal_mode: str, first: bool) -> None:
    rules, path = load_rules(), organisation(tmp_path)
    execute(path, f"PRAGMA journal_mode={journal_mode.split(maxsplit=1)[0]}")
    if not first:
        run_pass(path, as_of, rules, "run-1", started)
    if journal_mode == "wal with frames":
        writer = apsw.Connection(str(path))
        writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        writer.execute("UPDATE contacts SET birth_date = '1950-05-05' WHERE id % 3 = 0")
        writer.close()
    assert_old_or_new(tmp_path, path, LATER, started, "reliable", INSTANTS)


def test_old_or_new_where_little_changes(tmp_path: Path, as_of: date, started: datetime) -> None:
    rules, path = load_rules(), organisation(tmp_path)
    execute(path, "PRAGMA page_size = 512; VACUUM")
    run_pass(path, as_of, rules, "run-1", started)
    inode = path.stat().st_ino
    assert_old_or_new(tmp_path, path, as_of + timedelta(days=1), started, "highperf", FEW_INSTANTS)
    assert path.stat().st_ino == inode


def organisation(folder: Path) -> Path:
    """A small database, alone in its folder."""
    path = folder / "organisation" / "contacts.db"
    path.parent.mkdir()
    invent_database(path, 60, seed=8, bad_fraction=0.1)
    return path


def assert_old_or_new(
    tmp_path: Path, path: Path, day: date, started: datetime, profile: Profile, instants: int
) -> None:
    """Run the pass of a day, and look at the disk after some of its writes."""
    has_table = bool(query(path, "SELECT 1 FROM sqlite_schema WHERE name = 'email_schedules'"))
    old = schedule_of(path) if has_table else None
    noted = Noted()
    vfs = NotingVFS(noted)
    try:
        assert run_pass(path, day, load_rules(), "run-2", started, 2, profile).changed
    finally:
        vfs.unregister()
    new = schedule_of(path)
    assert new not in (old, [])
    chance = random.Random(4)
    calls = range(len(noted.changes) + 1)
    chosen = sorted(chance.sample(calls, min(instants, len(calls))))
    seen: set[str] = set()
    for number in [*chosen, len(noted.changes)]:
        for fate in get_args(Fate.__value__):
            place = tmp_path / f"{number}-{fate}-{len(seen)}-{chance.random()}"
            after = recovered(place, noted.disk_after(number, fate, chance))
            assert query(after, "PRAGMA integrity_check") == [("ok",)]
            has_table = bool(query(after, "SELECT 1 FROM sqlite_schema WHERE name = 'email_schedules'"))
            found = schedule_of(after) if has_table else None
            assert found in (old, new), (number, fate, noted.changes[number - 1 : number + 1])
            seen.add("new" if found == new else "old")
    assert seen == {"old", "new"}
