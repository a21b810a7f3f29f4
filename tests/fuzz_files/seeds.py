"""The files that mutation starts from: every layout that the readers treat differently, small, made with fixed seeds."""

from datetime import UTC, date, datetime
from pathlib import Path

import apsw

from mailtide.database.invented import invent_database
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules

CONTACTS = 90
AS_OF = date(2026, 11, 21)
_STARTED = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
_RELATED = """
CREATE TABLE suppressions (email TEXT);
INSERT INTO suppressions SELECT upper(email) FROM contacts WHERE id % 11 = 0;
CREATE TABLE campaign_types (name TEXT, target_all_contacts, days_before_event INTEGER, priority INTEGER, active,
    enable_followups);
INSERT INTO campaign_types VALUES ('rate_increase', 0, 14, 1, 1, 1), ('seasonal', 1, 0, 20, 'yes', 0), ('x', 0, 5, 9, 'no', 1);
CREATE TABLE campaign_instances (id INTEGER PRIMARY KEY, campaign_type TEXT, instance_name TEXT, active_start_date,
    active_end_date);
INSERT INTO campaign_instances VALUES
    (1, 'rate_increase', 'a', '2026-01-01', '2027-12-31'), (2, 'seasonal', 'b', '2026-12-01', NULL), (3, 'x', 'c', 'soon', NULL);
CREATE TABLE contact_campaigns (contact_id, campaign_instance_id, trigger_date, status);
INSERT INTO contact_campaigns SELECT id, 1, date('2026-12-01', '+' || (id % 60) || ' days'), 'pending' FROM contacts WHERE id % 2;
CREATE TABLE tracking_clicks (contact_id, clicked_at);
INSERT INTO tracking_clicks SELECT id, '2026-11-19' FROM contacts WHERE id % 5 = 0;
CREATE TABLE contact_events (contact_id, event_type, created_at, metadata);
INSERT INTO contact_events SELECT id, 'eligibility_answered', '2026-11-20', '{"main_questions_yes_count": ' || id || '}'
    FROM contacts WHERE id % 7 = 0;
"""
_HISTORY = """
UPDATE email_schedules SET status = 'sent', actual_send_datetime = '2026-11-19T08:30:00', scheduled_send_date = '2026-11-19'
    WHERE id % 4 = 0 AND status = 'pre-scheduled';
UPDATE email_schedules SET status = 'cancelled' WHERE id % 9 = 0;
"""
_FREED = "DELETE FROM contacts WHERE id > 60;"
_OLDER = """
CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id INTEGER, email_type TEXT, event_year INTEGER,
    event_month INTEGER, event_day INTEGER,
    scheduled_send_date TEXT, status TEXT, skip_reason TEXT, UNIQUE (contact_id, email_type, event_year));
INSERT INTO email_schedules SELECT id, id, 'birthday', 2026, 11, 1 + id % 28, '2026-11-10', 'sent', NULL FROM contacts;
"""
_LOOSE = """
CREATE TABLE loose (id, email TEXT, state TEXT, zip_code, birth_date, effective_date, phone_number, notes);
INSERT INTO loose SELECT id, email, state, zip_code, birth_date, effective_date, phone_number,
    CASE WHEN id % 10 = 0 THEN hex(zeroblob(3000)) END FROM contacts ORDER BY -id;
DROP TABLE contacts;
ALTER TABLE loose RENAME TO contacts;
CREATE INDEX by_email ON contacts (email COLLATE NOCASE);
"""


def make_seeds(folder: Path) -> list[Path]:
    """Write every seed file into the folder, and name them."""
    made = {
        "plain": _related(folder / "plain.db", 4096),
        "scheduled": _scheduled(folder / "scheduled.db", 4096, _HISTORY),
        "small-pages": _scheduled(folder / "small-pages.db", 512, _HISTORY),
        "large-pages": _scheduled(folder / "large-pages.db", 65_536, _HISTORY),
        "utf16": _related(folder / "utf16.db", 1024, encoding="UTF-16le", more=_LOOSE),
        "older": _related(folder / "older.db", 1024, encoding="UTF-16be", more=_OLDER),
        "loose": _related(folder / "loose.db", 2048, more=_LOOSE),
        "vacuumed": _scheduled(folder / "vacuumed.db", 1024, _HISTORY + _FREED, "PRAGMA auto_vacuum = 1"),
        "wal": _scheduled(folder / "wal.db", 4096, _HISTORY + "PRAGMA journal_mode = wal;"),
    }  # fmt: skip
    return list(made.values())


def _related(path: Path, page_size: int, *, encoding: str = "UTF-8", more: str = "", first: str = "") -> Path:
    invented = path.with_suffix(".invented")
    invent_database(invented, CONTACTS, seed=11, bad_fraction=0.1)
    _execute(path, f"PRAGMA page_size = {page_size}; PRAGMA encoding = '{encoding}'; {first};")
    _copy_contacts(invented, path)
    invented.unlink()
    _execute(path, _RELATED + more)
    return path


def _scheduled(path: Path, page_size: int, more: str, first: str = "") -> Path:
    _related(path, page_size, first=first)
    run_pass(path, date(2026, 11, 20), load_rules(), "run-0", _STARTED, 1)
    _execute(path, more)
    return path


def _copy_contacts(source: Path, target: Path) -> None:
    connection = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(contacts)")]
        rows = connection.execute("SELECT * FROM contacts").fetchall()
    finally:
        connection.close()
    _execute(
        target,
        f"CREATE TABLE contacts (id INTEGER PRIMARY KEY, {', '.join(name for name in columns if name != 'id')});",
    )
    marks = ", ".join("?" * len(columns))
    with_rows = apsw.Connection(str(target))
    try:
        with with_rows:
            with_rows.executemany(f"INSERT INTO contacts ({', '.join(columns)}) VALUES ({marks})", rows)
    finally:
        with_rows.close()


def _execute(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    try:
        connection.execute(sql).fetchall()
    finally:
        connection.close()
