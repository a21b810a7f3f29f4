"""A year of daily runs; after each run that day's due rows are handed off and count as sent."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from tests.reference.tables import Tables
from tests.unit.rules.bridge import run_product
from tests.unit.rules.small import campaign_type, contact, instance, target

type Row = dict[str, Any]
type Key = tuple[int, str, date, int]

START = date(2027, 9, 1)  # the year holds a 29 February
DEADLINED = ("birthday", "effective_date", "aep")


def organisation(contacts: int) -> Tables:
    random = Random(5)
    tables = Tables(
        campaign_types=[
            campaign_type("rate", days_before_event=10),
            campaign_type("news", target_all_contacts=True, priority=20),
        ],
        instances=[instance(1, "rate"), instance(2, "news", "2028-01-10", "2028-02-10")],
    )
    for number in range(1, contacts + 1):
        state = random.choice(["TX", "TX", "FL", "CA", "MO", "NV", "NY"])
        birth = date(1950, 1, 1) + timedelta(days=random.randint(0, 3000))
        effective = date(random.randint(2010, 2020), random.randint(1, 12), random.choice([1, 1, 1, 15]))
        tables.contacts.append(contact(number, state, str(birth), str(effective)))
        if number % 5 == 0:
            tables.targets.append(target(number, 1, str(START + timedelta(days=random.randint(0, 360)))))
    tables.contacts[0] |= {"state": "TX", "birth_date": date(1952, 2, 29)}
    return tables


def key_of(row: Row) -> Key:
    return row["contact_id"], row["email_type"], row["event_date"], row["campaign_instance_id"]


class Year:
    """What was planned and what went out."""

    def __init__(self, tables: Tables, text: str, days: Iterable[int]) -> None:
        self.tables = tables
        self.sent: dict[Key, date] = {}
        self.planned: dict[Key, list[date]] = {}
        self.last_state: dict[Key, str] = {}
        for offset in days:
            self.run(START + timedelta(days=offset), text)

    def run(self, today: date, text: str) -> None:
        for row in run_product(self.tables, text, today)[0]:
            key = key_of(row)
            self.last_state[key] = row["status"]
            if row["status"] == "pre-scheduled":
                self.planned.setdefault(key, []).append(row["scheduled_send_date"])
                if row["scheduled_send_date"] <= today:
                    self.hand_off(key, row, today)

    def hand_off(self, key: Key, row: Row, today: date) -> None:
        assert key not in self.sent, "sent twice"
        self.sent[key] = today
        more = {"id": len(self.sent), "status": "sent", "actual_send_datetime": today}
        self.tables.schedules.append(row | more)

    def count(self) -> Counter[str]:
        return Counter(email_type.split("_")[0] for _, email_type, _, _ in self.sent)


def assert_in_time(year: Year, *types: str) -> None:
    """Nothing went out after its deadline, and no planned mail of these types was forgotten."""
    for (_, email_type, event, _), day in year.sent.items():
        assert email_type not in DEADLINED or day <= event, "after its deadline"
    last = max(year.sent.values())
    for key, state in year.last_state.items():
        if state == "pre-scheduled" and key not in year.sent and key[1].startswith(types):
            assert year.planned[key][-1] > last - timedelta(days=20), f"{key} was planned and never went out"


def test_every_day() -> None:
    # A follow-up gives way to the one of a later mail; every other mail that is not skipped goes out.
    year = Year(organisation(80), "", range(366))
    assert_in_time(year, "birthday", "effective_date", "aep", "post_window", "campaign_")
    count = year.count()
    assert min(count[name] for name in ("birthday", "effective", "aep", "post", "campaign", "followup")) > 5
    assert (1, "birthday", date(2028, 2, 29), 0) in year.sent


def test_no_mail_slides_from_day_to_day() -> None:
    # Without a cap and a frequency limit nothing moves: each mail keeps its day in all runs, and goes out on it.
    year = Year(organisation(40), "daily_cap_fraction: null\nmax_emails_per_period: null\n", range(366))
    assert_in_time(year, "birthday", "effective_date", "aep", "post_window", "campaign_")
    for key, days in year.planned.items():
        if not key[1].startswith(("followup_", "post_window")):
            assert len(set(days)) <= 2, key  # a mail that same_day skipped may catch up once
        assert key not in year.sent or days[-1] == year.sent[key]


@pytest.mark.parametrize("missed", [1, 3, 10])
def test_missed_runs(missed: int) -> None:
    random = Random(missed)
    days = [day for day in range(366) if day % 20 < 20 - missed or random.random() < 0.1]
    year = Year(organisation(40), "", days)
    assert_in_time(year, "birthday", "effective_date")  # 14 and 30 days of room; the others may find no run in time
    assert min(year.count()[name] for name in ("birthday", "effective", "post", "followup")) > 3


def test_contacts_and_rules_change_on_the_way() -> None:
    tables = organisation(40)
    year = Year(tables, "", range(120))
    for row in tables.contacts[:10]:
        row["state"] = "CA" if row["state"] != "CA" else "TX"
    tables.contacts[20:30] = []
    tables.schedules = [row for row in tables.schedules if not 21 <= row["contact_id"] <= 30]
    tables.targets = [row for row in tables.targets if not 21 <= row["contact_id"] <= 30]
    for offset in range(120, 250):
        year.run(START + timedelta(days=offset), "birthday_days_before: 20\n")
    for offset in range(250, 366):
        year.run(START + timedelta(days=offset), "birthday_days_before: 5\nmax_emails_per_period: 3\n")
    late = {key: day for key, day in year.sent.items() if key[1] in DEADLINED and day > key[2]}
    assert late == {}
