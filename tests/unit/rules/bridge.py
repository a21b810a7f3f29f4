"""Plain rows to the columns that the rules take, and the rules' columns to plain rows."""

import datetime
from typing import Any

import numpy as np

from mailtide.rules.columns import (
    NO_DATE,
    NO_STATE,
    CampaignInstance,
    CampaignType,
    Contacts,
    Desired,
    HeldKeys,
    History,
    Inputs,
    Outcome,
    Signals,
    Targets,
)
from mailtide.rules.config import Rules, load_rules
from mailtide.rules.decide import decide
from mailtide.rules.states import STATE_INDEX
from tests.reference import values
from tests.reference.tables import HISTORY, PLANNED, Tables

type Row = dict[str, Any]

EPOCH = datetime.date(1970, 1, 1)


def day_number(day: datetime.date | None) -> int:
    return NO_DATE if day is None else (day - EPOCH).days


def day_of(number: int) -> datetime.date:
    return EPOCH + datetime.timedelta(days=number)


def _int32(found: list[int]) -> Any:  # noqa: ANN401 - an array of any shape
    return np.array(found, np.int32)


def _int64(found: list[int]) -> Any:  # noqa: ANN401
    return np.array(found, np.int64)


def _bools(found: list[bool]) -> Any:  # noqa: ANN401
    return np.array(found, np.bool_)


def _contacts(tables: Tables) -> Contacts:
    rows = sorted(tables.contacts, key=lambda row: int(row["id"]))
    emails = [(row["email"] or "").strip().lower() for row in rows]
    return Contacts(
        id=_int64([row["id"] for row in rows]),
        email_valid=_bools([values.email_is_valid(row["email"]) for row in rows]),
        suppressed=_bools([email in tables.suppressions for email in emails]),
        state=np.array([STATE_INDEX.get(values.state(row["state"]) or "", NO_STATE) for row in rows], np.uint8),
        zip_state=np.array(
            [STATE_INDEX.get(values.state_of_zip(row["zip_code"]) or "", NO_STATE) for row in rows], np.uint8
        ),
        birth=_int32([day_number(row["birth_date"]) for row in rows]),
        effective=_int32([day_number(row["effective_date"]) for row in rows]),
        has_phone=_bools([row["phone_number"] is not None for row in rows]),
    )


def to_inputs(tables: Tables) -> Inputs:
    """The columns that the product's reader would make of these tables."""
    contacts = _contacts(tables)
    index = {number: place for place, number in enumerate(contacts.id.tolist())}
    types = sorted({row["email_type"] for row in tables.schedules}, reverse=True)
    code = {name: place for place, name in enumerate(types)}
    history = [row for row in tables.schedules if row["status"] in HISTORY]
    held = [row for row in tables.schedules if row["status"] not in HISTORY + PLANNED and row["event_date"] is not None]
    place_of_instance = {row["id"]: place for place, row in enumerate(tables.instances)}
    targets = [
        row
        for row in tables.targets
        if row["status"] in ("pending", "scheduled", "") and row["trigger_date"] is not None
    ]
    answers = [row for row in tables.events if row["event_type"] == "eligibility_answered"]

    def is_yes(answer: Row) -> bool:
        return bool(answer.get("has_medical_conditions") is True or answer.get("main_questions_yes_count", 0) > 0)

    return Inputs(
        contacts=contacts,
        types=types,
        history=History(
            row_id=_int64([row["id"] for row in history]),
            contact=_int32([index[row["contact_id"]] for row in history]),
            email_type=_int32([code[row["email_type"]] for row in history]),
            event=_int32([day_number(row["event_date"]) for row in history]),
            send=_int32([day_number(row["scheduled_send_date"]) for row in history]),
            actual=_int32([day_number(row["actual_send_datetime"]) for row in history]),
            was_sent=_bools([row["status"] in ("sent", "delivered") for row in history]),
            campaign=_int64([row["campaign_instance_id"] for row in history]),
            priority=_int64([row["priority"] for row in history]),
        ),
        held=HeldKeys(
            contact=_int32([index[row["contact_id"]] for row in held]),
            email_type=_int32([code[row["email_type"]] for row in held]),
            event=_int32([day_number(row["event_date"]) for row in held]),
            campaign=_int64([row["campaign_instance_id"] for row in held]),
        ),
        campaign_types=[CampaignType(**row) for row in tables.campaign_types],
        instances=[
            CampaignInstance(
                id=row["id"],
                campaign_type=row["campaign_type"],
                email_template=row["email_template"],
                sms_template=row["sms_template"],
                start=day_number(row["active_start_date"]),
                end=day_number(row["active_end_date"]),
            )
            for row in tables.instances
        ],
        targets=Targets(
            contact=_int32([index[row["contact_id"]] for row in targets]),
            instance=_int32([place_of_instance[row["campaign_instance_id"]] for row in targets]),
            trigger=_int32([day_number(row["trigger_date"]) for row in targets]),
        ),
        signals=Signals(
            click_contact=_int32([index[row["contact_id"]] for row in tables.clicks]),
            click_day=_int32([day_number(row["clicked_at"]) for row in tables.clicks]),
            answer_contact=_int32([index[row["contact_id"]] for row in answers]),
            answer_day=_int32([day_number(row["created_at"]) for row in answers]),
            answer_yes=_bools([is_yes(row["metadata"]) for row in answers]),
        ),
    )


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
