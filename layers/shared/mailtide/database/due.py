"""The mails that are due on a day, one at a time, for whatever sends them."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import apsw

from mailtide.database.bulk import Source, slow_rows
from mailtide.database.contact_lookup import contact_finder
from mailtide.database.private_copy import private_copy
from mailtide.database.read_contacts import read_suppressions
from mailtide.database.read_history import DEFAULT_PRIORITY, read_event
from mailtide.database.schema import Table
from mailtide.database.untrusted import clear_errors
from mailtide.database.values import (
    Cell,
    is_email,
    normal_email,
    read_date,
    read_integer,
    read_status,
    read_text,
    shown_text,
)

_EPOCH = date(1970, 1, 1)
_READ = (
    "contact_id", "email_type", "event_date", "campaign_instance_id", "scheduled_send_date", "scheduled_send_time",
    "status", "priority", "email_template", "sms_template", "event_year", "event_month", "event_day",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DueMail:
    """One pre-scheduled mail; dates and times as text, in ISO 8601."""

    idempotency_key: str
    """Equal for equal (contact, type, event date, campaign), in every run and every file."""
    contact_id: int
    email: str
    phone_number: str | None
    email_type: str
    event_date: str | None
    campaign_instance_id: int
    scheduled_send_date: str
    scheduled_send_time: str | None
    priority: int
    email_template: str | None
    sms_template: str | None


def idempotency_key(contact_id: int, email_type: str, event_date: str | None, campaign: int) -> str:
    """SHA-256 in hex of the parts, one a line; a date that is not known is an empty line."""
    parts = ("mailtide-due-1", str(contact_id), email_type, event_date or "", str(campaign))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def due_mails(path: Path, on: date, withheld: Counter[str]) -> Iterator[DueMail]:
    """The pre-scheduled mails of a day, ascending by row id; memory does not grow with their number.

    withheld: counts, by reason, the mails that are not given because their contact is gone (`no_contact`), has no valid
    address (`invalid_email`) or is in `suppressions` by now (`suppressed`). Raises DatabaseError.
    """
    with private_copy(path, ("email_schedules", "contacts", "suppressions")) as copy, clear_errors():
        source = Source(copy.path, copy.header)
        table = copy.schema.get("email_schedules")
        if table is None:
            return
        with closing(source.open()) as rows, closing(source.open()) as lookups:
            suppressed = read_suppressions(source, lookups, copy.schema)
            find = contact_finder(source, lookups, copy.schema.contacts)
            for mail, cells in _planned(source, rows, table, on):
                found = find(mail[0])
                reason = _reason(found, suppressed)
                if found is None or reason is not None:
                    withheld[reason or "no_contact"] += 1
                else:
                    yield _due(mail, cells, found)


def _reason(found: tuple[Cell, Cell] | None, suppressed: set[str]) -> str | None:
    if found is None:
        return "no_contact"
    if not is_email(found[0]):
        return "invalid_email"
    return "suppressed" if normal_email(found[0]) in suppressed else None


def _planned(
    source: Source, connection: apsw.Connection, table: Table, on: date
) -> Iterator[tuple[tuple[int, str], list[Cell]]]:
    """Contact id, type and cells of the pre-scheduled rows of a day."""
    send, day = table.column("scheduled_send_date"), (on - _EPOCH).days
    where = f"substr({send}, 1, 10) = ? ORDER BY {table.rowid}" if send else "0"
    columns = [table.column(name) for name in _READ]
    for _, cells in slow_rows(source, connection, table, columns, where, (on.isoformat(),) if send else ()):
        contact_id, email_type = read_integer(cells[0]), read_text(cells[1])
        is_due = read_date(cells[4]) == day and read_status(cells[6]) == "pre-scheduled"
        if is_due and contact_id is not None and email_type is not None:
            yield (contact_id, email_type), cells


def _due(mail: tuple[int, str], cells: list[Cell], contact: tuple[Cell, Cell]) -> DueMail:
    day, sent, campaign = read_event(cells[2], *cells[10:]), read_date(cells[4]), read_integer(cells[3]) or 0
    event_date, rank = iso_day(day), read_integer(cells[7])
    return DueMail(
        idempotency_key=idempotency_key(*mail, event_date, campaign),
        contact_id=mail[0],
        email=str(contact[0]).strip(),
        phone_number=shown_text(contact[1]),
        email_type=mail[1],
        event_date=event_date,
        campaign_instance_id=campaign,
        scheduled_send_date=iso_day(sent) or "",
        scheduled_send_time=shown_text(cells[5]),
        priority=DEFAULT_PRIORITY if rank is None else rank,
        email_template=shown_text(cells[8]),
        sms_template=shown_text(cells[9]),
    )


def iso_day(day: int | None) -> str | None:
    """A day number as ISO 8601 text."""
    return None if day is None else (_EPOCH + timedelta(days=day)).isoformat()
