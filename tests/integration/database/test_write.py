"""What a pass makes of older tables, foreign constraints and odd planned rows (spec §9, §10)."""

from datetime import UTC, date, datetime
from pathlib import Path

import apsw
import pytest

from mailtide.machine.report import PassReport
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import execute, query, schedule_of

RULES = load_rules(
    "max_emails_per_period: null\nstates: {}\naep_dates: []\ntemplates: {birthday: {email: hello, sms: hi}}"
)
AS_OF = date(2026, 11, 21)
STARTED = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
PEOPLE = (
    "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT, birth_date TEXT, phone_number TEXT);"
    "INSERT INTO contacts VALUES (1, 'a@b.c', 'TX', '1950-01-20', '1'), (2, 'b@b.c', 'TX', '1951-02-20', NULL),"
    "(3, 'c@b.c', 'TX', '1952-03-20', NULL);"
)
FIRST = ("birthday", "2027-01-20", "2027-01-06", "08:30:00", "pre-scheduled", None, 10, 0, "hello", "hi")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    execute(tmp_path / "a.db", PEOPLE)
    return tmp_path / "a.db"


def run(path: Path, run_id: str = "run-1") -> PassReport:
    return run_pass(path, AS_OF, RULES, run_id, STARTED, 1)


def assert_settled(path: Path) -> None:
    before = path.read_bytes()
    assert not run(path, "again").changed
    assert path.read_bytes() == before
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def indexes(path: Path) -> list[str]:
    return [
        row[0]
        for row in query(path, "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1")
    ]


def test_the_table_of_a_first_run(path: Path) -> None:
    assert run(path).inserted == 3
    columns = [tuple(row[1:6]) for row in query(path, "PRAGMA table_info(email_schedules)")]
    assert columns == [
        ("id", "INTEGER", 0, None, 1),
        ("contact_id", "INTEGER", 1, None, 0),
        ("email_type", "TEXT", 1, None, 0),
        ("event_date", "DATE", 1, None, 0),
        ("scheduled_send_date", "DATE", 1, None, 0),
        ("scheduled_send_time", "TIME", 1, None, 0),
        ("status", "TEXT", 1, None, 0),
        ("skip_reason", "TEXT", 0, None, 0),
        ("priority", "INTEGER", 1, None, 0),
        ("campaign_instance_id", "INTEGER", 1, "0", 0),
        ("email_template", "TEXT", 0, None, 0),
        ("sms_template", "TEXT", 0, None, 0),
        ("scheduler_run_id", "TEXT", 0, None, 0),
        ("created_at", "TEXT", 0, None, 0),
        ("updated_at", "TEXT", 0, None, 0),
        ("actual_send_datetime", "TEXT", 0, None, 0),
    ]
    assert schedule_of(path)[0] == (1, FIRST[0], FIRST[1], 0, *FIRST[2:7], *FIRST[8:])
    assert schedule_of(path)[1][-1] is None
    assert indexes(path) == ["email_schedules_due", "email_schedules_planned_key"]
    with pytest.raises(apsw.ConstraintError):
        execute(path, "INSERT INTO email_schedules SELECT 99, contact_id, email_type, event_date, scheduled_send_date, "
                "scheduled_send_time, status, skip_reason, priority, campaign_instance_id, NULL, NULL, NULL, NULL, NULL, NULL "
                "FROM email_schedules LIMIT 1")  # fmt: skip
    assert_settled(path)


def test_deletes_updates_and_inserts(path: Path) -> None:
    run(path)
    execute(
        path,
        "UPDATE email_schedules SET scheduled_send_date = '2027-01-07', created_at = 'x' WHERE contact_id = 1;"
        "UPDATE contacts SET birth_date = '1951-02-21' WHERE id = 2;"
        "UPDATE email_schedules SET email_template = '', sms_template = '  ', status = ' Pre-Scheduled ' WHERE contact_id = 3",
    )
    execute(path, "UPDATE email_schedules SET email_template = 'hello' WHERE contact_id = 3")
    report = run(path, "run-2")
    assert (report.inserted, report.updated, report.deleted, report.unchanged) == (1, 1, 1, 1)
    rows = query(
        path,
        "SELECT contact_id, scheduled_send_date, created_at, scheduler_run_id, status FROM email_schedules ORDER BY 1",
    )
    assert rows == [
        (1, "2027-01-06", "x", "run-2", "pre-scheduled"),
        (2, "2027-02-07", "2026-11-21T10:30:00Z", "run-2", "pre-scheduled"),
        (3, "2027-03-06", "2026-11-21T10:30:00Z", "run-1", " Pre-Scheduled "),
    ]
    assert len(query(path, "SELECT * FROM scheduler_runs")) == 2
    assert_settled(path)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
