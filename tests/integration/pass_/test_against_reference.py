"""The whole pass on real files of every shape, against the reference: what is read, what is decided, what is written."""

import datetime
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.errors import DatabaseError
from mailtide.machine.report import Profile
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.files import FileMaker
from tests.property.rules.databases import databases, days_of_run, rules_texts
from tests.reference import changes, schedule, settings, tables, values

STARTED = datetime.datetime(2026, 11, 21, 10, 30, tzinfo=datetime.UTC)
COLUMNS = (
    "contact_id", "email_type", "event_date", "campaign_instance_id", "scheduled_send_date", "scheduled_send_time",
    "status", "skip_reason", "priority", "email_template", "sms_template",
)  # fmt: skip

type Stored = dict[int, tuple[Any, ...]]


def stored(path: Path) -> Stored:
    """Row id -> the columns of COLUMNS, as they stand; one that an older table lacks as it is added."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        there = {row[1] for row in connection.execute("PRAGMA table_info(email_schedules)")}
        added = {"campaign_instance_id": "0"}
        cells = [name if name in there else added.get(name, "NULL") for name in COLUMNS]
        quoted = ", ".join(f"typeof({cell}), CAST({cell} AS BLOB)" for cell in cells)
        return {row[0]: row[1:] for row in connection.execute(f"SELECT id, {quoted} FROM email_schedules")}
    finally:
        connection.close()


def values_of(path: Path, ids: set[int]) -> list[tuple[Any, ...]]:
    """The given rows, sorted, as the reference writes rows; an updated row keeps its contact_id as it is spelled."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    query = f"SELECT {', '.join(COLUMNS)} FROM email_schedules WHERE id = ?"
    try:
        rows = [connection.execute(query, (number,)).fetchall()[0] for number in ids]
    finally:
        connection.close()
    return sorted(((values.integer(contact), *rest) for contact, *rest in rows), key=repr)


def expected(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Desired rows of the reference as the table holds them."""

    def shown(value: object) -> object:
        return value.isoformat() if isinstance(value, datetime.date) else value

    return sorted((tuple(shown(row[name]) for name in COLUMNS) for row in rows), key=repr)


def owned_without_contact(path: Path, read: tables.Tables) -> set[int]:
    """Planned rows whose contact_id cannot be read: the pass owns them, no desired row has their key."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    known = {row["id"] for row in read.schedules}
    try:
        rows: list[Any] = connection.execute(
            "SELECT id, typeof(status), CAST(status AS BLOB) FROM email_schedules"
        ).fetchall()
        codec = {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}[connection.pragma("encoding")]
    finally:
        connection.close()
    return {
        number
        for number, kind, status in rows
        if number not in known
        and kind == "text"
        and bytes(status).decode(codec, errors="replace").strip().lower() in tables.PLANNED
    }


def made_by(path: Path, changed: bool) -> set[int]:
    """The rows that the pass inserted: new rows may take the ids of deleted ones. The files made here lack created_at."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    query = "SELECT id FROM email_schedules WHERE created_at IS NOT NULL"
    try:
        rows: list[Any] = connection.execute(query).fetchall() if changed else []
        return {row[0] for row in rows}
    finally:
        connection.close()


def twice(found: list[Any]) -> bool:
    return any(count > 1 for count in Counter(found).values())


def check(path: Path, text: str, as_of: datetime.date, threads: int, profile: Profile) -> None:
    """Run the pass, and compare its every change and count with the reference's."""
    read = tables.read(path)
    duplicated = any(
        twice([row[key] for row in rows]) for rows, key in ((read.contacts, "id"), (read.campaign_types, "name"))
    )
    if duplicated:
        original = path.read_bytes()
        with pytest.raises(DatabaseError, match=r"Two contacts|twice"):
            run_pass(path, as_of, load_rules(text), "run-1", STARTED, threads, profile)
        assert path.read_bytes() == original
        return
    result = schedule.desired(read, settings.load(text), as_of)
    wanted = changes.compare(read, result.rows)
    deleted = set(wanted.deleted) | owned_without_contact(path, read)
    before = stored(path)
    report = run_pass(path, as_of, load_rules(text), "run-1", STARTED, threads, profile)
    after = stored(path)

    updated = {number for number, _ in wanted.updated}
    inserted = made_by(path, report.changed)
    assert set(before) - (set(after) - inserted) == deleted
    kept = set(before) - deleted - updated
    assert {number: after[number] for number in kept} == {number: before[number] for number in kept}
    assert values_of(path, updated) == expected([row for _, row in wanted.updated])
    assert values_of(path, inserted) == expected(wanted.inserted)
    assert report.eligible == result.eligible
    assert report.skipped_contacts == {
        reason: count for reason, count in {"invalid_id": read.invalid_ids, **result.skipped_contacts}.items() if count
    }
    assert (report.inserted, report.updated, report.deleted, report.unchanged) == (
        len(wanted.inserted), len(updated), len(deleted), len(wanted.unchanged),
    )  # fmt: skip
    assert apsw.Connection(str(path)).pragma("integrity_check") == "ok"

    last_readable = datetime.date(2100, 12, 31)
    if any(max(row["event_date"], row["scheduled_send_date"]) > last_readable for row in result.rows):
        # Such dates read as NULL, also from our own rows: they are written again each time.
        return
    final = path.read_bytes()
    again = run_pass(path, as_of, load_rules(text), "run-2", STARTED, 3 - threads, profile)
    assert not again.changed
    assert path.read_bytes() == final


@given(st.data(), days_of_run, rules_texts(), st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.6]))
def test_whole_pass_does_what_the_reference_says(
    data: st.DataObject, as_of: datetime.date, text: str, seed: int, spoiling: float
) -> None:
    drawn = data.draw(databases(as_of, contacts=10, rows=12))
    random = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "organisation.db"
        FileMaker(path, random, spoiling).write(drawn)
        check(path, text, as_of, random.choice([1, 2]), random.choice(["highperf", "reliable"]))
