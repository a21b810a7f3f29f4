"""`mailtide due`: every pre-scheduled mail of the day once, and nothing that a sender or a spreadsheet should not get."""

import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from mailtide.database.due import due_mails, idempotency_key
from tests.integration.pass_.rows import execute, fingerprint, query
from tests.integration.pass_.test_commands import mailtide
from tests.support import forkserver

ON = "2026-11-25"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def given(path: Path, day: str = ON) -> tuple[list[dict[str, Any]], str]:
    done = forkserver.command("due", path, "--on", day, "--json", env=os.environ)
    assert done.returncode == 0, done.stderr
    return lines(done.stdout), done.stderr


@pytest.fixture
def scheduled(database: Path) -> Path:
    """The small database with its schedule."""
    mailtide("schedule", database, "--as-of", "2026-11-21")
    return database


def test_the_days_share_out_the_planned_mails(scheduled: Path) -> None:
    before = fingerprint(scheduled)
    wanted = query(
        scheduled,
        "SELECT s.contact_id, email_type, event_date, scheduled_send_date, trim(c.email), c.phone_number, sms_template "
        "FROM email_schedules s JOIN contacts c ON c.id = s.contact_id WHERE status = 'pre-scheduled' "
        "AND scheduled_send_date < '2026-12-05' ORDER BY scheduled_send_date, s.id",
    )
    withheld: Counter[str] = Counter()
    days = [date(2026, 11, 21) + timedelta(days=number) for number in range(14)]
    found = [mail for day in days for mail in due_mails(scheduled, day, withheld)]
    assert [(m.contact_id, m.email_type, m.event_date, m.scheduled_send_date, m.email) for m in found] == [
        tuple(row[:5]) for row in wanted
    ]
    assert [mail.sms_template for mail in found] == [row[6] for row in wanted]
    assert len({mail.idempotency_key for mail in found}) == len(found) > 100
    assert not withheld
    assert fingerprint(scheduled) == before


def test_the_key_stays_when_the_mail_moves(scheduled: Path) -> None:
    first, _ = given(scheduled)
    execute(scheduled, f"UPDATE email_schedules SET scheduled_send_date = '2026-11-26', id = -id "
                       f"WHERE scheduled_send_date = '{ON}' AND status = 'pre-scheduled'")  # fmt: skip
    assert given(scheduled)[0] == []
    later, _ = given(scheduled, "2026-11-26")
    assert {mail["idempotency_key"] for mail in first} <= {mail["idempotency_key"] for mail in later}


def test_the_parts_of_a_key() -> None:
    keys = {
        idempotency_key(*parts)
        for parts in ((1, "aep", ON, 0), (11, "aep", ON, 0), (1, "aep", ON, 1), (1, "aep", None, 0), (1, "ae", ON, 0))
    }
    assert len(keys) == 5
    assert idempotency_key(1, "aep", ON, 0) == "5391599a210e913553ffb2c15c16709eb985281b34b5a4850f9348f988134b40"


def make(path: Path, contacts: str, identity: str = "id INTEGER PRIMARY KEY") -> Path:
    """One mail of the day for each contact, and for one that is not there."""
    execute(path, f"CREATE TABLE contacts ({identity}, email TEXT, state TEXT, phone_number)")
    execute(path, f"INSERT INTO contacts VALUES {contacts}")
    execute(path, "CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id, email_type, event_date, "
                  "scheduled_send_date, scheduled_send_time, status, priority)")  # fmt: skip
    execute(path, "INSERT INTO email_schedules SELECT NULL, id, 'birthday', '2026-12-09', '2026-11-25T00:00', '08:30:00', "
                  "' PRE-scheduled', NULL FROM contacts UNION ALL "
                  "SELECT NULL, 999, 'birthday', '2026-12-09', '2026-11-25', '08:30:00', 'pre-scheduled', 3")  # fmt: skip
    return path


def test_who_may_not_get_mail_is_withheld(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db", "(1, ' a@b.co ', 'TX', 5550100), (2, 'no', 'TX', NULL), (3, 'Gone@b.co', 'TX', NULL)"
    )
    execute(path, "CREATE TABLE suppressions (email TEXT)")
    execute(path, "INSERT INTO suppressions VALUES (' gONE@B.co')")
    mails, said = given(path)
    assert [(mail["email"], mail["phone_number"], mail["priority"]) for mail in mails] == [("a@b.co", "5550100", 10)]
    assert said == "Withheld: 1 invalid_email, 1 no_contact, 1 suppressed.\n"


@pytest.mark.parametrize("identity", ["id", "id INT PRIMARY KEY", "id TEXT"])
def test_ids_that_are_not_the_rowid(tmp_path: Path, identity: str) -> None:
    path = make(tmp_path / "a.db", "(7, 'a@b.co', 'TX', NULL), (' 8 ', 'c@d.co', 'TX', NULL), ('x', 'e@f.co', 'TX', 1)",
                identity)  # fmt: skip
    mails, _ = given(path)
    assert [(mail["contact_id"], mail["email"]) for mail in mails] == [(7, "a@b.co"), (8, "c@d.co")]


