"""What other schedulers got wrong."""

from collections import Counter
from datetime import date, timedelta

import pytest

from mailtide.errors import RulesError
from mailtide.rules.config import load_rules
from tests.reference.tables import Tables
from tests.unit.rules.bridge import run_product
from tests.unit.rules.small import CALM, brief, campaign_type, contact, instance, plan, scheduled, target


@pytest.mark.parametrize("key", ["max_emails_per_period", "ed_soft_limit", "daily_cap_fraction"])
def test_a_limit_of_0_is_refused_and_null_is_no_limit(key: str) -> None:
    with pytest.raises(RulesError, match=key):
        load_rules(f"{key}: 0")
    assert getattr(load_rules(f"{key}: null"), key) is None


def test_three_a_week_are_three_a_week() -> None:
    # Six campaigns two days apart: of any 7 days at most 3, and the third does not wait for the next period.
    tables = Tables(contacts=[contact(1)], campaign_types=[campaign_type("news")], instances=[instance(1, "news")])
    tables.targets = [target(1, 1, f"2026-03-{day:02d}") for day in (2, 4, 6, 8, 10, 12)]
    text = "aep_dates: []\ndaily_cap_fraction: null\nmax_emails_per_period: 3\nperiod_days: 7\n"
    rows = brief(plan(tables, "2026-03-01", text))
    accepted = [date.fromisoformat(row[2]).day for row in rows if row[3] is None]
    assert accepted == [2, 4, 6, 10, 12]
    assert [row[3] for row in rows if row[3] is not None] == ["frequency_limit"]


@pytest.mark.parametrize("birth", ["1950-03-15", "1950-03-15T23:30:00-08:00", "1950-03-15 00:00:00+14:00"])
def test_a_birthday_is_the_written_day_in_every_time_zone(birth: str) -> None:
    from tests.reference import values

    row = contact(1) | {"birth_date": values.date(birth)}
    assert brief(plan(Tables(contacts=[row]), "2026-01-01")) == [("birthday", "2026-03-15", "2026-03-01", None)]


def test_a_year_round_state_gets_no_post_window_mail() -> None:
    tables = Tables(contacts=[contact(1, "NY", "1950-03-15", "2010-04-01")])
    text = CALM + "states: {NY: [{kind: birthday, before: 0, after: 30}, {kind: year_round}]}"
    for rules in (CALM, text):
        rows = brief(plan(tables, "2026-01-01", rules))
        assert [(row[0], row[3]) for row in rows] == [
            ("birthday", "year_round:NY"),
            ("effective_date", "year_round:NY"),
        ]


def test_rows_that_overflow_are_moved_and_not_doubled() -> None:
    tables = Tables(contacts=[contact(number, birth="1950-03-15") for number in range(40)])
    text = "aep_dates: []\ndaily_cap_fraction: 0.1\n"
    rows = plan(tables, "2026-01-01", text)
    assert sorted(row["contact_id"] for row in rows) == list(range(40))
    per_day = Counter(row["scheduled_send_date"] for row in rows)
    assert per_day == {date(2026, 3, 1) + timedelta(days=n): 4 for n in range(10)}


def test_a_second_campaign_of_the_same_type_is_not_swallowed() -> None:
    tables = Tables(contacts=[contact(1)], campaign_types=[campaign_type("rate", days_before_event=10)])
    tables.instances = [instance(1, "rate"), instance(2, "rate")]
    tables.targets = [target(1, 1, "2026-03-15"), target(1, 2, "2026-03-15")]
    tables.schedules = [scheduled(1, 1, "campaign_rate", "2026-03-15", "2026-03-05", campaign_instance_id=1)]
    text = "aep_dates: []\ndaily_cap_fraction: null\n"
    rows = plan(tables, "2026-03-01", text)
    assert [(row["campaign_instance_id"], row["skip_reason"]) for row in rows] == [(2, None)]


def test_an_older_campaign_row_without_an_instance_stands_for_every_instance() -> None:
    tables = Tables(contacts=[contact(1)], campaign_types=[campaign_type("rate", days_before_event=10)])
    tables.instances = [instance(1, "rate"), instance(2, "rate")]
    tables.targets = [target(1, 1, "2026-03-15"), target(1, 2, "2026-03-15"), target(1, 2, "2026-06-15")]
    for event in ("2026-03-15", None):  # without an event date: 5 March and 10 days
        tables.schedules = [scheduled(1, 1, "campaign_rate", event, "2026-03-05")]
        assert [str(row["event_date"]) for row in plan(tables, "2026-03-01")] == ["2026-06-15"]


def test_nothing_is_sent_again_between_send_date_and_birthday() -> None:
    tables = Tables(contacts=[contact(1, birth="1950-03-15")])
    tables.schedules = [scheduled(1, 1, "birthday", "2026-03-15", "2026-03-01")]
    for offset in range(16):
        as_of = date(2026, 3, 1) + timedelta(days=offset)
        birthdays = [row for row in plan(tables, str(as_of)) if row["email_type"] == "birthday"]
        assert [str(row["event_date"]) for row in birthdays] == (["2027-03-15"] if offset == 15 else [])


