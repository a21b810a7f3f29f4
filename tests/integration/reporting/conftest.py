"""A scheduled database with campaigns and sent mails, and the command line in this process."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import apsw
import pytest

from mailtide.database.invented import invent_database
from mailtide.machine.schedule_pass import run_pass
from mailtide.reporting.collect import collect_facts
from mailtide.reporting.facts import ReportFacts
from mailtide.rules.config import Rules, load_rules
from tests.unit.cli.conftest import run

__all__ = ["facts", "invented_plan", "rules", "run", "scheduled"]

AS_OF = date(2026, 11, 21)
STARTED = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>\"&{{ 7*7 }}<img src=x onerror=alert(1)>]]>--></style></svg>"
UNSEEN = "\0\x1b[31m\u202e"
CAMPAIGNS = """
CREATE TABLE campaign_types (name, days_before_event, target_all_contacts, respect_exclusion_windows, priority, active);
CREATE TABLE campaign_instances (id INTEGER PRIMARY KEY, campaign_type, instance_name, active_start_date, active_end_date);
CREATE TABLE contact_campaigns (contact_id, campaign_instance_id, trigger_date, status);
INSERT INTO campaign_types VALUES ('news', 0, 1, 0, 20, 1), ('late', 10, 0, 1, 5, 1);
INSERT INTO campaign_instances VALUES (1, 'news', 'News of December', '2026-11-20', '2026-12-31'),
    (2, 'late', 'Late', NULL, NULL), (3, 'news', 'No start', NULL, NULL), (4, 'late', 'No date', '2026-99-99', NULL);
INSERT INTO contact_campaigns SELECT id, 2, date('2026-12-01', (id % 90) || ' days'), 'pending' FROM contacts WHERE id % 9 = 0;
INSERT INTO contact_campaigns VALUES (5, 2, 'soon', 'pending');
UPDATE contacts SET birth_date = '2026-02-30' WHERE id % 100 = 7;
"""


@pytest.fixture(scope="session")
def rules() -> Rules:
    """A cap that moves mails."""
    return load_rules("daily_cap_fraction: 0.01\n")


@pytest.fixture(scope="session")
def invented_plan(tmp_path_factory: pytest.TempPathFactory, rules: Rules) -> Path:
    """A database with a schedule that no test writes to."""
    path = tmp_path_factory.mktemp("invented") / "contacts.db"
    invent_database(path, 1_500, seed=8, bad_fraction=0.1)
    connection = apsw.Connection(str(path))
    connection.execute(CAMPAIGNS)
    connection.close()
    run_pass(path, date(2026, 11, 1), rules, "run-1", datetime(2026, 11, 1, 10, tzinfo=UTC))
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE email_schedules SET status = 'sent' WHERE scheduled_send_date < '2026-11-21' "
                       "AND status = 'pre-scheduled'")  # fmt: skip
    connection.close()
    run_pass(path, AS_OF, rules, "run-2", STARTED)
    return path


@pytest.fixture(scope="session")
def facts(invented_plan: Path, rules: Rules) -> ReportFacts:
    """What a report of it says."""
    return collect_facts(invented_plan, AS_OF, rules)


@pytest.fixture
def scheduled(invented_plan: Path, tmp_path: Path) -> Path:
    """A copy of it, alone in its folder."""
    folder = tmp_path / "organisation"
    folder.mkdir()
    return Path(shutil.copyfile(invented_plan, folder / "contacts.db"))
