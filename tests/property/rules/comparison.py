"""Product against reference on the same tables."""

import datetime
from typing import Any

from mailtide.rules.columns import Desired, Outcome
from mailtide.rules.config import Rules, load_rules
from mailtide.rules.decide import decide
from tests.property.rules.databases import day_number, day_of, to_inputs
from tests.reference.schedule import Result, desired
from tests.reference.settings import load
from tests.reference.tables import Tables

type Row = dict[str, Any]


def rows_of(result: Desired, ids: list[int], rules: Rules) -> list[Row]:
    """The product's rows as the reference writes them."""
    rows = []
    for place in range(len(result)):
        reason = int(result.skip_reason[place])
        email, sms = int(result.email_template[place]), int(result.sms_template[place])
        rows.append(
            {
                "contact_id": ids[result.contact[place]],
                "email_type": result.types[result.email_type[place]],
                "event_date": day_of(int(result.event[place])),
                "campaign_instance_id": int(result.campaign[place]),
                "scheduled_send_date": day_of(int(result.send[place])),
                "scheduled_send_time": rules.send_time,
                "status": "pre-scheduled" if reason < 0 else "skipped",
                "skip_reason": None if reason < 0 else result.reasons[reason],
                "priority": int(result.priority[place]),
                "email_template": None if email < 0 else result.templates[email],
                "sms_template": None if sms < 0 else result.templates[sms],
            }
        )
    return rows


def run_product(tables: Tables, text: str, as_of: datetime.date, threads: int = 1) -> tuple[list[Row], Outcome]:
    inputs, rules = to_inputs(tables), load_rules(text)
    outcome = decide(inputs, rules, day_number(as_of), threads)
    return rows_of(outcome.desired, inputs.contacts.id.tolist(), rules), outcome


def run_reference(tables: Tables, text: str, as_of: datetime.date) -> Result:
    return desired(tables, load(text), as_of)


def assert_same(tables: Tables, text: str, as_of: datetime.date) -> None:
    """Both give the same rows, in the same order, and the same counts."""
    rows, outcome = run_product(tables, text, as_of)
    result = run_reference(tables, text, as_of)
    assert rows == result.rows
    assert outcome.eligible == result.eligible
    assert outcome.skipped_contacts == result.skipped_contacts
    for name, count in result.notes.items():
        assert outcome.notes[name] == count, name
