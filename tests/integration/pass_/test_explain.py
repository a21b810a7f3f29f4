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
            if mail.skip_reason == "frequency_limit":
                assert mail.steps[-1].count(" mail of ") >= 2
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


CAMPAIGNS = """
CREATE TABLE campaign_types (name, days_before_event, target_all_contacts, active);
CREATE TABLE campaign_instances (id INTEGER PRIMARY KEY, campaign_type, instance_name, active_start_date, active_end_date);
CREATE TABLE contact_campaigns (contact_id, campaign_instance_id, trigger_date, status);
INSERT INTO campaign_types VALUES ('rate', 10, 0, 1), ('old', 0, 0, 0), ('news', 0, 1, 1);
INSERT INTO campaign_instances VALUES (1, 'rate', 'a', NULL, NULL), (2, 'old', 'b', NULL, NULL), (3, 'gone', 'c', NULL, NULL),
    (4, 'rate', 'd', '2027-01-01', NULL), (5, 'rate', 'e', NULL, '2026-11-20'), (6, 'news', 'f', NULL, NULL),
    (7, 'news', 'g', '2026-12-24', NULL), (8, 'rate', 'h', 'soon', NULL);
INSERT INTO contact_campaigns VALUES (5, 1, '2026-12-20', 'pending'), (' 5 ', 1, '2026-11-20', NULL), (5, 2, '2026-12-20', NULL),
    (5, 3, '2026-12-20', NULL), (5, 4, '2027-02-20', NULL), (5, 5, '2026-12-20', NULL), (5, 1, '2026-12-22', 'Done'),
    (5, 1, NULL, NULL), (5, 1, 'x', NULL), (5, 8, '2026-12-20', NULL), (5, 99, '2026-12-20', NULL), (5, 'x', '2026-12-20', NULL),
    (6, 2, '2026-12-20', NULL);
"""


def test_campaigns_that_do_not_count_and_held_keys(database: Path) -> None:
    execute(database, CAMPAIGNS)
    execute(database, "UPDATE contacts SET email = 'a@b.co', state = 'TX', birth_date = '1950-12-15', "
                      "effective_date = NULL WHERE id = 5")  # fmt: skip
    mailtide("schedule", database, "--as-of", DAY)
    execute(
        database, "UPDATE email_schedules SET status = ' Cancelled' WHERE contact_id = 5 AND email_type = 'birthday'"
    )
    found = explain(database, 5, date(2026, 11, 21), load_rules())
    assert found.held == [
        "A birthday mail for the event of 2026-12-15 has the status cancelled, so none is planned for it."
    ]
    assert [(mail.email_type, mail.campaign_instance_id) for mail in found.mails] == [("aep", 0), ("campaign_rate", 1)]
    assert found.campaigns == [
        "Campaign 1 (rate) does not count: its last day, 2026-11-20, is past.",
        "Campaign 2 (old) does not count: its type is not active.",
        "Campaign 3 (gone) does not count: there is no campaign type gone.",
        "Campaign 4 (rate) does not count: it begins on 2027-01-01.",
        "Campaign 5 (rate) does not count: it ended on 2026-11-20.",
        "Campaign 1 (rate) does not count: the contact's status in it is done.",
        "Campaign 1 (rate) does not count: it has no trigger date.",
        "Campaign 1 (rate) does not count: its trigger date cannot be read.",
        "Campaign 8 does not count: there is no such instance, or its active dates cannot be read.",
        "Campaign 99 does not count: there is no such instance, or its active dates cannot be read.",
        "Campaign without a readable id does not count: there is no such instance, or its active dates cannot be read.",
        "Campaign 6 (news) does not count: it targets everybody and has no start.",
        "Campaign 7 (news) does not count: it begins on 2026-12-24.",
    ]
    shown = mailtide("explain", database, "--contact", "5", "--as-of", DAY)
    assert found.held[0] in shown
    assert found.campaigns[1] in shown


def test_the_mails_that_fill_the_frequency_limit_are_named(database: Path) -> None:
    execute(database, CAMPAIGNS)
    execute(database, "UPDATE contacts SET email = 'a@b.co', state = 'TX', birth_date = '1950-12-15', "
                      "effective_date = '2010-01-04' WHERE id = 5")  # fmt: skip
    execute(database, "DELETE FROM contact_campaigns WHERE rowid > 1")
    execute(database, "CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id, email_type, event_date, "
                      "scheduled_send_date, status, campaign_instance_id, priority)")  # fmt: skip
    execute(database, "INSERT INTO email_schedules VALUES (1, 5, 'aep', '2026-09-15', '2026-11-27', 'sent', 0, 10), "
                      "(2, 5, 'followup_1_cold', '2026-11-27', '2026-12-02', 'sent', 0, 10)")  # fmt: skip
    found = explain(database, 5, date(2026, 11, 21), load_rules("states: {}\naep_dates: []\n"))
    mails = {mail.email_type: mail for mail in found.mails}
    assert mails["birthday"].status == "pre-scheduled"
    assert mails["effective_date"].steps[-1] == (
        "It is skipped: the contact has as many mails around 2026-12-05 as the frequency limit allows: "
        "the aep mail of 2026-11-27, the birthday mail of 2026-12-01."
    )
    assert mails["campaign_rate"].steps[-1] == (
        "It is skipped: the contact has as many mails around 2026-12-10 as the frequency limit allows: "
        "the aep mail of 2026-11-27, the birthday mail of 2026-12-01."
    )


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
