"""Changesets that were damaged on their way, or made by somebody who means harm, applied to a live database."""

from datetime import date
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import apsw

from mailtide.database.changeset_apply import apply_file
from mailtide.database.invented import invent_database
from mailtide.errors import InputError
from mailtide.rules.config import load_rules
from tests.fuzz_files.guide import Target
from tests.fuzz_files.mutations import mutate_plain
from tests.integration.sync.days import live_through

_FIRST, _NEXT = date(2026, 11, 20), date(2026, 11, 21)
_OWN = b"email_schedules", b"scheduler_runs", b"mailtide_changeset"
_OTHERS = b"contacts", b"sqlite_schema", b"sqlite_sequence", b"suppressions", b"no_such_table", b"EMAIL_SCHEDULES"
_OPERATIONS = b"\x12\x17\x09"
_HISTORY = "UPDATE email_schedules SET status = 'sent', actual_send_datetime = '2026-11-20' WHERE id % 5 = 0"


@cache
def _days() -> tuple[bytes, bytes, bytes, bytes]:
    """A database without a schedule and with one, and the changesets that lead from each to the next."""
    with TemporaryDirectory(prefix="mailtide-fuzz-") as name:
        folder = Path(name)
        start = folder / "start.db"
        invent_database(start, 90, seed=11, bad_fraction=0.1)
        first = live_through(folder, start, _FIRST, load_rules("daily_cap_fraction: 0.05\n"))
        connection = apsw.Connection(str(first.after))
        connection.execute(_HISTORY)
        connection.close()
        second = live_through(folder, first.after, _NEXT)
        return start.read_bytes(), first.after.read_bytes(), first.changeset.read_bytes(), second.changeset.read_bytes()


def make_changesets(_folder: Path) -> list[bytes]:
    """Of a first run and of a daily one."""
    return [*_days()[2:]]


def _apply(path: Path) -> None:
    """To both databases; one of them it does not follow on, unless it was made to."""
    refusals = [_apply_to(path, before) for before in _days()[:2]]
    if all(refusals):
        raise InputError(refusals[0] or "")


def _apply_to(changeset: Path, before: bytes) -> str | None:
    """The refusal. What it leaves is untouched then, and sound otherwise; once more does nothing."""
    with TemporaryDirectory(prefix="mailtide-fuzz-") as name:
        live = Path(name) / "live.db"
        live.write_bytes(before)
        contacts = _contacts(live)
        try:
            apply_file(changeset, live)
        except InputError as error:
            if live.read_bytes() != before or [*live.parent.iterdir()] != [live]:
                raise AssertionError(f"the database was touched: {error}") from None
            return str(error).replace(str(changeset), "CHANGESET").replace(str(live), "LIVE")
        if _contacts(live) != contacts:
            raise AssertionError("other tables were changed")
        if not apply_file(changeset, live).already:
            raise AssertionError("it was applied twice")
    return None


def _contacts(path: Path) -> list[Any]:
    """All but our own tables; and the file is sound."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        if (said := connection.execute("PRAGMA integrity_check").get) != "ok":
            raise AssertionError(f"the database is damaged: {said}")
        rows: list[Any] = connection.execute("SELECT * FROM contacts").fetchall()
        return rows
    finally:
        connection.close()


def _mutate(content: bytes, random: Random) -> bytes:
    """Damage, or other tables and operations under the same bytes."""
    if random.random() < 0.6:
        return mutate_plain(content, random)
    changed = bytearray(content)
    if random.random() < 0.5:
        return content.replace(random.choice(_OWN), random.choice(_OTHERS), random.choice((1, -1)))
    for at in [at for at in range(len(changed)) if changed[at] in _OPERATIONS and random.random() < 0.02]:
        changed[at] = random.choice(_OPERATIONS)
    return bytes(changed)


CHANGESETS = Target({"apply": _apply}, _mutate, lambda _: ["apply"])
