"""`mailtide explain`: the rows of the pass itself, with the reason for every move and skip."""

import json
from datetime import date
from pathlib import Path

import pytest

from mailtide.machine.explain import ExplainedMail, explain
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import execute, fingerprint, query
from tests.integration.pass_.test_commands import mailtide

DAY = "2026-11-21"
ROWS = (
    "SELECT email_type, event_date, campaign_instance_id, scheduled_send_date, status, skip_reason FROM email_schedules "
    "WHERE contact_id = {} AND status IN ('pre-scheduled', 'skipped') ORDER BY email_type, event_date"
)


def of(mail: ExplainedMail) -> tuple[str | int | None, ...]:
    return (
        mail.email_type, mail.event_date, mail.campaign_instance_id, mail.send_date, mail.status, mail.skip_reason
    )  # fmt: skip


def test_what_is_explained_is_what_the_pass_plans(database: Path) -> None:
    rules = load_rules("daily_cap_fraction: 0.003\n")
    before = fingerprint(database)
    ids = [row[0] for row in query(database, "SELECT id FROM contacts ORDER BY id LIMIT 40")]
    found = [explain(database, contact, date(2026, 11, 21), rules) for contact in ids]
    assert fingerprint(database) == before
    file = database.with_name("rules.yaml")
    file.write_text("daily_cap_fraction: 0.003\n")
    mailtide("schedule", database, "--as-of", DAY, "--rules", file)
    for one in found:
        assert [of(mail) for mail in one.mails] == query(database, ROWS.format(one.contact_id))
        for mail in one.mails:
            told = " ".join(mail.steps)
            assert mail.send_date in told or (mail.skip_reason or "").startswith("year_round")
            moved = mail.send_date != mail.date_before_smoothing
            assert ("The daily cap" in told or "Too many effective" in told) == moved
            assert ("It is skipped" in told) == (mail.status == "skipped")
    steps = " ".join(step for one in found for mail in one.mails for step in mail.steps)
    assert "The daily cap was reached" in steps
    assert {one.not_eligible for one in found} > {None}


def test_for_people_and_for_programs(database: Path) -> None:
    execute(database, "UPDATE contacts SET email = 'a@b.co', state = 'NY', birth_date = '1950-12-15', "
                      "effective_date = NULL WHERE id = 5")  # fmt: skip
    shown = mailtide("explain", database, "--contact", "5", "--as-of", DAY)
    assert (
        "birthday, 2026-12-01, skipped:\n  Its event is on 2026-12-15, for which the ideal day is 2026-12-01." in shown
    )
    assert "It is skipped: NY excludes mail all year." in shown
    told = json.loads(mailtide("explain", database, "--contact", "5", "--as-of", DAY, "--json"))
    assert (told["state"], told["not_eligible"]) == ("NY", None)
    execute(database, "UPDATE contacts SET email = 'nobody' WHERE id = 5")
    assert "gets no mail: invalid_email." in mailtide("explain", database, "--contact", "5", "--as-of", DAY)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--contact", "-77", "--as-of", DAY], "no contact with that id"),
        (["--contact", "99999999999999999999999", "--as-of", DAY], "--contact"),
        (["--contact", "5", "--as-of", "now"], "--as-of is 'now'"),
        (["--contact", "x"], "--contact"),
    ],
)
def test_bad_arguments(database: Path, arguments: list[str], sentence: str) -> None:
    assert sentence in mailtide("explain", database, *arguments, code=2)