def test_a_difference_in_any_column_is_mended(tmp_path: Path, encoding: str) -> None:
    """Rows of UTF-8 are compared by pages, others by SQL."""
    path = tmp_path / "a.db"
    execute(path, f"PRAGMA encoding = '{encoding}'; {PEOPLE}")
    run(path)
    wanted = schedule_of(path)
    for change in (
        "scheduled_send_date = '2027-01-07'", "scheduled_send_time = '08:30'", "status = 'skipped'",
        "skip_reason = 'same_day:aep'", "priority = 11", "email_template = 'hi'", "sms_template = NULL",
    ):  # fmt: skip
        execute(path, f"UPDATE email_schedules SET {change} WHERE contact_id = 1")
        report = run(path)
        assert (report.inserted, report.updated, report.deleted, report.unchanged) == (0, 1, 0, 2), change
        assert schedule_of(path) == wanted


def test_an_update_writes_the_key_as_it_is_spelled(path: Path) -> None:
    run(path)
    rows = schedule_of(path)
    execute(
        path,
        "UPDATE email_schedules SET priority = 3;"
        "UPDATE email_schedules SET status = ' Pre-Scheduled ' WHERE contact_id = 1;"
        "UPDATE email_schedules SET event_date = event_date || 'T00:00' WHERE contact_id = 2",
    )
    assert run(path, "run-2").updated == 3
    assert schedule_of(path) == rows
    assert_settled(path)


def test_of_several_rows_with_one_key_the_lowest_id_stays(path: Path) -> None:
    columns = (
        "id, contact_id, email_type, event_date, scheduled_send_date, scheduled_send_time, status, skip_reason, "
        "priority, campaign_instance_id, email_template, sms_template"
    )
    execute(path, f"CREATE TABLE email_schedules ({columns.replace('id,', 'id INTEGER PRIMARY KEY,', 1)})")
    connection = apsw.Connection(str(path))
    marks = ", ".join("?" * 12)
    for number, event, send in (
        (30, FIRST[1], FIRST[2]),
        (20, FIRST[1] + "T00:00", "2027-01-01"),
        (40, FIRST[1], FIRST[2]),
    ):
        values = (number, "1", FIRST[0], event, send, *FIRST[3:])
        connection.execute(f"INSERT INTO email_schedules ({columns}) VALUES ({marks})", values)
    connection.close()
    report = run(path)
    assert (report.inserted, report.updated, report.deleted) == (2, 1, 2)
    assert query(path, "SELECT id, scheduled_send_date FROM email_schedules WHERE contact_id = '1'") == [
        (20, "2027-01-06")
    ]
    assert_settled(path)


def test_an_older_table_gets_its_missing_columns(path: Path) -> None:
    execute(
        path,
        "CREATE TABLE Email_Schedules (ID INTEGER PRIMARY KEY AUTOINCREMENT, contact_id INTEGER NOT NULL, "
        "email_type TEXT NOT NULL, "
        "event_year INTEGER NOT NULL, event_month INTEGER NOT NULL, event_day INTEGER NOT NULL, scheduled_send_date TEXT, "
        "status TEXT NOT NULL DEFAULT 'pre-scheduled', batch_id TEXT, UNIQUE (contact_id, email_type, event_year));"
        "CREATE INDEX by_batch ON email_schedules (batch_id);"
        "CREATE TRIGGER t AFTER UPDATE ON email_schedules BEGIN SELECT RAISE(ABORT, 'no'); END;"
        "INSERT INTO email_schedules VALUES (5, 1, 'birthday', 2027, 1, 20, '2027-01-06', 'pre-scheduled', 'b1'),"
        "(7, 2, 'birthday', 2027, 2, 20, '2027-02-06', 'sent', 'b2'),"
        "(9, 3, 'birthday', 2026, 2, 30, '2026-03-06', 'sent', 'b3')",
    )
    report = run(path)
    assert (report.inserted, report.updated, report.deleted, report.unchanged) == (1, 1, 0, 0)
    rows = query(path, "SELECT id, contact_id, event_date, event_year, event_month, event_day, batch_id, campaign_instance_id "
                       "FROM email_schedules ORDER BY id")  # fmt: skip
    assert rows == [
        (5, 1, "2027-01-20", 2027, 1, 20, "b1", 0),
        (7, 2, None, 2027, 2, 20, "b2", 0),
        (9, 3, None, 2026, 2, 30, "b3", 0),
        (10, 3, "2027-03-20", 2027, 3, 20, None, 0),
    ]
    assert indexes(path) == ["by_batch", "email_schedules_due", "email_schedules_planned_key"]
    assert query(path, "SELECT name FROM sqlite_schema WHERE type = 'trigger'") == [("t",)]
    assert query(path, "SELECT name FROM sqlite_schema WHERE tbl_name = 'Email_Schedules' AND type = 'table'") == [
        ("Email_Schedules",)
    ]
    execute(path, "DROP TRIGGER t")
    assert_settled(path)


