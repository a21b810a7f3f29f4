"""`mailtide.schedule` from a program."""

import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

import mailtide
from mailtide.errors import DatabaseError, InputError, RulesError, SettingsError
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import fingerprint, query

DAY = date(2026, 11, 21)


def test_a_pass_and_its_report(database: Path) -> None:
    report = mailtide.schedule(str(database), DAY, run_id="mine")
    assert isinstance(report, mailtide.Report)
    assert report.inserted == query(database, "SELECT count(*) FROM email_schedules")[0][0] > 0
    assert query(database, "SELECT run_id, as_of FROM scheduler_runs") == [("mine", "2026-11-21")]
    before = fingerprint(database)
    again = mailtide.schedule(database, DAY, load_rules(), threads=1, profile="reliable")
    assert (again.changed, again.unchanged) == (False, report.inserted)
    assert again.run_id.startswith("local-")
    assert fingerprint(database) == before


def test_the_daily_volume_is_that_of_the_table(database: Path) -> None:
    report = mailtide.schedule(database, DAY)
    counted = query(
        database,
        "SELECT email_type, scheduled_send_date, count(*) FROM email_schedules WHERE status = 'pre-scheduled' GROUP BY 1, 2",
    )
    daily = report.daily
    assert daily is not None
    told = {
        (kind, (daily.first_day + timedelta(place)).isoformat()): count
        for kind, counts in daily.counts.items()
        for place, count in enumerate(counts)
        if count
    }
    assert told == {(kind, day): count for kind, day, count in counted}
    assert daily.later == 0


def test_rules_of_ones_own(database: Path) -> None:
    report = mailtide.schedule(database, DAY, "aep_dates: []\nstates: {}\n")
    assert set(report.rows) == {"birthday", "effective_date"}


def test_what_is_wrong_is_said_and_changes_nothing(database: Path) -> None:
    before = fingerprint(database)
    with pytest.raises(RulesError, match="unknown key nothing"):
        mailtide.schedule(database, DAY, "nothing: 1\n")
    for as_of in (datetime(2026, 11, 21, 5, 0), date(1776, 7, 4)):
        with pytest.raises(SettingsError, match="as_of"):
            mailtide.schedule(database, as_of)
    with pytest.raises(SettingsError, match="threads"):
        mailtide.schedule(database, DAY, threads=0)
    with pytest.raises(DatabaseError, match="There is no file"):
        mailtide.schedule(database.with_name("none.db"), DAY)
    assert issubclass(DatabaseError, InputError)
    assert fingerprint(database) == before


def test_the_import_alone_is_light() -> None:
    program = (
        "import sys, mailtide\n"
        "assert not {'numpy', 'pydantic', 'apsw'} & set(sys.modules)\n"
        "assert not hasattr(mailtide, 'nothing')\n"
        "assert 'numpy' not in sys.modules\n"
        "mailtide.Report\n"
        "assert 'numpy' not in sys.modules\n"
        "mailtide.schedule\n"
        "assert 'numpy' in sys.modules\n"
        "from mailtide.cli.files import rules_from\n"
        "import mailtide.cli.main, mailtide.cli.schedule\n"
        "rules_from('origin')\n"
        # A small pass takes less time than these take to be imported.
        "assert not {'pydantic', 'yaml', 'rich', 'httpx'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