def test_an_older_row_without_an_event_date_handles_the_mail_that_it_was() -> None:
    tables = Tables(contacts=[contact(1, birth="1950-03-15")])
    for send, handled in (("2026-01-15", False), ("2026-01-16", True), ("2026-04-14", True), ("2026-04-15", False)):
        tables.schedules = [scheduled(1, 1, "birthday", None, send, status="delivered")]
        rows = [row for row in plan(tables, "2026-01-01") if row["email_type"] == "birthday"]
        assert (rows == []) is handled, send


def test_skipped_rows_do_not_eat_up_the_cap() -> None:
    contacts = [contact(number, "CA", "1950-03-15") for number in range(30)]
    contacts += [contact(number, "TX", "1950-03-15") for number in range(30, 34)]
    text = "aep_dates: []\ndaily_cap_fraction: 0.12\noverage_threshold: 1\nstates: {CA: [{kind: year_round}]}\n"
    rows = plan(Tables(contacts=contacts), "2026-01-01", text)
    assert Counter((row["status"], str(row["scheduled_send_date"])) for row in rows) == {
        ("skipped", "2026-03-01"): 30,
        ("pre-scheduled", "2026-03-01"): 4,
    }


def test_a_cancelled_mail_does_not_come_back() -> None:
    tables = Tables(contacts=[contact(1, birth="1950-03-15")])
    for status in ("cancelled", "failed", "bounced", ""):
        tables.schedules = [scheduled(1, 1, "birthday", "2026-03-15", "2026-03-01", status=status)]
        assert plan(tables, "2026-01-01") == []
    tables.schedules = [scheduled(1, 1, "birthday", "2026-03-15", "2026-03-01", status="pre-scheduled")]
    assert len(plan(tables, "2026-01-01")) == 1


def test_the_cap_is_exact() -> None:
    # 0.07 × 100 is 7, not 7.000000000000001 or 6: with a threshold of 1, 8 rows overflow and 7 do not.
    for crowd, last in ((7, "2026-03-01"), (8, "2026-03-02")):
        contacts = [contact(number, birth="1950-03-15" if number < crowd else None) for number in range(100)]
        rows = plan(Tables(contacts=contacts), "2026-01-01", "aep_dates: []\noverage_threshold: 1\n")
        assert max(str(row["scheduled_send_date"]) for row in rows) == last


def test_a_mail_past_its_deadline_is_not_moved() -> None:
    contacts = [contact(number, birth="1950-03-15") for number in range(20)]
    text = "aep_dates: []\ndaily_cap_fraction: 0.1\noverage_threshold: 1\nbirthday_days_before: 3\n"
    per_day = Counter(row["scheduled_send_date"].day for row in plan(Tables(contacts=contacts), "2026-01-01", text))
    assert per_day == {12: 2, 13: 2, 14: 2, 15: 14}


def test_months_of_cascade_end() -> None:
    tables = Tables(contacts=[contact(number) for number in range(300)])
    tables.campaign_types = [campaign_type("all", target_all_contacts=True)]
    tables.instances = [instance(1, "all", "2026-01-01")]
    rows, outcome = run_product(tables, "aep_dates: []\ndaily_cap_fraction: 0.003\n", date(2026, 1, 1))
    assert sorted(row["scheduled_send_date"] for row in rows) == [
        date(2026, 1, 1) + timedelta(days=n) for n in range(300)
    ]
    assert outcome.notes["moved_by_daily_cap"] == 299


def test_a_cascade_of_more_than_a_year_meets_the_windows_of_that_time() -> None:
    from tests.property.rules.comparison import assert_same

    as_of = date(2026, 12, 1)
    contacts = [contact(number, "CA" if number % 2 else "TX", effective="2010-01-15") for number in range(450)]
    tables = Tables(contacts=contacts, campaign_types=[campaign_type("all", target_all_contacts=True)])
    tables.instances = [instance(1, "all", "2026-12-01")]
    text = "aep_dates: []\ndaily_cap_fraction: 0.0001\npre_window_extension_days: 0\neffective_date_days_before: 0\n"
    text += "states: {CA: [{kind: effective_date, before: 30, after: 10, valid_from: 2027-06-01}]}\n"
    assert_same(tables, text, as_of)
    rows = [row for row in run_product(tables, text, as_of)[0] if row["email_type"] == "campaign_all"]
    per_day = Counter(row["scheduled_send_date"] for row in rows)
    assert per_day[date(2027, 12, 15)] > 20  # California's window of January 2028 begins the day after
    assert max(per_day) > date(2028, 1, 5)


@pytest.mark.parametrize("as_of", [date(1, 1, 1), date(1, 12, 31), date(9999, 1, 1), date(9999, 12, 31)])
def test_the_ends_of_the_calendar(as_of: date) -> None:
    from tests.property.rules.comparison import assert_same

    tables = Tables(contacts=[contact(n, "CA", "1950-01-01", "2010-12-31") for n in range(5)])
    tables.campaign_types = [campaign_type("all", target_all_contacts=False, days_before_event=-3)]
    tables.instances = [instance(1, "all")]
    tables.targets = [target(n, 1, "2026-03-15") for n in range(5)]
    assert_same(tables, "catch_up_spread_days: 40\n", as_of)
