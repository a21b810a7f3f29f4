"""The rows of one contact, each value read exactly: for explaining what the pass made of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from mailtide.database.bulk import Source, slow_rows
from mailtide.database.read_history import HISTORY_STATUSES, PLANNED_STATUSES, read_event
from mailtide.database.schema import Schema
from mailtide.database.untrusted import clear_errors
from mailtide.database.values import Cell, read_date, read_integer, read_status, read_text
from mailtide.rules.columns import NO_DATE

_SCHEDULE = (
    "contact_id", "email_type", "event_date", "campaign_instance_id", "status", "event_year", "event_month", "event_day",
)  # fmt: skip
_TARGET = ("contact_id", "campaign_instance_id", "trigger_date", "status")


@dataclass(frozen=True, slots=True)
class HeldMail:
    """A row that is neither history nor planned, and holds its key. event: days since 1970-01-01."""

    email_type: str
    event: int
    campaign: int
    status: str | None


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A row of contact_campaigns. trigger: NO_DATE where there is none or it cannot be read (has_trigger tells which)."""

    instance: int | None
    trigger: int
    has_trigger: bool
    status: str | None
    is_open: bool
    """The status lets the row count: pending, scheduled or NULL."""


def read_held(source: Source, schema: Schema, contact_id: int) -> list[HeldMail]:
    """The held keys of a contact, by row id."""
    found = []
    for cells in _rows_of(source, schema, "email_schedules", _SCHEDULE, contact_id):
        _, kind, event, campaign, status, *parts = cells
        email_type, state, day = read_text(kind), read_status(status), read_event(event, *parts)
        if email_type is not None and day is not None and state not in (*HISTORY_STATUSES, *PLANNED_STATUSES):
            found.append(HeldMail(email_type, day, read_integer(campaign) or 0, state))
    return found


def read_target_rows(source: Source, schema: Schema, contact_id: int) -> list[TargetRow]:
    """The rows of contact_campaigns of a contact, by row id."""
    found = []
    for _, instance, trigger, status in _rows_of(source, schema, "contact_campaigns", _TARGET, contact_id):
        day, state = read_date(trigger), read_status(status)
        found.append(
            TargetRow(
                instance=read_integer(instance),
                trigger=NO_DATE if day is None else day,
                has_trigger=trigger is not None,
                status=state,
                is_open=status is None or state in ("pending", "scheduled"),
            )
        )
    return found


def _rows_of(
    source: Source, schema: Schema, name: str, names: tuple[str, ...], contact_id: int
) -> Iterator[list[Cell]]:
    table = schema.get(name)
    contact = table.column("contact_id") if table else None
    if table is None or contact is None:
        return
    columns = [table.column(column) for column in names]
    # An id may be stored as text, in many spellings; those rows are few, and judged one by one.
    where = f"{contact} = ? OR typeof({contact}) = 'text'"
    with clear_errors():
        connection = source.open()
        try:
            for _, cells in slow_rows(source, connection, table, columns, where, (contact_id,)):
                if read_integer(cells[0]) == contact_id:
                    yield cells
        finally:
            connection.close()
