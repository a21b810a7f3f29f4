"""Databases before and after a pass, with what it left beside them."""

import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import apsw

from mailtide.database.leave import Leave
from mailtide.database.untrusted import quoted
from mailtide.machine.report import Profile
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import Rules, load_rules

OURS = ("email_schedules", "scheduler_runs")


@dataclass(frozen=True)
class Day:
    """One pass: the database that it read, what it made of it, and what it left."""

    before: Path
    after: Path
    changeset: Path
    export: Path


def run_name(day: date) -> str:
    return f"{day:%Y%m%d}".ljust(20, "0")


def live_through(
    folder: Path,
    before: Path,
    day: date,
    rules: Rules | None = None,
    profile: Profile = "highperf",
    *,
    always: bool = True,
) -> Day:
    """The pass of a day over a copy of a database."""
    after = folder / f"{day}.db"
    shutil.copyfile(before, after)
    made = Day(before, after, folder / f"{day}.changeset", folder / f"{day}.parquet")
    leave = Leave(made.changeset, made.export, always)
    started = datetime(day.year, day.month, day.day, 10, 30, tzinfo=UTC)
    run_pass(after, day, rules or load_rules(), run_name(day), started, 2, profile, leave=leave)
    return made


def content(path: Path) -> dict[str, list[Any]]:
    """Every cell of our tables by column, with its type and bytes; rows by id."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = {}
    try:
        for table in OURS:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            cells = ", ".join(f"typeof({name}), CAST({name} AS BLOB)" for name in map(quoted, names))
            rows = connection.execute(f"SELECT {cells} FROM {table}").fetchall() if names else []
            found[table] = [names, *sorted(rows, key=repr)]
    finally:
        connection.close()
    return found


def copy_of(path: Path, name: str = "live.db") -> Path:
    return Path(shutil.copyfile(path, path.parent / name))


def assert_same(path: Path, other: Path) -> None:
    """The same tables, cell by cell; only what differs is shown."""
    one, two = content(path), content(other)
    for table in OURS:
        assert one[table][:1] == two[table][:1]
        assert [row for row in one[table] if row not in two[table]] == []
        assert [row for row in two[table] if row not in one[table]] == []
