"""`mailtide schedule --dry-run` and `mailtide diff`, against plain SQL over the same files."""

import json
import shutil
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from mailtide.database.invented import invent_database
from tests.integration.pass_.files import FileMaker
from tests.integration.pass_.rows import execute, fingerprint, query
from tests.integration.pass_.test_commands import mailtide
from tests.reference.tables import Tables

DAY = ("--as-of", "2026-11-21")
PLANNED = ("pre-scheduled", "skipped")
OTHERS = ("scheduled_send_time", "skip_reason", "priority", "email_template", "sms_template")
SELECT = (
    "SELECT contact_id, email_type, event_date, campaign_instance_id, scheduled_send_date, status, "
    f"{', '.join(OTHERS)} FROM email_schedules"
)


def rows(path: Path) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    if not query(path, "SELECT 1 FROM sqlite_schema WHERE name = 'email_schedules'"):
        return {}
    return {tuple(row[:4]): tuple(row[4:]) for row in query(path, SELECT)}


def otherwise_changed(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    names = [name for name, left, right in zip(OTHERS, one[2:], other[2:], strict=True) if left != right]
    return names not in ([], ["skip_reason"]) or (names != [] and one[1] == other[1])


def kinds_of(one: tuple[Any, ...] | None, other: tuple[Any, ...] | None) -> list[tuple[str, dict[str, str]]]:
    """The kinds of change of one mail, and what each counts as on which day."""
    if one is None or other is None:
        kind, row = ("inserted", other) if one is None else ("deleted", one)
        assert row is not None
        return [(kind, {kind: row[0]})]
    found = [("moved", {"moved_away": one[0], "moved_here": other[0]})] if one[0] != other[0] else []
    found += [("status_changed", {"status_changed": other[0]})] if one[1] != other[1] else []
    return found + ([("changed", {"changed": other[0]})] if otherwise_changed(one, other) else [])


def expected(old: Path, new: Path) -> dict[str, Any]:
    """The counts, one row at a time."""
    before, after = rows(old), rows(new)
    totals: Counter[str] = Counter()
    types: dict[str, Counter[str]] = {}
    days: dict[str, Counter[str]] = {}
    for key in before.keys() | after.keys():
        one, other = before.get(key), after.get(key)
        if {row[1] for row in (one, other) if row}.isdisjoint(PLANNED):
            continue
        for kind, on in kinds_of(one, other):
            totals[kind] += 1
            types.setdefault(key[1], Counter())[kind] += 1
            for name, day in on.items():
                days.setdefault(day, Counter())[name] += 1
        totals["same"] += one == other
    return {**totals, "by_type": {name: dict(found) for name, found in types.items()}, "by_day": days}


def assert_changes(found: dict[str, Any], old: Path, new: Path) -> None:
    wanted = expected(old, new)
    assert {name: found[name] for name in ("by_type", "by_day")} == {n: wanted[n] for n in ("by_type", "by_day")}
    for name in ("inserted", "deleted", "moved", "status_changed", "changed", "same"):
        assert found[name] == wanted.get(name, 0), name
    assert sum(found["status_changes"].values()) == found["status_changed"]


@pytest.fixture
def scheduled(database: Path) -> Path:
    """The small database with a schedule of three weeks before."""
    mailtide("schedule", database, "--as-of", "2026-11-01")
    return database


def test_a_dry_run_sees_what_stands_only_in_a_wal_and_leaves_no_trace(scheduled: Path) -> None:
    writer = apsw.Connection(str(scheduled))
    writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    writer.pragma("journal_mode", "wal")
    writer.execute("DELETE FROM contacts WHERE id % 2 = 0").fetchall()
    writer.close()
    wal = scheduled.with_name(f"{scheduled.name}-wal")
    scheduled.with_name(f"{scheduled.name}-shm").unlink(missing_ok=True)
    before = fingerprint(scheduled), wal.read_bytes()
    assert before[1]
    said = json.loads(mailtide("schedule", scheduled, *DAY, "--dry-run", "--json"))
    assert said["report"]["deleted"] > said["report"]["unchanged"] * 0.8
    assert (fingerprint(scheduled), wal.read_bytes()) == before


@pytest.mark.parametrize("wal", [False, True])
def test_a_dry_run_says_what_the_run_then_does(scheduled: Path, tmp_path: Path, wal: bool) -> None:
    execute(scheduled, "UPDATE email_schedules SET status = 'sent' WHERE scheduled_send_date < '2026-11-21'")
    execute(scheduled, "UPDATE contacts SET birth_date = '1950-03-05' WHERE id % 7 = 0")
    if wal:
        execute(scheduled, "PRAGMA journal_mode=wal")
    old = Path(shutil.copyfile(scheduled, tmp_path / "old.db"))
    before = fingerprint(scheduled)
    said = json.loads(mailtide("schedule", scheduled, *DAY, "--dry-run", "--json"))
    shown = mailtide("schedule", scheduled, *DAY, "--dry-run")
    assert "This was a dry run: nothing was written." in shown
    assert fingerprint(scheduled) == before
    did = json.loads(mailtide("schedule", scheduled, *DAY, "--json"))
    for name in ("inserted", "updated", "deleted", "unchanged", "rows", "skips", "eligible"):
        assert said["report"][name] == did[name]
    assert_changes(said["changes"], old, scheduled)
    assert json.loads(mailtide("diff", old, scheduled, "--json")) == said["changes"]
    assert said["changes"]["inserted"] > 0
    assert said["changes"]["moved"] > 0


def test_a_first_dry_run_makes_no_table(database: Path) -> None:
    before = fingerprint(database)
    said = json.loads(mailtide("schedule", database, *DAY, "--dry-run", "--json"))
    assert said["changes"]["inserted"] == said["report"]["inserted"] > 0
    assert fingerprint(database) == before
    assert query(database, "SELECT name FROM sqlite_schema WHERE name = 'email_schedules'") == []


def test_what_was_sent_or_cancelled_has_a_new_status(scheduled: Path, tmp_path: Path) -> None:
    old = Path(shutil.copyfile(scheduled, tmp_path / "old.db"))
    execute(scheduled, "UPDATE email_schedules SET status = 'sent' WHERE id % 5 = 0 AND status = 'pre-scheduled'")
    execute(scheduled, "UPDATE email_schedules SET status = ' Cancelled' WHERE id % 5 = 1 AND status = 'skipped'")
    execute(scheduled, "DELETE FROM email_schedules WHERE id % 5 = 2")
    execute(scheduled, "UPDATE email_schedules SET scheduled_send_date = '2027-01-09' WHERE id % 5 = 3")
    changes = json.loads(mailtide("diff", old, scheduled, "--json"))
    assert_changes(changes, old, scheduled)
    assert set(changes["status_changes"]) == {"pre-scheduled -> sent", "skipped -> cancelled"}
    shown = mailtide("diff", old, scheduled)
    assert f"{changes['moved']:,} moved" in shown
    assert "--json has them all" in shown


def test_what_else_can_change_is_counted_by_column(scheduled: Path, tmp_path: Path) -> None:
    old = Path(shutil.copyfile(scheduled, tmp_path / "old.db"))
    planned = "status IN ('pre-scheduled', 'skipped')"
    for number, change in enumerate((
        "scheduled_send_time = '09:00:00'", "priority = priority + 1", "email_template = 'café'", "sms_template = ''",
        "skip_reason = 'frequency_limit', status = 'skipped', scheduled_send_date = '2027-03-03'", "email_template = NULL",
        "email_template = 'a' || char(10) || 'b'", "sms_template = 'x' || char(31)", "email_template = '  '",
    )):  # fmt: skip
        execute(scheduled, f"UPDATE email_schedules SET {change} WHERE id % 11 = {number} AND {planned}")
    changes = json.loads(mailtide("diff", old, scheduled, "--json"))
    assert set(changes["column_changes"]) == set(OTHERS)
    assert changes["column_changes"]["scheduled_send_time"] == query(
        old, f"SELECT count(*) FROM email_schedules WHERE id % 11 = 0 AND {planned}"
    )[0][0]  # fmt: skip
    # NULL, an empty text and a blank one are the same.
    execute(old, "UPDATE email_schedules SET sms_template = NULL WHERE sms_template = ''")
    execute(scheduled, "UPDATE email_schedules SET sms_template = NULL WHERE sms_template = ''")
    execute(scheduled, "UPDATE email_schedules SET email_template = NULL WHERE trim(email_template) = ''")
    assert_changes(changes, old, scheduled)
    shown = mailtide("diff", old, scheduled)
    assert f"{changes['changed']:,} otherwise changed" in shown
    assert "email_template" in shown


def test_equal_files_differ_in_nothing(scheduled: Path) -> None:
    changes = json.loads(mailtide("diff", scheduled, scheduled, "--json"))
    assert (changes["by_type"], changes["by_day"], changes["status_changes"]) == ({}, {}, {})
    planned = query(scheduled, "SELECT count(*) FROM email_schedules WHERE status IN ('pre-scheduled', 'skipped')")
    assert changes["same"] == planned[0][0]
    assert len(mailtide("diff", scheduled, scheduled).splitlines()) == 1


def test_of_several_rows_with_one_key_the_planned_one_with_the_lowest_id_counts(tmp_path: Path) -> None:
    paths = [tmp_path / "a.db", tmp_path / "b.db"]
    for path in paths:
        invent_database(path, 1, 1, 0.0)
        execute(path, "CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id, email_type, event_date, "
                      "scheduled_send_date, status, campaign_instance_id)")  # fmt: skip
    row = "(NULL, '1', 'Ünlike ', '2026-05-05x', '2026-05-0{}', '{}', NULL)"
    execute(paths[0], f"INSERT INTO email_schedules VALUES {row.format(1, 'failed')}, {row.format(2, 'SKIPPED ')}, "
                      f"{row.format(3, 'pre-scheduled')}")  # fmt: skip
    execute(paths[1], f"INSERT INTO email_schedules VALUES {row.format(2, 'skipped')}, "
                      "(NULL, 'x', 'birthday', '2026-05-05', '2026-05-05', 'skipped', 0), "
                      "(NULL, 1, x'00', '2026-05-05', '2026-05-05', 'skipped', 0)")  # fmt: skip
    changes = json.loads(mailtide("diff", *paths, "--json"))
    assert (changes["same"], changes["by_type"]) == (1, {})


@pytest.mark.parametrize("seed", range(4))
def test_values_in_every_spelling_are_read_without_failing(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "wild.db"
    kinds = ("birthday", "campaign_x", "aep")
    schedules = [
        {"id": number, "contact_id": number % 9, "email_type": kinds[number % 3], "event_date": f"2026-05-{number:02}",
         "scheduled_send_date": "2026-04-01", "status": "pre-scheduled", "campaign_instance_id": 0}
        for number in range(1, 28)
    ]  # fmt: skip
    contacts = [{"id": number, "email": "a@b.c", "state": "TX"} for number in range(9)]
    FileMaker(path, Random(seed), 0.3).write(Tables(contacts=contacts, schedules=schedules))
    changes = json.loads(mailtide("diff", path, path, "--json"))
    assert changes["by_day"] == {}
    assert changes["same"] > 0


@pytest.mark.parametrize("command", ["schedule --dry-run --as-of 2026-11-21 {}", "diff {} {}"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "empty"), (b"id,email\n" * 500, "not an SQLite database"), (b"SQLite format 3\x00", "truncated")],
)
def test_files_that_are_no_database(tmp_path: Path, command: str, content: bytes, sentence: str) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    path = folder / "bad.db"
    path.write_bytes(content)
    before = fingerprint(path)
    said = mailtide(*command.format(path, path).split(), code=2)
    assert sentence in said
    assert str(path) in said
    assert len(said.splitlines()) == 1
    assert fingerprint(path) == before


def test_a_damaged_schedule_is_refused(scheduled: Path) -> None:
    content = bytearray(scheduled.read_bytes())
    root = query(scheduled, "SELECT rootpage FROM sqlite_schema WHERE name = 'email_schedules'")[0][0]
    size = query(scheduled, "PRAGMA page_size")[0][0]
    content[(root - 1) * size : root * size] = b"\xa5" * size
    scheduled.write_bytes(content)
    assert "damaged" in mailtide("diff", scheduled, scheduled, code=2)
    assert "damaged" in mailtide("schedule", scheduled, *DAY, "--dry-run", code=2)


def test_a_view_in_the_place_of_the_schedule_is_refused(database: Path) -> None:
    execute(database, "CREATE VIEW email_schedules AS SELECT 1 AS id")
    assert "is a view" in mailtide("diff", database, database, code=2)
