"""Exclusion windows and the post-window mail, worked out by hand."""

import pytest

from tests.reference.tables import Tables
from tests.unit.rules.small import CALM, brief, campaign_type, contact, instance, plan, scheduled, target


def only(state: str, windows: str, extension: int = 60) -> str:
    return f"{CALM}pre_window_extension_days: {extension}\nstates: {{{state}: [{windows}]}}\n"


@pytest.mark.parametrize(
    ("effective", "reason"),
    [
        # California, birthday 1 August: 1 August − 30 − 60 = 3 May .. 30 September. Sent 30 days before the event.
        ("2010-06-01", None),  # sent on 2 May
        ("2010-06-02", "birthday_window:CA"),
        ("2010-10-30", "birthday_window:CA"),  # sent on 30 September
        ("2010-10-31", None),
    ],
)
def test_both_ends_belong_to_the_window(effective: str, reason: str | None) -> None:
    rows = plan(Tables(contacts=[contact(1, "CA", "1950-08-01", effective)]), "2026-02-01")
    assert [row["skip_reason"] for row in rows if row["email_type"] == "effective_date"] == [reason]


def test_the_window_of_next_year_reaches_into_this_year() -> None:
    # Birthday 20 January: the window of 2027 starts on 22 October 2026.
    rows = plan(Tables(contacts=[contact(1, "CA", "1950-01-20", "2010-11-25")]), "2026-09-01")
    assert ("effective_date", "2026-11-25", "2026-10-26", "birthday_window:CA") in brief(rows)


def test_month_start_anchors_on_the_first_of_the_month() -> None:
    # Nevada, birthday 20 June: 1 June − 60 = 2 April .. 31 July.
    found = []
    for effective in ("2010-05-01", "2010-05-02", "2010-08-30", "2010-08-31"):
        rows = plan(Tables(contacts=[contact(1, "NV", "1950-06-20", effective)]), "2026-02-15")
        found += [row["skip_reason"] for row in rows if row["email_type"] == "effective_date"]
    assert found == [None, "birthday_window:NV", "birthday_window:NV", None]


@pytest.mark.parametrize(
    ("birth", "reason"),
    [
        ("1962-08-10", None),  # 64 on the birthday of 2026
        ("1961-08-10", "birthday_window:IL"),
        ("1951-08-10", "birthday_window:IL"),
        ("1950-08-10", None),  # 76
    ],
)
def test_ages_are_those_on_the_anchor(birth: str, reason: str | None) -> None:
    # Illinois, 65 to 75 years; the mail falls on 2 August, before the birthday.
    rows = plan(Tables(contacts=[contact(1, "IL", birth, "2010-09-01")]), "2026-02-15")
    assert [row["skip_reason"] for row in rows if row["email_type"] == "effective_date"] == [reason]


def test_an_age_limit_needs_a_birth_date() -> None:
    text = only("MO", "{kind: effective_date, before: 30, after: 30, min_age: 0}")
    assert brief(plan(Tables(contacts=[contact(1, "MO", None, "2010-09-01")]), "2026-07-01", text)) == [
        ("effective_date", "2026-09-01", "2026-08-02", None)
    ]


def test_the_anchor_must_be_valid() -> None:
    # Virginia: 30 days until June 2025, 60 from July 2025. Extension 60.
    tables = Tables(contacts=[contact(1, "VA", "1950-06-30", "2010-09-04")])  # sent on 5 August
    assert brief(plan(tables, "2025-03-01"))[1] == ("effective_date", "2025-09-04", "2025-08-05", None)
    assert brief(plan(tables, "2026-03-01"))[1] == ("effective_date", "2026-09-04", "2026-08-05", "birthday_window:VA")


@pytest.mark.parametrize(
    ("valid", "reason"),
    [
        ("valid_from: 2026-06-20", "birthday_window:MO"),
        ("valid_from: 2026-06-21", None),
        ("valid_to: 2026-06-20", "birthday_window:MO"),
        ("valid_to: 2026-06-19", None),
    ],
)
def test_both_ends_of_the_validity_belong_to_it(valid: str, reason: str | None) -> None:
    text = only("MO", f"{{kind: birthday, before: 20, after: 5, {valid}}}", 0)
    rows = brief(plan(Tables(contacts=[contact(1, "MO", "1961-06-20")]), "2026-05-01", text))
    assert rows[0] == ("birthday", "2026-06-20", "2026-06-06", reason)


def test_the_occurrence_that_ends_last_is_named_and_the_first_of_equals() -> None:
    tables = Tables(contacts=[contact(1, "MO", "1950-06-01", "2010-06-01")])
    late = "{kind: birthday, before: 60, after: 10}, {kind: effective_date, before: 60, after: 11}"
    equal = "{kind: birthday, before: 60, after: 11}, {kind: effective_date, before: 60, after: 11}"
    assert brief(plan(tables, "2026-03-01", only("MO", late)))[0][3] == "effective_date_window:MO"
    assert brief(plan(tables, "2026-03-01", only("MO", equal)))[0][3] == "birthday_window:MO"
    always = equal + ", {kind: year_round}"
    rows = brief(plan(tables, "2026-03-01", only("MO", always)))
    assert [row[3] for row in rows] == ["year_round:MO"] * 2


