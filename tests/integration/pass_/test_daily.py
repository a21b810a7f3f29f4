"""Weeks of daily runs on a real file: run, hand off what is due, mark it sent; runs are missed, contacts and rules change."""

from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from mailtide.database.due import DueMail, due_mails
from mailtide.database.invented import invent_database
from mailtide.importing.load import CONTACTS, SUPPRESSIONS, Kind, import_file
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import execute, query

START = date(2026, 11, 10)
MISSED = {5, *range(12, 15), *range(22, 32)}
DAYS = [START + timedelta(days=offset) for offset in range(45) if offset not in MISSED]
BEFORE = load_rules("daily_cap_fraction: 0.03\n")
AFTER = load_rules("daily_cap_fraction: 0.03\nbirthday_days_before: 10\nmax_emails_per_period: 3\n")
CHANGE = START + timedelta(days=18)


def import_text(database: Path, text: str, kind: Kind) -> int:
    file = database.with_name("import.csv")
    file.write_text(text)
    done = import_file(
        database, file, kind, ignore_unknown=False, strict=True, progress=lambda *_: None, keep_refusals=lambda _: None
    )
    assert done.refused == 0
    return done.inserted


def mark_sent(database: Path, mails: list[DueMail], today: date) -> None:
    connection = apsw.Connection(str(database))
    keys = [(f"{today}T09:00:00Z", m.contact_id, m.email_type, m.event_date, m.campaign_instance_id) for m in mails]
    with connection:
        connection.executemany(
            "UPDATE email_schedules SET status = 'sent', actual_send_datetime = ? WHERE contact_id = ? AND email_type = ? "
            "AND event_date = ? AND campaign_instance_id = ? AND status = 'pre-scheduled'",
            keys,
        )
    connection.close()


@pytest.fixture(scope="module")
def handed_off(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[date, DueMail]], Counter[str]]:
    """The file at the end, each mail that went out by its key, and what was withheld."""
    path = tmp_path_factory.mktemp("daily") / "contacts.db"
    invent_database(path, 400, seed=3, bad_fraction=0.05)
    execute(path, "CREATE TABLE campaign_types (name, days_before_event, target_all_contacts)")
    execute(path, "CREATE TABLE campaign_instances (id INTEGER PRIMARY KEY, campaign_type, instance_name, "
                  "active_start_date, active_end_date)")  # fmt: skip
    execute(path, "INSERT INTO campaign_types VALUES ('news', 0, 1)")
    execute(path, "INSERT INTO campaign_instances VALUES (1, 'news', 'n', '2026-11-12', '2026-12-20')")
    sent: dict[str, tuple[date, DueMail]] = {}
    withheld: Counter[str] = Counter()
    for number, today in enumerate(DAYS):
        if today == CHANGE:
            added = "email,state,birth_date\n" + "".join(
                f"new{n}@example.org,TX,1950-12-{n:02d}\n" for n in range(10, 30)
            )
            assert import_text(path, added, CONTACTS) == 20
            execute(path, "DELETE FROM contacts WHERE id % 40 = 0")
            execute(path, "UPDATE contacts SET state = 'CA' WHERE id % 40 = 1")
        rules = BEFORE if today < CHANGE else AFTER
        started = datetime.fromisoformat(f"{today}T10:30:00+00:00")
        run_pass(path, today, rules, f"run-{today}", started, 1, ("highperf", "reliable")[number % 2], check=False)
        if today == CHANGE:
            # Suppressed after the run: planned already, and withheld.
            due = query(path, "SELECT c.email FROM email_schedules s JOIN contacts c ON c.id = s.contact_id "
                              f"WHERE s.status = 'pre-scheduled' AND scheduled_send_date = '{today}' LIMIT 2")  # fmt: skip
            assert import_text(path, "email\n" + "".join(f"{email}\n" for (email,) in due), SUPPRESSIONS) == 2
        mails = list(due_mails(path, today, withheld))
        for mail in mails:
            assert mail.idempotency_key not in sent, "sent twice"
            sent[mail.idempotency_key] = today, mail
        mark_sent(path, mails, today)
    return path, sent, withheld


type HandedOff = tuple[Path, dict[str, tuple[date, DueMail]], Counter[str]]


def test_mails_go_out_once_and_in_time(handed_off: HandedOff) -> None:
    path, sent, withheld = handed_off
    counts = Counter(mail.email_type.split("_")[0] for _, mail in sent.values())
    assert min(counts[name] for name in ("birthday", "effective", "post", "campaign", "followup")) > 3, counts
    for today, mail in sent.values():
        assert mail.event_date is not None
        assert mail.scheduled_send_date == today.isoformat()
        if mail.email_type in ("birthday", "effective_date", "aep"):
            assert today.isoformat() <= mail.event_date
        if mail.email_type == "campaign_news":
            assert today.isoformat() <= "2026-12-20"
    assert withheld == {"suppressed": 2}
    per_day = Counter(today for today, mail in sent.values() if not mail.email_type.startswith("followup_"))
    assert len(per_day) == len(DAYS)
    # What the table says of what was sent is what was sent.
    rows = query(path, "SELECT count(*), count(DISTINCT contact_id || email_type || event_date || campaign_instance_id) "
                       "FROM email_schedules WHERE status = 'sent'")  # fmt: skip
    assert rows == [(len(sent), len(sent))]


def test_nothing_that_was_due_is_left_behind(handed_off: HandedOff) -> None:
    path, sent, _ = handed_off
    overdue = f"status = 'pre-scheduled' AND scheduled_send_date <= '{DAYS[-1]}'"
    assert query(path, f"SELECT count(*) FROM email_schedules WHERE {overdue}") == [(0,)]
    # Birthdays on a day on which a run comes again: a mail that was due in the gap is caught up.
    everybody = {
        row[0] for row in query(path, "SELECT id FROM contacts WHERE state = 'TX' AND birth_date GLOB '*-12-1[2-9]'")
    }
    handled = {
        row[0]
        for row in query(
            path, "SELECT contact_id FROM email_schedules WHERE email_type = 'birthday' AND event_date LIKE '2026-%'"
        )
    }
    eligible = {row[0] for row in query(path, "SELECT contact_id FROM email_schedules")}
    assert everybody & eligible <= handled
    assert len(everybody & eligible) > 5
    assert {mail.contact_id for _, mail in sent.values()} <= eligible
