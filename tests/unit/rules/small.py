"""Small tables by hand, and what the product plans for them."""

from datetime import date
from typing import Any

from tests.reference.tables import Tables
from tests.unit.rules.bridge import run_product

type Row = dict[str, Any]

CALM = "daily_cap_fraction: null\nmax_emails_per_period: null\naep_dates: []\n"
"""Nothing moves and nothing is too many."""


def day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def contact(number: int, state: str = "TX", birth: str | None = None, effective: str | None = None) -> Row:
    return {
        "id": number,
        "email": f"c{number}@example.org",
        "state": state,
        "zip_code": None,
        "birth_date": day(birth),
        "effective_date": day(effective),
        "phone_number": None,
    }


def scheduled(number: int, who: int, email_type: str, event: str | None, send: str, **more: object) -> Row:
    row = {
        "id": number,
        "contact_id": who,
        "email_type": email_type,
        "event_date": day(event),
        "scheduled_send_date": day(send),
        "actual_send_datetime": None,
        "status": "sent",
        "priority": 10,
        "campaign_instance_id": 0,
    }
    return row | more


def campaign_type(name: str, **more: object) -> Row:
    row: Row = {
        "name": name,
        "respect_exclusion_windows": True,
        "enable_followups": True,
        "days_before_event": 0,
        "target_all_contacts": False,
        "priority": 10,
        "active": True,
    }
    return row | more


def instance(number: int, name: str, start: str | None = None, end: str | None = None) -> Row:
    return {
        "id": number,
        "campaign_type": name,
        "email_template": None,
        "sms_template": None,
        "active_start_date": day(start),
        "active_end_date": day(end),
    }


def target(who: int, number: int, trigger: str) -> Row:
    return {"contact_id": who, "campaign_instance_id": number, "trigger_date": day(trigger), "status": "pending"}


def plan(tables: Tables, as_of: str, text: str = CALM) -> list[Row]:
    return run_product(tables, text, date.fromisoformat(as_of))[0]


def brief(rows: list[Row]) -> list[tuple[str, str, str, str | None]]:
    """(type, event, send, skip reason) of each row."""
    return [
        (row["email_type"], str(row["event_date"]), str(row["scheduled_send_date"]), row["skip_reason"]) for row in rows
    ]
