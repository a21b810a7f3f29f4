"""What a pass does to a file: the same rows however it is run, nothing when nothing changed, and no trace beside it."""

import json
import os
import random
import resource
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from pydantic import TypeAdapter

from mailtide.errors import DatabaseError
from mailtide.machine.report import PassReport, Profile
from mailtide.machine.schedule_pass import HARD_LINKS_WARNING, NO_CONTACTS_WARNING, run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import execute, fingerprint, query, schedule_of

RULES = load_rules()
PROFILES: list[Profile] = ["highperf", "reliable"]


def passed(path: Path, as_of: date, started: datetime, threads: int = 1, profile: Profile = "highperf") -> PassReport:
    return run_pass(path, as_of, RULES, f"run-{as_of}", started, threads, profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_second_run_writes_nothing(database: Path, as_of: date, started: datetime, profile: Profile) -> None:
    first = passed(database, as_of, started, 2, profile)
    assert first.changed
    assert first.inserted == query(database, "SELECT count(*) FROM email_schedules")[0][0] > 1000
    assert query(database, "SELECT run_id, as_of, inserted, status FROM scheduler_runs") == [
        (f"run-{as_of}", "2026-11-21", first.inserted, "done")
    ]
    before = fingerprint(database)
    second = passed(database, as_of, started, 1, profile)
    assert not second.changed
    assert (second.unchanged, second.rows, second.skips) == (first.inserted, first.rows, first.skips)
    assert fingerprint(database) == before
    assert before[3] == ["contacts.db"]


def test_a_file_is_replaced_for_many_differences_and_changed_in_place_for_few(
    database: Path, as_of: date, started: datetime
) -> None:
    for days, is_replaced in ((0, True), (1, False), (120, True)):
        before, pages = database.stat().st_ino, query(database, "PRAGMA page_count")[0][0]
        report = passed(database, as_of + timedelta(days=days), started + timedelta(days=days))
        differences = report.inserted + report.updated + report.deleted
        assert (days == 0 or 3 * differences >= pages // 2) == is_replaced
        assert differences > 0
        assert (database.stat().st_ino != before) == is_replaced
        assert [beside.name for beside in database.parent.iterdir()] == ["contacts.db"]


def test_a_copy_is_on_the_disk_before_it_takes_the_place_of_the_file(
    database: Path, as_of: date, started: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []

    def noting(name: str) -> None:
        genuine = getattr(os, name)

        def noted(what: Any, *more: Any) -> None:  # noqa: ANN401 - a descriptor or a path
            calls.append((name, (os.fstat(what) if isinstance(what, int) else what.stat()).st_ino))
            genuine(what, *more)

        monkeypatch.setattr(os, name, noted)

    noting("fsync")
    noting("rename")
    passed(database, as_of, started)
    copy = database.stat().st_ino
    assert calls == [("fsync", copy), ("rename", copy), ("fsync", database.parent.stat().st_ino)]


def test_a_disk_that_is_full_is_not_called_damage(database: Path, as_of: date, started: datetime) -> None:
    """Full when half of the WAL is in the file: all of it still stands in the WAL."""
    passed(database, as_of, started)
    tomorrow, limits = as_of + timedelta(days=1), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (database.stat().st_size, limits[1]))
    try:
        with pytest.raises(OSError, match="Input/output error"):
            passed(database, tomorrow, started)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert database.with_name("contacts.db-wal").stat().st_size > 0
    assert query(database, "PRAGMA integrity_check") == [("ok",)]
    assert not passed(database, tomorrow, started).changed


def test_rows_have_their_times_and_the_run(database: Path, as_of: date, started: datetime) -> None:
    passed(database, as_of, started)
    found = query(database, "SELECT DISTINCT scheduler_run_id, created_at, updated_at FROM email_schedules")
    assert found == [("run-2026-11-21", "2026-11-21T10:30:00Z", "2026-11-21T10:30:00Z")]
    later = started + timedelta(days=7)
    report = passed(database, as_of + timedelta(days=7), later)
    assert report.updated > 0
    updated = query(database, "SELECT count(*) FROM email_schedules WHERE updated_at > created_at")
    assert updated == [(report.updated,)]


def test_profiles_threads_and_the_order_of_rows_make_no_difference(
    database: Path, tmp_path: Path, as_of: date, started: datetime
) -> None:
    passed(database, as_of, started)
    wanted = schedule_of(database)
    rows = query(database, "SELECT * FROM contacts")
    random.Random(1).shuffle(rows)
    for number, (profile, threads) in enumerate(
        (profile, threads) for profile in PROFILES for threads in (1, 2, 5, 32)
    ):
        other = tmp_path / f"other{number}.db"
        # Without an INTEGER PRIMARY KEY the rows lie in the order in which they came.
        execute(
            other, "CREATE TABLE contacts (id, f, l, email, phone_number, zip_code, state, birth_date, effective_date)"
        )
        execute(other, "CREATE TABLE suppressions (email)")
        connection = apsw.Connection(str(other))
        with connection:
            connection.executemany("INSERT INTO contacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            listed = query(database, "SELECT email FROM suppressions")
            connection.executemany("INSERT INTO suppressions VALUES (?)", listed)
        connection.close()
        passed(other, as_of, started, threads, profile)
        assert schedule_of(other) == wanted


@pytest.mark.parametrize("first", [-(2**40), -500, 2**31 - 1_000, 2**31, 2**62])
def test_row_ids_of_any_size_make_no_difference(
    database: Path, tmp_path: Path, as_of: date, started: datetime, first: int
) -> None:
    passed(database, as_of, started)
    other = tmp_path / "other.db"
    other.write_bytes(database.read_bytes())
    # In two steps, since no two rows may have one id on the way.
    execute(other, "UPDATE email_schedules SET id = -id - 4000000000000000000")
    execute(other, f"UPDATE email_schedules SET id = -id - 4000000000000000000 + {first}")
    again = passed(other, as_of, started)
    assert (again.changed, again.unchanged) == (False, query(other, "SELECT count(*) FROM email_schedules")[0][0])
    day = as_of + timedelta(days=7)
    wanted, found = passed(database, day, started), passed(other, day, started, 2)
    assert min(found.updated, found.deleted, found.inserted) > 0
    assert (found.inserted, found.updated, found.deleted) == (wanted.inserted, wanted.updated, wanted.deleted)
    assert schedule_of(other) == schedule_of(database)


def test_a_year_of_runs_equals_a_fresh_one(
    database: Path, invented: Path, tmp_path: Path, as_of: date, started: datetime
) -> None:
    for days in (0, 1, 30, 365):
        passed(database, as_of + timedelta(days=days), started, 2, PROFILES[days % 2])
    fresh = tmp_path / "fresh.db"
    fresh.write_bytes(invented.read_bytes())
    passed(fresh, as_of + timedelta(days=365), started)
    assert schedule_of(database) == schedule_of(fresh)
    assert query(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_file_keeps_its_journal_mode_and_permissions(
    database: Path, as_of: date, started: datetime, profile: Profile, mode: str
) -> None:
    execute(database, f"PRAGMA journal_mode = {mode}")
    database.chmod(0o640)
    report = passed(database, as_of, started, 1, profile)
    assert query(database, "PRAGMA journal_mode") == [(mode,)]
    assert database.stat().st_mode & 0o777 == 0o640
    assert any("WAL" in warning for warning in report.warnings) == (mode == "wal")
    passed(database, as_of + timedelta(days=1), started, 1, profile)
    before = fingerprint(database)
    assert not passed(database, as_of + timedelta(days=1), started, 1, profile).changed
    assert fingerprint(database) == before


@pytest.mark.parametrize("profile", PROFILES)
def test_rows_that_are_only_in_the_wal_count(database: Path, as_of: date, started: datetime, profile: Profile) -> None:
    writer = apsw.Connection(str(database))
    writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    writer.pragma("journal_mode", "wal")
    writer.execute("INSERT INTO contacts (id, email, state) VALUES (99999, 'late@example.com', 'TX')")
    writer.close()
    assert database.with_name("contacts.db-wal").stat().st_size > 0
    report = passed(database, as_of, started, 1, profile)
    assert report.contacts == 2001
    assert not any("WAL" in warning for warning in report.warnings)
    assert query(database, "SELECT count(*) > 0 FROM email_schedules WHERE contact_id = 99999") == [(1,)]
    assert query(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_refused_file_keeps_what_stands_in_its_wal(
    database: Path, as_of: date, started: datetime, profile: Profile
) -> None:
    execute(
        database,
        "CREATE TABLE people AS SELECT id, email, state FROM contacts; "
        "DROP TABLE contacts; ALTER TABLE people RENAME TO contacts",
    )
    writer = apsw.Connection(str(database))
    writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    writer.pragma("journal_mode", "wal")
    writer.execute("INSERT INTO contacts (id, email, state) SELECT min(id), 'twin@example.com', 'TX' FROM contacts")
    writer.close()
    wal = database.with_name("contacts.db-wal")
    before = database.read_bytes(), wal.read_bytes()
    assert before[1]
    with pytest.raises(DatabaseError, match="Two contacts"):
        passed(database, as_of, started, 1, profile)
    assert (database.read_bytes(), wal.read_bytes()) == before
    execute(database, "DELETE FROM contacts WHERE email = 'twin@example.com'")
    assert passed(database, as_of, started, 1, profile).contacts == 2000


@pytest.mark.parametrize("profile", PROFILES)
def test_a_run_without_changes_leaves_a_wal_alone(
    database: Path, as_of: date, started: datetime, profile: Profile
) -> None:
    execute(database, "CREATE TABLE notes (note)")
    passed(database, as_of, started, 1, profile)
    writer = apsw.Connection(str(database))
    writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    writer.pragma("journal_mode", "wal")
    writer.execute("INSERT INTO notes VALUES ('late')")
    writer.close()
    wal = database.with_name("contacts.db-wal")
    before = database.read_bytes(), wal.read_bytes()
    assert not passed(database, as_of, started, 1, profile).changed
    assert (database.read_bytes(), wal.read_bytes()) == before
    assert query(database, "SELECT note FROM notes") == [("late",)]


def test_a_hot_journal_is_rolled_back(database: Path, as_of: date, started: datetime, tmp_path: Path) -> None:
    writer = apsw.Connection(str(database))
    writer.pragma("cache_size", 1)
    writer.execute("BEGIN; UPDATE contacts SET email = 'gone'; DELETE FROM suppressions").fetchall()
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for suffix in ("", "-journal"):
        (crashed / f"contacts.db{suffix}").write_bytes(database.with_name(f"contacts.db{suffix}").read_bytes())
    writer.close()
    report = passed(crashed / "contacts.db", as_of, started)
    assert report.eligible == passed(database, as_of, started).eligible > 1000
    assert schedule_of(crashed / "contacts.db") == schedule_of(database)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_file_in_use_is_refused(database: Path, as_of: date, started: datetime, profile: Profile, mode: str) -> None:
    execute(database, f"PRAGMA journal_mode = {mode}")
    other = apsw.Connection(str(database))
    other.execute("BEGIN IMMEDIATE")
    before = database.read_bytes()
    with pytest.raises(DatabaseError, match="in use by another program"):
        passed(database, as_of, started, 1, profile)
    other.execute("ROLLBACK")
    other.close()
    assert database.read_bytes() == before
    assert passed(database, as_of, started, 1, profile).changed


def test_a_symbolic_link_stays_one(database: Path, tmp_path: Path, as_of: date, started: datetime) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(database)
    assert passed(link, as_of, started).changed
    assert link.is_symlink()
    assert schedule_of(database)


def test_all_names_of_a_file_see_the_schedule(database: Path, tmp_path: Path, as_of: date, started: datetime) -> None:
    name = tmp_path / "second-name.db"
    os.link(database, name)
    report = passed(database, as_of, started)
    assert HARD_LINKS_WARNING in report.warnings
    assert schedule_of(name) == schedule_of(database) != []
    assert name.stat().st_ino == database.stat().st_ino


def test_copies_that_killed_passes_left_are_removed(database: Path, as_of: date, started: datetime) -> None:
    stale = database.with_name(".contacts.db.mailtide-abc")
    stale.write_bytes(b"x")
    passed(database, as_of, started)
    assert fingerprint(database)[3] == ["contacts.db"]


def test_no_contacts_is_an_empty_schedule_and_a_warning(tmp_path: Path, as_of: date, started: datetime) -> None:
    path = tmp_path / "empty.db"
    execute(path, "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT)")
    before = path.read_bytes()
    report = passed(path, as_of, started)
    assert (report.contacts, report.eligible, report.changed, report.warnings) == (0, 0, False, [NO_CONTACTS_WARNING])
    assert path.read_bytes() == before


def test_the_report_is_json(database: Path, as_of: date, started: datetime) -> None:
    report = passed(database, as_of, started)
    assert TypeAdapter(PassReport).validate_json(json.dumps(report.plain())) == report
    assert sum(sum(counts.values()) for counts in report.rows.values()) == report.inserted
    assert sum(report.skips.values()) == sum(counts["skipped"] for counts in report.rows.values())
    assert report.eligible + sum(report.skipped_contacts.values()) == report.contacts == 2000
