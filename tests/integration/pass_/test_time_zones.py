"""A birthday is the day that is written, wherever the machine stands and whatever time zone the text or the rules name."""

import time
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import execute, query

WRITTEN = ("1950-03-15", "1950-03-15T23:30:00-08:00", "1950-03-15 00:00:00+14:00", "1950-03-15T00:00:00Z")


@pytest.fixture(params=["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def far_away(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The process in another time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_a_birthday_is_never_off_by_one(far_away: str, tmp_path: Path, started: datetime) -> None:
    path = tmp_path / "a.db"
    execute(path, "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email, state, birth_date)")
    for number, text in enumerate(WRITTEN):
        execute(path, f"INSERT INTO contacts VALUES ({number}, 'c{number}@b.co', 'TX', '{text}')")
    run_pass(
        path,
        date(2026, 1, 1),
        load_rules(f"timezone: {far_away}\naep_dates: []\ndaily_cap_fraction: null\n"),
        "run-1",
        started,
    )
    assert query(path, "SELECT event_date, scheduled_send_date, count(*) FROM email_schedules GROUP BY 1, 2") == [
        ("2026-03-15", "2026-03-01", len(WRITTEN))
    ]
