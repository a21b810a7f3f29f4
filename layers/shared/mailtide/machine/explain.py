"""Why each mail of a contact stands where it stands: the real rules, run with and without their later steps."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np

from mailtide.database.bulk import Source
from mailtide.database.contact_index import contact_index
from mailtide.database.contact_rows import HeldMail, read_held, read_target_rows
from mailtide.database.private_copy import private_copy
from mailtide.database.read import read_inputs
from mailtide.errors import SettingsError
from mailtide.machine.explain_campaigns import campaigns_that_do_not_count
from mailtide.rules.columns import NO_CODE, NO_DATE, Contacts, Desired, Inputs
from mailtide.rules.config import ANNIVERSARY_TYPES, FOLLOWUP_PREFIX, Rules
from mailtide.rules.dates import iso_day
from mailtide.rules.decide import decide
from mailtide.rules.people import judge
from mailtide.rules.sources import list_sources
from mailtide.rules.states import STATES

_EPOCH = date(1970, 1, 1)
_NO_OVERFLOW = Decimal(1_000_000)

type _Key = tuple[str, int, int]
"""Type, event day, campaign."""


@dataclass(frozen=True, slots=True)
class _Row:
    send: int
    reason: str | None
    priority: int


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
    held: list[str]
    """Mails with any other status (cancelled, failed, …), one sentence each; they do not come back."""
    campaigns: list[str]
    """Campaigns that target the contact and do not count, one sentence each."""
    mails: list[ExplainedMail]


def explain(path: Path, contact_id: int, as_of: date, rules: Rules, threads: int = 1) -> Explanation:
    """Explain the mails that a pass of this day plans for a contact; the file is not changed.

    The rules run on the whole database, for the daily cap needs every contact: once as they are, once without the
    daily cap, once without any smoothing. Raises DatabaseError, and SettingsError when there is no such contact.
    """
    tables = ("contacts", "email_schedules")
    with private_copy(path, tables) as copy:
        source = Source(copy.path, copy.header)
        inputs = read_inputs(source, copy.schema, threads).inputs
        held = read_held(source, copy.schema, contact_id)
        targets = read_target_rows(source, copy.schema, contact_id)
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
        held=[_held(mail) for mail in held],
        campaigns=campaigns_that_do_not_count(inputs, targets, day) if len(people.eligible) else [],
        mails=_mails(inputs, index, day, rules, threads) if len(people.eligible) else [],
    )


def _only(contacts: Contacts, index: int) -> Contacts:
    return replace(contacts, **{name: getattr(contacts, name)[index : index + 1] for name in Contacts.__slots__})


def _mails(inputs: Inputs, index: int, as_of: int, rules: Rules, threads: int) -> list[ExplainedMail]:
    variants = (
        rules,
        replace(rules, overage_threshold=_NO_OVERFLOW),
        replace(rules, daily_cap_fraction=None),
    )
    final, spread, plain = (_rows(decide(inputs, one, as_of, threads).desired, index) for one in variants)
    sources, _ = list_sources(inputs, rules, as_of)
    days_before = {(source.email_type, source.campaign): source.days_before for source in sources}
    days_before.pop(("post_window", 0), None)
    past = _past_mails(inputs, index)
    return [
        _explained(
            key, row, spread[key].send, plain[key].send, days_before.get((key[0], key[2])),
            _around(key, final, past, rules),
        )
        for key, row in final.items()
    ]  # fmt: skip


def _rows(desired: Desired, index: int) -> dict[_Key, _Row]:
    """One contact's rows."""
    low, high = np.searchsorted(desired.contact, [index, index + 1]).tolist()
    found: dict[_Key, _Row] = {}
    for row in range(low, high):
        code = int(desired.skip_reason[row])
        key = (desired.types[int(desired.email_type[row])], int(desired.event[row]), int(desired.campaign[row]))
        reason = None if code == NO_CODE else desired.reasons[code]
        found[key] = _Row(int(desired.send[row]), reason, int(desired.priority[row]))
    return found


def _walk_place(key: _Key, row: _Row) -> tuple[int, int, str, int, int, int]:
    """The order in which the frequency rule looks at mails (spec §7)."""
    email_type, event, campaign = key
    is_known = email_type in ANNIVERSARY_TYPES
    rank = ANNIVERSARY_TYPES.index(email_type) if is_known else len(ANNIVERSARY_TYPES)
    return row.priority, rank, "" if is_known else email_type, row.send, campaign, event


def _around(key: _Key, rows: dict[_Key, _Row], past: list[tuple[str, int]], rules: Rules) -> list[str]:
    """The mails that fill the frequency limit when the rule comes to this one: those of the past, then those accepted."""
    place, send = _walk_place(key, rows[key]), rows[key].send
    near = [f"the {kind} mail of {_iso(day)}" for kind, day in past if abs(day - send) < rules.period_days]
    accepted = sorted(
        (row.send, other[0])
        for other, row in rows.items()
        if row.reason is None
        and not other[0].startswith(FOLLOWUP_PREFIX)
        and _walk_place(other, row) < place
        and abs(row.send - send) < rules.period_days
    )
    return near + [f"the {kind} mail of {_iso(day)}" for day, kind in accepted]


def _past_mails(inputs: Inputs, index: int) -> list[tuple[str, int]]:
    """Type and send day of the mails of history that count for the frequency, by day."""
    history = inputs.history
    found = [
        (int(history.send[row]), inputs.types[int(history.email_type[row])])
        for row in np.flatnonzero((history.contact == index) & (history.send != NO_DATE)).tolist()
    ]
    return [(kind, day) for day, kind in sorted(found) if not kind.startswith(FOLLOWUP_PREFIX)]


def _explained(
    key: _Key, final: _Row, spread: int, plain: int, days_before: int | None, around: list[str]
) -> ExplainedMail:
    email_type, event, campaign = key
    send, reason = final.send, final.reason
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
    steps.append(_end(send, reason, around))
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


def _end(send: int, reason: str | None, around: list[str]) -> str:
    day = _iso(send)
    if reason is None:
        return f"Nothing stands against it: it goes out on {day}."
    if reason == "frequency_limit":
        return f"It is skipped: the contact has as many mails around {day} as the frequency limit allows: {', '.join(around)}."
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


def _held(mail: HeldMail) -> str:
    campaign = f" of campaign {mail.campaign}" if mail.campaign else ""
    status = f"the status {mail.status}" if mail.status else "no status"
    return f"A {mail.email_type} mail{campaign} for the event of {_iso(mail.event)} has {status}, so none is planned for it."


def _iso(day: int) -> str:
    return "an unknown day" if day == NO_DATE else iso_day(day)
