"""Made-up databases, as the reference reads them, and rules files."""

import datetime
from random import Random
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.reference.tables import HISTORY, PLANNED, Tables
from tests.reference.windows import anniversary

type Row = dict[str, Any]

STATES = ["CA", "MO", "NV", "NY", "TX", "DC"]
ZIPS = ["90210", "65101", "89501", "10001", "75001", "20001", "00901", "00000", None]
TYPES = ["birthday", "effective_date", "aep", "post_window", "campaign_a", "campaign_b", "campaign_gone", "Birthday"]
FOLLOWUPS = [
    "followup_1_cold",
    "followup_2_clicked_no_hq",
    "followup_3_hq_no_yes",
    "followup_4_hq_with_yes",
    "followup_x",
]
STATUSES = [*HISTORY, *PLANNED, "failed", "cancelled", ""]
IDS = [0, 1, 2, 3, -1, -(2**63), 2**63 - 1, 2**62, -7, 10**12]
NEAR = [-400, -366, -365, -61, -60, -46, -45, -44, -30, -15, -14, -8, -7, -6, -2, -1, 0]
NEAR += [1, 2, 7, 13, 14, 15, 29, 30, 44, 45, 60, 366]

days_of_run = st.one_of(
    st.sampled_from(
        [
            datetime.date(2024, 2, 28),
            datetime.date(2024, 2, 29),
            datetime.date(2025, 2, 28),
            datetime.date(2025, 3, 1),
            datetime.date(2025, 12, 31),
            datetime.date(2026, 1, 1),
            datetime.date(2026, 9, 15),
            datetime.date(2099, 12, 31),
            datetime.date(2100, 2, 28),
        ]
    ),
    st.dates(datetime.date(1999, 1, 1), datetime.date(2032, 12, 31)),
)


@st.composite
def windows(draw: st.DrawFn) -> Row:
    kind = draw(st.sampled_from(["birthday", "birthday", "effective_date", "effective_date", "year_round"]))
    if kind == "year_round":
        return {"kind": kind}
    window: Row = {
        "kind": kind,
        "before": draw(st.sampled_from([0, 1, 30, 120, 380])),
        "after": draw(st.sampled_from([0, 1, 31, 60, 200, 364, 400, 800])),
    }
    if draw(st.integers(0, 3)) == 0:
        window["month_start"] = True
    if draw(st.integers(0, 3)) == 0:
        window[draw(st.sampled_from(["min_age", "max_age"]))] = draw(st.integers(0, 90))
    if draw(st.integers(0, 3)) == 0:
        day = draw(st.dates(datetime.date(1998, 1, 1), datetime.date(2033, 1, 1)))
        window[draw(st.sampled_from(["valid_from", "valid_to"]))] = day.isoformat()
    return window


@st.composite
def rules_texts(draw: st.DrawFn) -> str:
    choices: dict[str, st.SearchStrategy[Any]] = {
        "birthday_days_before": st.sampled_from([0, 1, 14, 60, 400]),
        "effective_date_days_before": st.sampled_from([0, 30, 90, 366]),
        "aep_dates": st.lists(st.sampled_from(["02-28", "02-29", "09-15", "01-01", "12-31"]), max_size=3),
        "pre_window_extension_days": st.sampled_from([0, 1, 60, 400]),
        "catch_up_spread_days": st.sampled_from([1, 2, 7, 40]),
        "daily_cap_fraction": st.sampled_from([None, 0.000001, 0.07, 0.3, 0.5, 1]),
        "overage_threshold": st.sampled_from([1, 1.2, 1.5, 3]),
        "ed_soft_limit_fraction": st.sampled_from([0, 0.3, 1]),
        "ed_soft_limit": st.sampled_from([None, 1, 2]),
        "ed_smoothing_days": st.sampled_from([0, 1, 2, 10]),
        "max_emails_per_period": st.sampled_from([None, 1, 2, 3]),
        "period_days": st.sampled_from([1, 2, 14, 60]),
        "followup_days_after": st.sampled_from([0, 2, 10]),
        "followup_lookback_days": st.sampled_from([0, 5, 35, 400]),
        "priorities": st.fixed_dictionaries(
            {},
            optional={
                name: st.sampled_from([-5, 1, 10, 20]) for name in ("birthday", "effective_date", "aep", "post_window")
            },
        ),
        "states": st.dictionaries(st.sampled_from(STATES), st.lists(windows(), max_size=3), max_size=5),
    }
    names = draw(st.lists(st.sampled_from(sorted(choices)), unique=True, max_size=9))
    return str(yaml.safe_dump({name: draw(choices[name]) for name in names}))


