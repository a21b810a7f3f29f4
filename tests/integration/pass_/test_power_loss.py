"""The reliable profile through a power failure at any instant: the file opens with the old schedule or the new one."""

import random
from datetime import date, datetime
from pathlib import Path
from typing import get_args

import apsw
import pytest

from mailtide.database.invented import invent_database
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.power_loss import Fate, Noted, NotingVFS
from tests.integration.pass_.rows import execute, query, schedule_of

LATER = date(2027, 3, 1)
INSTANTS = 120


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
    rules, folder = load_rules(), tmp_path / "organisation"
    folder.mkdir()
    path = folder / "contacts.db"
    invent_database(path, 60, seed=8, bad_fraction=0.1)
    execute(path, f"PRAGMA journal_mode={journal_mode.split(maxsplit=1)[0]}")
    if not first:
        run_pass(path, as_of, rules, "run-1", started)
    if journal_mode == "wal with frames":
        writer = apsw.Connection(str(path))
        writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        writer.execute("UPDATE contacts SET birth_date = '1950-05-05' WHERE id % 3 = 0")
        writer.close()
    has_table = bool(query(path, "SELECT 1 FROM sqlite_schema WHERE name = 'email_schedules'"))
    old = schedule_of(path) if has_table else None
    noted = Noted()
    vfs = NotingVFS(noted)
    try:
        assert run_pass(path, LATER, rules, "run-2", started, 2, "reliable").changed
    finally:
        vfs.unregister()
    new = schedule_of(path)
    assert new not in (old, [])
    chance = random.Random(4)
    instants = range(len(noted.changes) + 1)
    chosen = sorted(chance.sample(instants, min(INSTANTS, len(instants))))
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
