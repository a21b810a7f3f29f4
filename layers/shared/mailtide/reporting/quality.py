"""What is wrong with the data, with a few ids to look at each. Ids only: no address leaves the database."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import apsw
import numpy as np

from mailtide.database.bulk import Source, slow_rows
from mailtide.database.read import InputsRead
from mailtide.database.schema import Schema, Table
from mailtide.database.values import Cell, read_date, read_integer
from mailtide.reporting.facts import Finding
from mailtide.rules.columns import NO_DATE, NO_STATE, Bool, Contacts, Outcome
from mailtide.rules.meanings import MEANINGS

EXAMPLES = 5
_ROWS_LOOKED_AT = 20_000
_CONTACT, _INSTANCE, _ROW = "contact id", "campaign instance id", "row number"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a count means, and where its examples are found.

    contacts: the condition on the contacts. stored: table, key column (None: the row number) and the columns of which
    one cannot be read.
    """

    meaning: str
    example_of: str = _CONTACT
    contacts: Callable[[Contacts], Bool] | None = None
    stored: tuple[str, str | None, tuple[str, ...]] | None = None


def _is_reachable(contacts: Contacts) -> Bool:
    return contacts.email_valid & ~contacts.suppressed


def _has_no_state(contacts: Contacts) -> Bool:
    nowhere: Bool = (contacts.state == NO_STATE) & (contacts.zip_state == NO_STATE)
    return _is_reachable(contacts) & nowhere


def _is_torn(contacts: Contacts) -> Bool:
    differ: Bool = (
        (contacts.state != NO_STATE) & (contacts.zip_state != NO_STATE) & (contacts.state != contacts.zip_state)
    )
    return _is_reachable(contacts) & differ


_KINDS: dict[str, _Kind] = {
    "invalid_id": _Kind(MEANINGS["invalid_id"], _ROW, stored=("contacts", None, ("id",))),
    "invalid_email": _Kind(MEANINGS["invalid_email"], contacts=lambda c: ~c.email_valid),
    "suppressed": _Kind(
        MEANINGS["suppressed"], contacts=lambda c: c.email_valid & c.suppressed
    ),
    "no_state": _Kind(MEANINGS["no_state"], contacts=_has_no_state),
    "state_zip_mismatch": _Kind(MEANINGS["state_zip_mismatch"], contacts=_is_torn),
    "invalid_birth_date": _Kind(
        MEANINGS["invalid_birth_date"], stored=("contacts", "id", ("birth_date",))
    ),
    "invalid_effective_date": _Kind(
        MEANINGS["invalid_effective_date"], stored=("contacts", "id", ("effective_date",))
    ),
    "invalid_instance_id": _Kind(
        MEANINGS["invalid_instance_id"], _ROW,
        stored=("campaign_instances", None, ("id",)),
    ),
    "invalid_instance_date": _Kind(
        MEANINGS["invalid_instance_date"], _INSTANCE,
        stored=("campaign_instances", "id", ("active_start_date", "active_end_date")),
    ),
    "campaign_instances_without_start": _Kind(MEANINGS["campaign_instances_without_start"], _INSTANCE),
    "invalid_contact_campaigns_trigger_date": _Kind(
        MEANINGS["invalid_contact_campaigns_trigger_date"],
        stored=("contact_campaigns", "contact_id", ("trigger_date",)),
    ),
    "invalid_tracking_clicks_clicked_at": _Kind(
        MEANINGS["invalid_tracking_clicks_clicked_at"],
        stored=("tracking_clicks", "contact_id", ("clicked_at",)),
    ),
    "invalid_contact_events_created_at": _Kind(
        MEANINGS["invalid_contact_events_created_at"],
        stored=("contact_events", "contact_id", ("created_at",)),
    ),
    "post_window_beyond_366_days": _Kind(MEANINGS["post_window_beyond_366_days"]),
}  # fmt: skip


def list_findings(source: Source, schema: Schema, read: InputsRead, outcome: Outcome) -> list[Finding]:
    """Every reason that the pass counts, the most frequent first, with up to EXAMPLES ids of each."""
    counts = {"invalid_id": read.invalid_ids, **outcome.skipped_contacts, **read.quality}
    counts |= {name: count for name, count in outcome.notes.items() if name in _KINDS}
    connection = source.open()
    try:
        found = [
            _finding(name, count, source, connection, schema, read)
            for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            if count
        ]
    finally:
        connection.close()
    return found


def _finding(
    name: str, count: int, source: Source, connection: apsw.Connection, schema: Schema, read: InputsRead
) -> Finding:
    kind = _KINDS.get(name, _Kind(name.replace("_", " ")))
    examples: list[int] = []
    if kind.contacts is not None:
        contacts = read.inputs.contacts
        examples = contacts.id[np.flatnonzero(kind.contacts(contacts))[:EXAMPLES]].tolist()
    elif name == "campaign_instances_without_start":
        examples = _without_start(read)
    elif kind.stored is not None and (table := schema.get(kind.stored[0])) is not None:
        unread = _unread(source, connection, table, *kind.stored[1:])
        examples = list(islice(dict.fromkeys(unread), EXAMPLES))
    return Finding(name, count, kind.meaning, kind.example_of, examples)


def _without_start(read: InputsRead) -> list[int]:
    everybody = {kind.name for kind in read.inputs.campaign_types if kind.target_all_contacts and kind.active}
    instances = read.inputs.instances
    found = [one.id for one in instances if one.start == NO_DATE and one.campaign_type in everybody]
    return found[:EXAMPLES]


def _unread(
    source: Source, connection: apsw.Connection, table: Table, key: str | None, names: tuple[str, ...]
) -> Iterator[int]:
    """Keys of the rows of which a date, or for key None the id, is there and cannot be read."""
    quoted = [name for wanted in names if (name := table.column(wanted))]
    if not quoted:
        return
    suspicious = " OR ".join(_not_an_integer(name) if key is None else _no_plain_date(name) for name in quoted)
    columns = [table.column(key) if key else None, *quoted]
    rows = slow_rows(source, connection, table, columns, f"{suspicious} LIMIT {_ROWS_LOOKED_AT}", ())
    for row_id, (number, *cells) in rows:
        if key is None:
            if read_integer(cells[0]) is None:
                yield row_id
        elif any(_is_unread_date(cell) for cell in cells) and (found := read_integer(number)) is not None:
            yield found


def _is_unread_date(cell: Cell) -> bool:
    return cell is not None and read_date(cell) is None


def _not_an_integer(column: str) -> str:
    return f"typeof({column}) <> 'integer'"


def _no_plain_date(column: str) -> str:
    """Condition: something is there that is not, or may not be, a day of 1900 to 2100 written plainly."""
    day = f"substr(CAST({column} AS TEXT), 1, 10)"
    return (
        f"({column} IS NOT NULL AND (typeof({column}) <> 'text' OR date({day}) IS NOT {day} "
        f"OR {day} NOT BETWEEN '1900' AND '2101'))"
    )