class _Maker:
    """Draws the tables of one database around one day."""

    def __init__(self, draw: st.DrawFn, as_of: datetime.date, contacts: int) -> None:
        self.draw, self.as_of, self.tables = draw, as_of, Tables()
        numbers = st.one_of(st.sampled_from(IDS), st.integers(-50, 50))
        for number in draw(st.lists(numbers, unique=True, min_size=draw(st.integers(0, contacts)), max_size=contacts)):
            self.tables.contacts.append(self.contact(number))

    def near(self, nothing: bool = True) -> datetime.date | None:
        """A day around the run, at times none."""
        if nothing and self.draw(st.integers(0, 5)) == 0:
            return None
        return self.as_of + datetime.timedelta(days=self.draw(st.sampled_from(NEAR)))

    def date(self) -> datetime.date | None:
        """A birth or effective date whose anniversary is near the run, a leap day or anything."""
        which = self.draw(st.integers(0, 5))
        if which == 0:
            return self.draw(st.sampled_from([None, datetime.date(1960, 2, 29), datetime.date(2000, 2, 29)]))
        if which == 1:
            return self.draw(st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 12, 31)))
        day = self.near(nothing=False)
        assert day is not None
        return anniversary(day, self.draw(st.integers(1940, 2050)))

    def contact(self, number: int) -> Row:
        draw = self.draw
        return {
            "id": number,
            "email": draw(st.sampled_from(["z@z.z"] * 9 + ["x@y.z", "a@b.c", " A@B.C ", "bad", None])),
            "state": draw(st.sampled_from([*STATES, " ca ", "XX", None])),
            "zip_code": draw(st.sampled_from(ZIPS)),
            "birth_date": self.date(),
            "effective_date": self.date(),
            "phone_number": draw(st.sampled_from([None, "5550100"])),
        }

    def event_date(self, contact: Row, email_type: str) -> datetime.date | None:
        """None, a day near the run, or one that is or nearly is an event of the contact."""
        if email_type.startswith("campaign_"):
            days = [row["trigger_date"] for row in self.tables.targets if row["contact_id"] == contact["id"]]
            days += [row["active_start_date"] for row in self.tables.instances]
            found: datetime.date | None = self.draw(st.sampled_from([*days, None]))
            return found
        base = self.draw(
            st.sampled_from([contact["birth_date"], contact["effective_date"], datetime.date(2000, 9, 15), None])
        )
        if base is None:
            return self.near()
        day = anniversary(base, self.as_of.year + self.draw(st.integers(-1, 1)))
        assert day is not None
        return day + datetime.timedelta(days=self.draw(st.sampled_from([0, 0, 0, 1, -44, 45])))

    def schedule(self, number: int) -> Row:
        draw = self.draw
        contact = draw(st.sampled_from(self.tables.contacts))
        send = (
            self.near() if draw(st.integers(0, 1)) else self.as_of - datetime.timedelta(days=draw(st.integers(0, 35)))
        )
        email_type = draw(st.sampled_from(TYPES + FOLLOWUPS if draw(st.integers(0, 4)) == 0 else TYPES))
        status = draw(st.sampled_from([*STATUSES, "sent", "delivered", "sent"]))
        return {
            "id": number,
            "contact_id": contact["id"],
            "email_type": email_type,
            "event_date": self.event_date(contact, email_type) if draw(st.integers(0, 2)) else None,
            "scheduled_send_date": send,
            "actual_send_datetime": draw(st.sampled_from([None, None, send, self.near()])),
            "status": status,
            "priority": draw(st.sampled_from([10, 10, 3])),
            "campaign_instance_id": draw(st.sampled_from([0, 0, 1, 2, 5])),
        }

    def campaign_type(self, name: str) -> Row:
        draw = self.draw
        return {
            "name": name,
            "respect_exclusion_windows": draw(st.booleans()),
            "enable_followups": draw(st.booleans()),
            "days_before_event": draw(st.sampled_from([0, 0, 1, 14, 90, -1, -10, -(2**63), 2**63 - 1])),
            "target_all_contacts": draw(st.booleans()),
            "priority": draw(st.sampled_from([10, 10, 1, 50])),
            "active": draw(st.integers(0, 5)) > 0,
        }

    def instance(self, number: int) -> Row:
        start, end = self.near(), self.near()
        if self.draw(st.integers(0, 3)):
            start = self.draw(st.sampled_from([None, self.as_of, self.as_of - datetime.timedelta(days=20)]))
            end = self.draw(st.sampled_from([None, self.as_of, self.as_of + datetime.timedelta(days=20)]))
        return {
            "id": number,
            "campaign_type": self.draw(st.sampled_from(["a", "a", "a", "b", "unknown"])),
            "email_template": self.draw(st.sampled_from([None, "offer"])),
            "sms_template": self.draw(st.sampled_from([None, "short"])),
            "active_start_date": start,
            "active_end_date": end,
        }

    def signal(self) -> Row:
        draw = self.draw
        answer: Row = draw(
            st.sampled_from(
                [
                    {},
                    {"has_medical_conditions": True},
                    {"main_questions_yes_count": 0},
                    {"main_questions_yes_count": 2.5},
                ]
            )
        )
        return {
            "contact_id": draw(st.sampled_from(self.tables.contacts))["id"],
            "event_type": draw(st.sampled_from(["eligibility_answered", "clicked"])),
            "created_at": self.near(),
            "metadata": answer,
        }

    def make(self, rows: int) -> Tables:
        draw, tables = self.draw, self.tables
        names = draw(st.lists(st.sampled_from(["a", "b"]), unique=True, min_size=1, max_size=2))
        tables.campaign_types = [self.campaign_type(name) for name in names]
        tables.instances = [
            self.instance(number) for number in draw(st.sampled_from([[], [1], [1, 2, 0], [-3, 2**62, 1, 2, 7, 8]]))
        ]
        tables.suppressions = draw(st.sampled_from([[], ["a@b.c"]]))
        if tables.contacts:
            for _ in range(draw(st.integers(0, rows)) if tables.instances else 0):
                tables.targets.append(
                    {
                        "contact_id": draw(st.sampled_from(tables.contacts))["id"],
                        "campaign_instance_id": draw(st.sampled_from(tables.instances))["id"],
                        "trigger_date": self.near(),
                        "status": draw(st.sampled_from(["pending", "scheduled", "", "", "sent"])),
                    }
                )
            tables.schedules = [self.schedule(number) for number in range(draw(st.integers(0, rows)))]
            tables.events = [self.signal() for _ in range(draw(st.integers(0, 4)))]
            tables.clicks = [
                {"contact_id": signal["contact_id"], "clicked_at": signal["created_at"]}
                for signal in (self.signal() for _ in range(draw(st.integers(0, 3))))
            ]
        return tables