def test_the_post_window_mail_goes_out_on_the_first_free_day() -> None:
    rows = brief(plan(Tables(contacts=[contact(1, "CA", "1950-08-01")]), "2026-05-01"))
    assert rows == [
        ("birthday", "2026-08-01", "2026-07-18", "birthday_window:CA"),
        ("post_window", "2026-09-30", "2026-10-01", None),
    ]


def test_one_window_right_after_another_is_jumped() -> None:
    windows = "{kind: birthday, before: 30, after: 10}, {kind: effective_date, before: 0, after: 20}"
    tables = Tables(contacts=[contact(1, "MO", "1950-06-01", "2010-06-12")])
    rows = brief(plan(tables, "2026-04-15", only("MO", windows, 0)))
    # The effective date's mail (13 May) is named after the birthday window, which ends on 11 June; 12 June begins the next.
    assert ("post_window", "2026-06-11", "2026-07-03", None) in rows


def test_a_window_that_never_ends_gives_no_post_window_mail() -> None:
    text = only("CA", "{kind: birthday, before: 100, after: 270}", 0)
    assert [row[0] for row in brief(plan(Tables(contacts=[contact(1, "CA", "1950-08-01")]), "2026-05-01", text))] == [
        "birthday"
    ]


def test_a_missed_mail_of_the_past_is_a_source_until_it_is_too_old() -> None:
    tables = Tables(contacts=[contact(1, "CA", "1950-08-01")])

    def post_window(as_of: str) -> list[tuple[str, str]]:
        return [row[1:3] for row in brief(plan(tables, as_of)) if row[0] == "post_window"]

    # The window of 2026 ends on 30 September; the first free day is 1 October.
    assert post_window("2026-10-08") == [("2026-09-30", "2026-10-08")]
    assert post_window("2026-10-09") == [("2027-09-30", "2027-10-01")]
    tables.schedules = [scheduled(1, 1, "birthday", "2026-08-01", "2026-07-18")]
    assert post_window("2026-10-08") == [("2027-09-30", "2027-10-01")]
    tables.schedules = [scheduled(1, 1, "post_window", "2026-09-30", "2026-10-01")]
    assert post_window("2026-10-08") == []
    tables.schedules = [scheduled(1, 1, "post_window", "2026-09-30", "2026-10-01", status="cancelled")]
    assert post_window("2026-10-08") == []


@pytest.mark.parametrize(("after", "sent"), [(364, ["2027-08-12"]), (365, [])])
def test_a_post_window_mail_waits_366_days_and_no_longer(after: int, sent: list[str]) -> None:
    # The birthday's mail falls into a window that ends on 11 August 2026; the next begins on the 12th.
    valid = "valid_from: 2026-01-01, valid_to: 2026-12-31"
    windows = f"{{kind: birthday, before: 0, after: 10, {valid}}}, "
    windows += f"{{kind: effective_date, before: 0, after: {after}, {valid}}}"
    text = only("MO", windows, 0) + "birthday_days_before: 0\n"
    rows = brief(plan(Tables(contacts=[contact(1, "MO", "1950-08-01", "2010-08-12")]), "2026-02-01", text))
    assert [row[2] for row in rows if row[0] == "post_window"] == sent


@pytest.mark.parametrize(
    ("trigger", "everybody"), [("2026-03-01", True), ("2026-03-01", False), ("2026-02-28", True), ("2026-02-28", False)]
)
def test_a_campaign_is_missed_only_after_its_trigger(trigger: str, everybody: bool) -> None:
    # The window of 14 to 24 February holds the ideal date, ten days before the trigger; the run is on 1 March.
    tables = Tables(contacts=[contact(1, "MO", None, "2010-02-20")], instances=[instance(1, "rate", trigger)])
    tables.campaign_types = [campaign_type("rate", days_before_event=10, target_all_contacts=everybody)]
    tables.targets = [] if everybody else [target(1, 1, trigger)]
    text = only("MO", "{kind: effective_date, before: 6, after: 4}", 0) + "effective_date_days_before: 0\n"
    tables.schedules = [scheduled(1, 1, "effective_date", "2026-02-20", "2026-02-20")]
    tables.schedules.append(scheduled(2, 1, "effective_date", "2027-02-20", "2027-02-20", status="cancelled"))
    rows = [row[:3] for row in brief(plan(tables, "2026-03-01", text)) if not row[0].startswith("followup_")]
    if trigger == "2026-03-01":
        assert rows == [("campaign_rate", "2026-03-01", "2026-03-01")]
    else:
        assert rows == [("post_window", "2026-02-24", "2026-03-01")]
