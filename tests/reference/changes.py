"""What a run does with the planned rows of the table (§9)."""

from dataclasses import dataclass, field
from typing import Any

from tests.reference.schedule import key_of
from tests.reference.tables import PLANNED, Tables

type Row = dict[str, Any]

COMPARED = ("scheduled_send_date", "scheduled_send_time", "status", "skip_reason", "email_template", "sms_template")


@dataclass
class Changes:
    inserted: list[Row] = field(default_factory=list)
    """Desired rows."""
    updated: list[tuple[int, Row]] = field(default_factory=list)
    """(row id, desired row)."""
    deleted: list[int] = field(default_factory=list)
    unchanged: list[int] = field(default_factory=list)


def compare(tables: Tables, desired: list[Row]) -> Changes:
    """The changes; row ids ascending, inserts in the order of `desired`."""
    changes = Changes()
    wanted = {key_of(row): row for row in desired}
    standing: set[tuple[Any, ...]] = set()
    for row in tables.schedules:
        if row["status"] not in PLANNED:
            continue
        key = key_of(row)
        if key not in wanted or key in standing:
            changes.deleted.append(row["id"])
            continue
        standing.add(key)
        new = wanted[key]
        equal = all((row.get(column) or None) == (new[column] or None) for column in COMPARED)
        if equal and row["stored_priority"] == new["priority"]:
            changes.unchanged.append(row["id"])
        else:
            changes.updated.append((row["id"], new))
    changes.inserted = [row for row in desired if key_of(row) not in standing]
    return changes