@st.composite
def crowds(draw: st.DrawFn, as_of: datetime.date) -> Tables:
    """Many contacts whose mails fall on few days."""
    random = Random(draw(st.integers(0, 2**32)))
    days = [as_of + datetime.timedelta(days=random.choice([-1, 0, 1, 2, 3, 14, 30])) for _ in range(3)]
    tables = Tables()
    for number in range(draw(st.integers(1, 60))):
        tables.contacts.append(
            {
                "id": number * random.choice([1, -1]),
                "email": "z@z.z",
                "state": random.choice(["TX", "TX", "CA", "MO", "NV"]),
                "zip_code": None,
                "birth_date": anniversary(random.choice(days), random.randint(1940, 1960))
                if random.random() < 0.7
                else None,
                "effective_date": anniversary(random.choice(days), random.randint(2000, 2020)),
                "phone_number": None,
            }
        )
    for name in "ab":
        tables.campaign_types.append(
            {
                "name": name,
                "respect_exclusion_windows": random.random() < 0.5,
                "enable_followups": True,
                "days_before_event": random.choice([0, 5, 30, -3]),
                "target_all_contacts": random.random() < 0.7,
                "priority": random.choice([5, 10, 20]),
                "active": True,
            }
        )
    for number in range(draw(st.integers(0, 8))):
        tables.instances.append(
            {
                "id": number,
                "campaign_type": random.choice("ab"),
                "email_template": None,
                "sms_template": None,
                "active_start_date": as_of - datetime.timedelta(days=random.randint(0, 3)),
                "active_end_date": random.choice([None, None, as_of + datetime.timedelta(days=random.randint(0, 90))]),
            }
        )
        for contact in tables.contacts:
            for _ in range(random.choice([0, 0, 1, 2])):
                tables.targets.append(
                    {
                        "contact_id": contact["id"],
                        "campaign_instance_id": number,
                        "trigger_date": random.choice([*days, as_of + datetime.timedelta(days=random.randint(-5, 40))]),
                        "status": "pending",
                    }
                )
    return tables


crowd_rules = st.fixed_dictionaries(
    {"daily_cap_fraction": st.sampled_from([0.0001, 0.02, 0.07, 0.3, 0.9])},
    optional={
        "overage_threshold": st.sampled_from([1, 1.2, 2.5]),
        "ed_soft_limit": st.sampled_from([1, 3]),
        "ed_smoothing_days": st.sampled_from([1, 5]),
        "birthday_days_before": st.sampled_from([0, 3]),
        "max_emails_per_period": st.sampled_from([None, 1, 4]),
        "period_days": st.sampled_from([3, 14]),
        "states": st.just({"CA": [{"kind": "birthday", "before": 0, "after": 2}], "MO": []}),
        "pre_window_extension_days": st.sampled_from([0, 3]),
    },
).map(yaml.safe_dump)


@st.composite
def databases(draw: st.DrawFn, as_of: datetime.date, contacts: int = 8, rows: int = 10) -> Tables:
    """Tables around a day."""
    return _Maker(draw, as_of, contacts).make(rows)