def test_a_spreadsheet_runs_nothing(tmp_path: Path) -> None:
    nasty = "=cmd|'/c'!A1@b.co"
    quoted = nasty.replace("'", "''")
    path = make(tmp_path / "a.db", f"(-4, '{quoted}', 'TX', '+1 (555) 010-0100'), (5, 'a;b\"@b.co', 'TX', '+1+SUM(1)'), "
                                   "(6, '@x', 'TX', NULL), (7, '-a@b.co', 'TX', '＝1+1')")  # fmt: skip
    program = "from mailtide.cli.main import main; main()"
    command = [sys.executable, "-c", program, "due", str(path), "--on", ON]
    shown = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8")
    rows = list(csv.DictReader(shown.splitlines()))
    assert [row["email"] for row in rows] == [f"'{nasty}", 'a;b"@b.co', "'-a@b.co"]
    assert [row["phone_number"] for row in rows] == ["+1 (555) 010-0100", "'+1+SUM(1)", "'＝1+1"]
    assert rows[0]["contact_id"] == "-4"
    assert '"a;b""@b.co"' in shown
    assert [mail["email"] for mail in given(path)[0]] == [nasty, 'a;b"@b.co', "-a@b.co"]


def test_a_database_without_a_schedule_has_only_the_header(database: Path) -> None:
    assert mailtide("due", database, "--on", ON).splitlines() == [mailtide("due", database, "--on", ON).strip()]
    assert mailtide("due", database, "--on", ON, "--format", "jsonl") == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--on", "tomorrow"], "--on is 'tomorrow'"),
        (["--on", ON, "--json", "--format", "csv"], "exclude each other"),
        (["--on", ON, "--json", "--format", "parquet"], "exclude each other"),
        (["--on", ON, "--output", "/nowhere/due.csv"], "no folder /nowhere"),
        (["--on", ON, "--output", "/"], "is a folder"),
        ([], "--on"),
    ],
)
def test_bad_arguments(database: Path, arguments: list[str], sentence: str) -> None:
    assert sentence in mailtide("due", database, *arguments, code=2)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "empty"), (b"id,email\n" * 500, "not an SQLite database"), (b"SQLite format 3\x00", "truncated")],
)
def test_files_that_are_no_database(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "bad.db"
    path.write_bytes(content)
    before = fingerprint(path)
    said = mailtide("due", path, "--on", ON, code=2)
    assert sentence in said
    assert str(path) in said
    assert fingerprint(path) == before


def test_parquet_has_the_same_rows_with_real_dates(scheduled: Path, tmp_path: Path) -> None:
    mails, _ = given(scheduled)
    path = tmp_path / "due.parquet"
    assert mailtide("due", scheduled, "--on", ON, "--format", "parquet", "--output", path) == ""
    table = parquet.read_table(path)
    rows = [{name: str(value) if isinstance(value, date) else value for name, value in row.items()}
            for row in table.to_pylist()]  # fmt: skip
    assert rows == mails
    assert len(rows) > 5
    assert [str(table.schema.field(name).type) for name in ("contact_id", "event_date")] == ["int64", "date32[day]"]
    program = "from mailtide.cli.main import main; main()"
    command = [sys.executable, "-c", program, "due", str(scheduled), "--on", ON, "--format", "parquet"]
    piped = subprocess.run(command, capture_output=True, check=True).stdout
    assert parquet.read_table(io.BytesIO(piped)).equals(table)


def test_a_day_without_mails_gives_a_file_without_rows(scheduled: Path, tmp_path: Path) -> None:
    for name, size in (("csv", 1), ("jsonl", 0)):
        mailtide("due", scheduled, "--on", "2031-01-01", "--format", name, "--output", tmp_path / name)
        assert len((tmp_path / name).read_text().splitlines()) == size
    mailtide("due", scheduled, "--on", "2031-01-01", "--format", "parquet", "--output", tmp_path / "p")
    table = parquet.read_table(tmp_path / "p")
    assert (table.num_rows, table.num_columns) == (0, 12)


def test_an_output_is_whole_or_not_there_and_never_takes_the_place_of_a_database(
    scheduled: Path, tmp_path: Path
) -> None:
    assert "is a database" in mailtide("due", scheduled, "--on", ON, "--output", scheduled, code=2)
    link = tmp_path / "link.csv"
    link.symlink_to(scheduled)
    assert "is a database" in mailtide("due", scheduled, "--on", ON, "--output", link, code=2)
    bad, out = tmp_path / "bad.db", tmp_path / "due.csv"
    bad.write_bytes(b"no database")
    out.write_text("of yesterday")
    mailtide("due", bad, "--on", ON, "--output", out, code=2)
    assert out.read_text() == "of yesterday"
    mailtide("due", scheduled, "--on", ON, "--output", out)
    assert len(list(csv.DictReader(out.read_text().splitlines()))) == len(given(scheduled)[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.db", "due.csv", "link.csv", "organisation"]


def test_without_pyarrow_parquet_says_what_is_missing(scheduled: Path) -> None:
    refuse = "import sys; sys.modules['pyarrow'] = None; from mailtide.cli.main import main; main()"
    command = [sys.executable, "-c", refuse, "due", str(scheduled), "--on", ON, "--format"]
    done = subprocess.run([*command, "parquet"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "mailtide: This command needs pyarrow: install mailtide[parquet].\n"
    assert subprocess.run([*command, "csv"], capture_output=True, check=False).returncode == 0