def test_rows_that_only_lack_an_event_date_are_not_touched(path: Path) -> None:
    run(path)
    execute(path, "CREATE TABLE t AS SELECT * FROM email_schedules; DROP TABLE email_schedules")
    wanted = (
        "contact_id, email_type, event_date, scheduled_send_date, scheduled_send_time, status, priority, "
        "email_template, sms_template"
    )
    execute(
        path,
        f"CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, {wanted}, event_year, event_month, event_day);"
        f"INSERT INTO email_schedules ({wanted}, event_year, event_month, event_day) SELECT {wanted}, "
        "substr(event_date, 1, 4), substr(event_date, 6, 2), substr(event_date, 9) FROM t;"
        "UPDATE email_schedules SET event_date = 'soon'; UPDATE email_schedules SET event_date = NULL WHERE id = 2",
    )
    before = path.read_bytes()
    report = run(path, "run-2")
    assert (report.changed, report.unchanged) == (False, 3)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "constraint",
    [
        "UNIQUE (contact_id, email_type)",
        "UNIQUE (scheduled_send_date)",
        "CONSTRAINT one UNIQUE (status) ON CONFLICT REPLACE",
    ],
)
def test_foreign_unique_constraints_go(path: Path, constraint: str) -> None:
    execute(
        path,
        "CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id, email_type, scheduled_send_date, status, "
        f"{constraint});"
        "INSERT INTO email_schedules VALUES (50, 1, 'birthday', '2020-01-06', 'failed')",
    )
    assert run(path).inserted == 3
    assert query(path, "SELECT min(id), count(*) FROM email_schedules") == [(50, 4)]
    assert [row[3] for row in query(path, "PRAGMA index_list(email_schedules)")] == ["c", "c"]
    assert_settled(path)


def test_a_foreign_unique_index_goes_and_others_stay(path: Path) -> None:
    run(path)
    execute(
        path,
        "DELETE FROM email_schedules; DROP INDEX email_schedules_planned_key;"
        "CREATE UNIQUE INDEX email_schedules_planned_key ON email_schedules (status);"
        "CREATE UNIQUE INDEX theirs ON email_schedules (email_type); CREATE INDEX mine ON email_schedules (lower(status))",
    )
    assert run(path, "run-2").inserted == 3
    assert indexes(path) == ["email_schedules_due", "email_schedules_planned_key", "mine"]
    assert_settled(path)


def test_an_id_that_is_not_the_rowid_becomes_it(path: Path) -> None:
    run(path)
    execute(path, "CREATE TABLE t AS SELECT * FROM email_schedules; DROP TABLE email_schedules")
    execute(
        path,
        "ALTER TABLE t RENAME TO email_schedules; UPDATE email_schedules SET id = id * 10, status = 'sent' WHERE id = 2",
    )
    execute(path, "UPDATE email_schedules SET priority = 3 WHERE id = 1")
    report = run(path, "run-2")
    assert (report.updated, report.inserted, report.deleted) == (1, 0, 0)
    assert query(path, "SELECT id FROM email_schedules ORDER BY id") == [(1,), (3,), (20,)]
    assert_settled(path)


def test_a_run_table_of_another_shape(path: Path) -> None:
    execute(path, "CREATE TABLE scheduler_runs (run_id TEXT PRIMARY KEY, operator TEXT DEFAULT 'x', seconds TEXT)")
    execute(path, "INSERT INTO scheduler_runs (run_id) VALUES ('run-1')")
    run(path)
    assert query(
        path, "SELECT run_id, operator, inserted, contacts, eligible, skipped_contacts FROM scheduler_runs"
    ) == [("run-1", "x", 3, 3, 3, "{}")]
    assert_settled(path)


@pytest.mark.parametrize("setting", ["auto_vacuum = 1", "auto_vacuum = 2", "page_size = 512", "encoding = 'UTF-16le'"])
def test_any_kind_of_file(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "b.db"
    execute(path, f"PRAGMA {setting}; {PEOPLE}")
    assert run(path).inserted == 3
    assert len(schedule_of(path)) == 3
    assert_settled(path)
