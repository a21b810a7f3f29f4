"""Why each mail of a contact stands where it stands: the real rules, run with and without their later steps."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from mailtide.database.bulk import Source
from mailtide.database.contact_index import contact_index
from mailtide.database.private_copy import private_copy
from mailtide.database.read import read_inputs
from mailtide.errors import SettingsError
from mailtide.rules.columns import NO_CODE, NO_DATE, Contacts, Desired, Inputs
from mailtide.rules.config import FOLLOWUP_PREFIX, Rules
from mailtide.rules.decide import decide
from mailtide.rules.people import judge
from mailtide.rules.sources import list_sources
from mailtide.rules.states import STATES

_EPOCH = date(1970, 1, 1)
_NO_OVERFLOW = Decimal(1_000_000)

type _Key = tuple[str, int, int]
"""Type, event day, campaign."""


@dataclass(frozen=True, slots=True)
class ExplainedMail:
    """One desired row. Dates are ISO 8601; steps are sentences, in the order in which the rules apply."""

    email_type: str
    event_date: str
    campaign_instance_id: int
    ideal_date: str | None
    """None for a post-window mail and a follow-up, which have none."""
    date_before_smoothing: str
    send_date: str
    status: str
    skip_reason: str | None
    steps: list[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the rules say of one contact on one day."""

    contact_id: int
    as_of: str
    state: str | None
    not_eligible: str | None
    """The reason why the contact gets no mail at all."""
    history: list[str]
    """Mails that count as sent or on their way, one sentence each; what they handle is not planned again."""
    mails: list[ExplainedMail]


def explain(path: Path, contact_id: int, as_of: date, rules: Rules, threads: int = 1) -> Explanation:
    """Explain the mails that a pass of this day plans for a contact; the file is not changed.

    The rules run on the whole database, for the daily cap needs every contact: once as they are, once without the
    daily cap, once without any smoothing. Raises DatabaseError, and SettingsError when there is no such contact.
    """
    tables = ("contacts", "email_schedules")
    with private_copy(path, tables) as copy:
        inputs = read_inputs(Source(copy.path, copy.header), copy.schema, threads).inputs
    index = int(contact_index(inputs.contacts.id, np.array([contact_id], np.int64))[0])
    if index < 0:
        raise SettingsError(f"--contact is {contact_id}; the database has no contact with that id.")
    people, refused, _ = judge(_only(inputs.contacts, index))
    day = (as_of - _EPOCH).days
    return Explanation(
        contact_id=contact_id,
        as_of=as_of.isoformat(),
        state=STATES[int(people.state[0])] if len(people.eligible) else None,
        not_eligible=next((reason for reason, count in refused.items() if count), None),
        history=_history(inputs, index),
        mails=_mails(inputs, index, day, rules, threads) if len(people.eligible) else [],
    )


def _only(contacts: Contacts, index: int) -> Contacts:
    return replace(contacts, **{name: getattr(contacts, name)[index : index + 1] for name in Contacts.__slots__})


def _mails(inputs: Inputs, index: int, as_of: int, rules: Rules, threads: int) -> list[ExplainedMail]:
    variants = (
        rules,
        rules.model_copy(update={"overage_threshold": _NO_OVERFLOW}),
        rules.model_copy(update={"daily_cap_fraction": None}),
    )
    final, spread, plain = (_rows(decide(inputs, one, as_of, threads).desired, index) for one in variants)
    sources, _ = list_sources(inputs, rules, as_of)
    days_before = {(source.email_type, source.campaign): source.days_before for source in sources}
    days_before.pop(("post_window", 0), None)
    return [
        _explained(key, final[key], spread[key][0], plain[key][0], days_before.get((key[0], key[2]))) for key in final
    ]


def _rows(desired: Desired, index: int) -> dict[_Key, tuple[int, str | None]]:
    """Send day and skip reason of one contact's rows."""
    low, high = np.searchsorted(desired.contact, [index, index + 1]).tolist()
    found: dict[_Key, tuple[int, str | None]] = {}
    for row in range(low, high):
        code = int(desired.skip_reason[row])
        key = (desired.types[int(desired.email_type[row])], int(desired.event[row]), int(desired.campaign[row]))
        found[key] = (int(desired.send[row]), None if code == NO_CODE else desired.reasons[code])
    return found


def _explained(
    key: _Key, final: tuple[int, str | None], spread: int, plain: int, days_before: int | None
) -> ExplainedMail:
    email_type, event, campaign = key
    send, reason = final
    ideal = None if days_before is None else event - days_before
    steps = [_origin(email_type, event, plain, ideal)]
    if ideal is not None and plain != ideal:
        steps.append(
            f"That day is past, so it is caught up on {_iso(plain)}, a day that stays the same from run to run."
        )
    if spread != plain:
        steps.append(f"Too many effective date mails fell on {_iso(plain)}, so it was spread to {_iso(spread)}.")
    if send != spread:
        steps.append(f"The daily cap was reached on {_iso(spread)}, so it was moved to {_iso(send)}.")
    steps.append(_end(send, reason))
    return ExplainedMail(
        email_type=email_type, event_date=_iso(event), campaign_instance_id=campaign,
        ideal_date=None if ideal is None else _iso(ideal), date_before_smoothing=_iso(plain), send_date=_iso(send),
        status="pre-scheduled" if reason is None else "skipped", skip_reason=reason, steps=steps,
    )  # fmt: skip


def _origin(email_type: str, event: int, plain: int, ideal: int | None) -> str:
    if ideal is not None:
        return f"Its event is on {_iso(event)}, for which the ideal day is {_iso(ideal)}."
    if email_type.startswith(FOLLOWUP_PREFIX):
        return f"It follows up the mail scheduled for {_iso(event)}, and falls on {_iso(plain)}."
    return f"An exclusion window that ended on {_iso(event)} kept a mail back; {_iso(plain)} is the first free day."


def _end(send: int, reason: str | None) -> str:
    day = _iso(send)
    if reason is None:
        return f"Nothing stands against it: it goes out on {day}."
    if reason == "frequency_limit":
        return f"It is skipped: the contact has as many mails around {day} as the frequency limit allows."
    kind, _, detail = reason.partition(":")
    if kind == "same_day":
        return f"It is skipped: the contact's {detail} mail goes out on {day} already."
    if kind == "year_round":
        return f"It is skipped: {detail} excludes mail all year."
    return f"It is skipped: {day} lies in an exclusion window of {detail} ({kind})."


def _history(inputs: Inputs, index: int) -> list[str]:
    history = inputs.history
    return [
        f"A {inputs.types[int(history.email_type[row])]} mail for the event of {_iso(int(history.event[row]))} is "
        f"{'sent' if history.was_sent[row] else 'on its way'} (scheduled for {_iso(int(history.send[row]))})."
        for row in np.flatnonzero(history.contact == index).tolist()
    ]


def _iso(day: int) -> str:
    return "an unknown day" if day == NO_DATE else (_EPOCH + timedelta(days=day)).isoformat()
