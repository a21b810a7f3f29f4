"""Same day and frequency, worked out by hand."""

import tracemalloc
from datetime import date

import pytest

from mailtide.rules.config import load_rules
from mailtide.rules.decide import decide
from tests.reference.tables import Tables
from tests.unit.rules.bridge import day_number, to_inputs
from tests.unit.rules.small import brief, campaign_type, contact, instance, plan, scheduled, target

ONE_IN_14 = "aep_dates: []\ndaily_cap_fraction: null\nmax_emails_per_period: 1\n"


def news(*days: str, **more: object) -> Tables:
    tables = Tables(
        contacts=[contact(1)], campaign_types=[campaign_type("news", **more)], instances=[instance(1, "news")]
    )
    tables.targets = [target(1, 1, day) for day in days]
    return tables


def reasons(tables: Tables, text: str = ONE_IN_14) -> list[tuple[str, str | None]]:
    return [(row[2], row[3]) for row in brief(plan(tables, "2026-03-01", text))]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [("2026-03-06", None), ("2026-03-07", "frequency_limit"), ("2026-04-02", "frequency_limit"), ("2026-04-03", None)],
)
@pytest.mark.parametrize("status", ["scheduled", "processing", "sent", "delivered"])
def test_history_less_than_a_period_away_counts_before_and_after(sent: str, reason: str | None, status: str) -> None:
    tables = news("2026-03-20")
    tables.schedules = [scheduled(1, 1, "aep", "2025-09-15", sent, status=status)]
    assert reasons(tables) == [("2026-03-20", reason)]


def test_follow_ups_of_the_past_and_held_rows_do_not_count() -> None:
    tables = news("2026-03-20")
    tables.schedules = [
        scheduled(1, 1, "followup_1_cold", "2026-03-10", "2026-03-12"),
        scheduled(2, 1, "aep", "2025-09-15", "2026-03-12", status="failed"),
        scheduled(3, 1, "aep", "2024-09-15", "2026-03-12", status="pre-scheduled"),
    ]
    assert reasons(tables) == [("2026-03-20", None)]


def test_accepted_mails_less_than_a_period_away_count_and_skipped_ones_do_not() -> None:
    assert reasons(news("2026-03-02", "2026-03-15", "2026-03-16", "2026-03-29", "2026-03-30")) == [
        ("2026-03-02", None),
        ("2026-03-15", "frequency_limit"),
        ("2026-03-16", None),
        ("2026-03-29", "frequency_limit"),
        ("2026-03-30", None),
    ]


def test_the_more_important_mail_is_accepted_first() -> None:
    tables = news("2026-03-15", priority=5)
    tables.contacts = [contact(1, birth="1950-03-15")]
    assert reasons(tables, ONE_IN_14 + "birthday_days_before: 0\n") == [
        ("2026-03-15", "same_day:campaign_news"),
        ("2026-03-15", None),
    ]
    tables.campaign_types = [campaign_type("news")]
    assert reasons(tables, ONE_IN_14 + "birthday_days_before: 0\n") == [
        ("2026-03-15", None),
        ("2026-03-15", "same_day:birthday"),
    ]


def test_history_on_the_same_day_is_no_same_day() -> None:
    tables = news("2026-03-20")
    tables.schedules = [scheduled(1, 1, "aep", "2025-09-15", "2026-03-20", status="scheduled")]
    assert reasons(tables) == [("2026-03-20", "frequency_limit")]
    assert reasons(tables, ONE_IN_14.replace("1\n", "2\n")) == [("2026-03-20", None)]


def test_instances_of_one_type_go_by_number() -> None:
    tables = news()
    tables.instances = [instance(3, "news"), instance(-2, "news"), instance(10, "news")]
    tables.targets = [target(1, number, "2026-03-20") for number in (10, 3, -2)]
    rows = plan(tables, "2026-03-01", ONE_IN_14)
    assert [(row["campaign_instance_id"], row["skip_reason"]) for row in rows] == [
        (-2, None),
        (3, "same_day:campaign_news"),
        (10, "same_day:campaign_news"),
    ]


def crowded(first: int, last: int) -> Tables:
    """Contacts to whom each of 250 campaigns writes on one day."""
    tables = Tables(contacts=[contact(number) for number in range(first, last)])
    tables.campaign_types = [campaign_type("news", target_all_contacts=True, respect_exclusion_windows=False)]
    tables.instances = [instance(number, "news", "2026-03-01") for number in range(1, 251)]
    return tables


def test_many_campaigns_on_one_day_take_bounded_memory_and_change_nothing() -> None:
    rules, as_of = load_rules(ONE_IN_14), day_number(date(2026, 3, 1))
    whole = to_inputs(crowded(0, 100))
    tracemalloc.start()
    found = decide(whole, rules, as_of).desired
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20_000_000  # every pair of mails held at once: 150 MB
    halves = [decide(to_inputs(crowded(*part)), rules, as_of).desired for part in ((0, 40), (40, 100))]
    for name in ("send", "skip_reason", "campaign"):
        assert getattr(found, name).tolist() == [value for half in halves for value in getattr(half, name).tolist()]
    assert sum(found.skip_reason < 0) == 100
