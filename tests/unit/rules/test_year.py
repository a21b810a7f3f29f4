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

    def run(self, today: date, text: str) -> list[Row]:
        rows, _ = run_product(self.tables, text, today)
        for row in rows:
            key = key_of(row)
            self.last_state[key] = row["status"]
            if row["status"] == "pre-scheduled":
                self.planned.setdefault(key, []).append(row["scheduled_send_date"])
                if row["scheduled_send_date"] <= today:
                    self.hand_off(key, row, today)
        return rows

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


CAMPAIGN_END = date(2028, 2, 10)
FIRST_CHANGE, SECOND_CHANGE = 120, 250
TEXTS = (
    "",
    "birthday_days_before: 20\n",
    "birthday_days_before: 5\nmax_emails_per_period: 3\ndaily_cap_fraction: 0.05\n",
)


def change_contacts(tables: Tables) -> set[int]:
    """Some move, some get another birth date, some go, one is suppressed, some come; their ids."""
    for row in tables.contacts[:10]:
        row["state"] = "CA" if row["state"] != "CA" else "TX"
    for row in tables.contacts[10:15]:
        row["birth_date"] += timedelta(days=40)
    gone = {row["id"] for row in tables.contacts[20:30]}
    tables.contacts[20:30] = []
    for name in ("schedules", "targets"):
        setattr(tables, name, [row for row in getattr(tables, name) if row["contact_id"] not in gone])
    tables.suppressions.append(tables.contacts[16]["email"])
    tables.contacts += [contact(number, "TX", "1955-02-10", "2015-03-01") for number in range(900, 905)]
    return gone | {row["id"] for row in [*tables.contacts[:15], tables.contacts[16]]}


def deadline_of(key: Key) -> date | None:
    """The last day of a mail; None: it has none."""
    if key[1] in (*DEADLINED, "campaign_rate"):
        return key[2]
    return CAMPAIGN_END if key[1] == "campaign_news" else None


class MissedYear(Year):
    """A year in which runs are missed, and contacts and rules change on the way; every mail is accounted for."""

    def __init__(self, tables: Tables, days: list[int]) -> None:
        self.days = [START + timedelta(days=offset) for offset in days]
        self.changed: set[int] = set()
        self.last_run: dict[Key, date] = {}
        self.kept_back: set[Key] = set()
        self.freed: set[tuple[int, date]] = set()
        super().__init__(tables, "", [])
        for offset in days:
            if not self.changed and offset >= FIRST_CHANGE:
                self.changed = change_contacts(tables)
            self.run(START + timedelta(days=offset), TEXTS[(offset >= FIRST_CHANGE) + (offset >= SECOND_CHANGE)])

    def run(self, today: date, text: str) -> list[Row]:
        rows = super().run(today, text)
        kept_back = {key_of(row) for row in rows if "window" in (row["skip_reason"] or "")}
        self.freed |= {(row["contact_id"], today) for row in rows if key_of(row) in self.kept_back - kept_back}
        self.kept_back = kept_back
        self.last_run |= {key_of(row): today for row in rows}
        return rows

    def forgotten(self) -> list[Key]:
        """Mails that were planned, did not go out, and are planned and skipped no more, without a reason."""
        return [
            key
            for key, state in self.last_state.items()
            if state == "pre-scheduled" and key not in self.sent and self.last_run[key] != self.days[-1]
            and not self.may_vanish(key, self.next_run(self.last_run[key]))
        ]  # fmt: skip

    def next_run(self, day: date) -> date:
        return next(other for other in self.days if other > day)

    def may_vanish(self, key: Key, today: date) -> bool:
        """Whether the run of `today` may plan no more what the run before it planned."""
        deadline, changes = deadline_of(key), [START + timedelta(days=day) for day in (FIRST_CHANGE, SECOND_CHANGE)]
        if any(self.last_run[key] < change <= today for change in changes):
            return True
        if key[1].startswith("followup_"):  # gives way to that of a later mail, or its mail is too long ago
            return any(one[0] == key[0] and day > key[2] for one, day in self.sent.items()) or today - key[
                2
            ] > timedelta(35)
        if key[1] == "post_window":
            # Its free day is too long ago, or the mail that the window kept back has caught up by itself.
            return today - self.planned[key][-1] > timedelta(7) or (key[0], today) in self.freed
        return deadline is not None and today > deadline


@pytest.mark.parametrize("missed", [1, 3, 10])
def test_missed_runs_while_contacts_and_rules_change(missed: int) -> None:
    random = Random(missed)
    days = [day for day in range(366) if day % 20 < 20 - missed or random.random() < 0.1]
    year = MissedYear(organisation(60), days)
    assert len(days) < 366 - missed * 12
    assert year.forgotten() == []
    late = {key: day for key, day in year.sent.items() if (deadline := deadline_of(key)) and day > deadline}
    assert late == {}
    assert min(year.count()[name] for name in ("birthday", "effective", "campaign", "post", "followup")) > 3
    assert {key[0] for key in year.sent} & set(range(900, 905))
    suppressed_on = START + timedelta(days=FIRST_CHANGE)
    addresses = {row["id"] for row in year.tables.contacts if row["email"] in year.tables.suppressions}
    assert not [key for key, day in year.sent.items() if key[0] in addresses and day >= suppressed_on]


def test_contacts_and_rules_change_on_the_way() -> None:
    tables = organisation(40)
    year = Year(tables, "", range(120))
    change_contacts(tables)
    for offset in range(120, 250):
        year.run(START + timedelta(days=offset), TEXTS[1])
    for offset in range(250, 366):
        year.run(START + timedelta(days=offset), TEXTS[2])
    late = {key: day for key, day in year.sent.items() if key[1] in DEADLINED and day > key[2]}
    assert late == {}
