"""Campaigns, their targets, and what contacts did after a mail, into arrays (spec §2)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import apsw
import numpy as np

from mailtide.database.bulk import (
    BrokenChunk,
    Chunk,
    Fields,
    Query,
    Source,
    parse_dates,
    parse_integers,
    scan,
    slow_rows,
    slow_rows_of,
)
from mailtide.database.contact_index import contact_index
from mailtide.database.read_history import DEFAULT_PRIORITY, is_marked
from mailtide.database.read_history import integer_or_slow as integer_field
from mailtide.database.schema import Schema, Table
from mailtide.database.values import (
    Cell,
    answered_yes,
    read_date,
    read_flag,
    read_integer,
    read_status,
    read_text,
)
from mailtide.errors import DatabaseError
from mailtide.rules.columns import NO_DATE, CampaignInstance, CampaignType, Int64, Signals, Targets

ANSWERED = "eligibility_answered"
_TARGET_STATUSES = ("pending", "scheduled")
_TYPE_COLUMNS = (
    "name", "respect_exclusion_windows", "enable_followups", "days_before_event", "target_all_contacts", "priority",
    "active",
)  # fmt: skip
_INSTANCE_COLUMNS = (
    "id", "campaign_type", "email_template", "sms_template", "active_start_date", "active_end_date",
)  # fmt: skip


def _rows(source: Source, connection: apsw.Connection, table: Table, names: tuple[str, ...]) -> list[list[Cell]]:
    columns = [table.column(name) for name in names]
    return [cells for _, cells in slow_rows(source, connection, table, columns, "1", ())]


def read_campaign_types(source: Source, connection: apsw.Connection, schema: Schema) -> list[CampaignType]:
    """Types by name, ascending. Raises DatabaseError when a name is there twice."""
    table = schema.get("campaign_types")
    found: dict[str, CampaignType] = {}
    for cells in _rows(source, connection, table, _TYPE_COLUMNS) if table else []:
        name = read_text(cells[0])
        if name is None:
            continue
        if name in found:
            raise DatabaseError(f"campaign_types has the name {name!r} twice.")
        days, priority = read_integer(cells[3]), read_integer(cells[5])
        found[name] = CampaignType(
            name=name,
            respect_exclusion_windows=read_flag(cells[1], default=True),
            enable_followups=read_flag(cells[2], default=True),
            days_before_event=days or 0,
            target_all_contacts=read_flag(cells[4], default=False),
            priority=DEFAULT_PRIORITY if priority is None else priority,
            active=read_flag(cells[6], default=True),
        )
    return [found[name] for name in sorted(found)]


def read_instances(
    source: Source, connection: apsw.Connection, schema: Schema, quality: Counter[str]
) -> list[CampaignInstance]:
    """Instances by id, ascending, without those whose active dates are invalid. Raises DatabaseError on a double id."""
    table = schema.get("campaign_instances")
    seen: set[int] = set()
    found: list[CampaignInstance] = []
    for cells in _rows(source, connection, table, _INSTANCE_COLUMNS) if table else []:
        number, kind = read_integer(cells[0]), read_text(cells[1])
        if number is None:
            quality["invalid_instance_id"] += 1
            continue
        if number in seen:
            raise DatabaseError(f"campaign_instances has the id {number} twice.")
        seen.add(number)
        start, end = read_date(cells[4]), read_date(cells[5])
        if (start is None and cells[4] is not None) or (end is None and cells[5] is not None):
            quality["invalid_instance_date"] += 1
        elif kind is not None:
            found.append(
                CampaignInstance(
                    id=number,
                    campaign_type=kind,
                    email_template=read_text(cells[2]),
                    sms_template=read_text(cells[3]),
                    start=NO_DATE if start is None else start,
                    end=NO_DATE if end is None else end,
                )
            )
    return sorted(found, key=lambda instance: instance.id)


@dataclass(frozen=True, slots=True)
class _Related:
    """A table of rows about contacts: its integers, its date, and a condition on each row."""

    integers: tuple[str, ...]
    date: str
    accepts: Callable[[Cell], bool]
    accepted: str
    """The column that `accepts` judges, and the SQL of the bulk path: 1, 0, or ! for the slow path."""
    accepted_sql: str


def _read_related(
    source: Source, table: Table, related: _Related, quality: Counter[str], threads: int
) -> tuple[list[Int64], Int64]:
    """The integer columns, and the day, of all rows that are accepted and have every value; in the order of the rowids."""
    fields = Fields(is_utf16=source.is_utf16)
    names = (*related.integers, related.date, related.accepted)
    columns = [table.column(name) for name in names]
    wanted = {name: integer_field(table.column(name), None) for name in related.integers}
    wanted |= {"day": fields.date(table.column(related.date)), "accepted": (related.accepted_sql, 1)}

    def read_slowly(rows: list[list[Cell]]) -> tuple[Int64, int]:
        read, invalid = [], 0
        for cells in rows:
            numbers = [read_integer(cell) for cell in cells[:-2]]
            day = read_date(cells[-2])
            if related.accepts(cells[-1]) and None not in numbers:
                invalid += cells[-2] is not None and day is None
                read += [] if day is None else [[*numbers, day]]
        return np.array(read, np.int64).reshape(len(read), len(related.integers) + 1), invalid

    def parse(connection: apsw.Connection, chunk: Chunk | BrokenChunk) -> list[tuple[Int64, int]]:
        if not isinstance(chunk, Chunk):
            return [read_slowly([c for _, c in slow_rows_of(source, connection, query, columns, chunk, None)])]
        day, bad = parse_dates(chunk.column("day"))
        accepted = chunk.column("accepted")[:, 0]
        bad |= (accepted != ord("0")) & (accepted != ord("1"))
        for name in related.integers:
            bad |= is_marked(chunk.column(name))
        good = ~bad & (accepted == ord("1")) & (day != NO_DATE)
        numbers = [parse_integers(chunk.column(name)[good]) for name in related.integers]
        part = np.column_stack([*numbers, day[good].astype(np.int64)])
        return [(part, 0), read_slowly([c for _, c in slow_rows_of(source, connection, query, columns, chunk, bad)])]

    query = Query(table, wanted, {})
    if table.rowid is None:
        parts = [_whole_table(source, table, columns, read_slowly)]
    else:
        parts = [part for group in scan(source, query, threads, parse) for part in group]
    quality[f"invalid_{table.name.lower()}_{related.date}"] += sum(invalid for _, invalid in parts)
    joined = np.concatenate([part for part, _ in parts] or [read_slowly([])[0]])
    return [joined[:, index] for index in range(len(related.integers))], joined[:, -1]


def _whole_table(
    source: Source, table: Table, columns: list[str | None], read: Callable[[list[list[Cell]]], tuple[Int64, int]]
) -> tuple[Int64, int]:
    connection = source.open()
    try:
        return read([cells for _, cells in slow_rows(source, connection, table, columns, "1", ())])
    finally:
        connection.close()


def no_targets() -> Targets:
    """Those of no campaign."""
    empty = np.empty(0, np.int32)
    return Targets(contact=empty, instance=empty, trigger=empty)


def read_targets(
    source: Source, schema: Schema, ids: Int64, instances: list[CampaignInstance], quality: Counter[str], threads: int
) -> Targets:
    """Usable rows of contact_campaigns, of contacts and instances that exist."""
    table = schema.get("contact_campaigns")
    if table is None:
        return no_targets()
    status = table.column("status")
    fields = Fields(is_utf16=source.is_utf16)
    related = _Related(
        integers=("contact_id", "campaign_instance_id"),
        date="trigger_date",
        accepts=lambda cell: cell is None or read_status(cell) in _TARGET_STATUSES,
        accepted="status",
        accepted_sql=(
            f"CASE WHEN {status} IS NULL THEN '1' WHEN {status} COLLATE BINARY IN ('pending', 'scheduled') THEN '1' "
            f"WHEN {fields.is_text(status, 2, 40)} AND {status} GLOB '[a-z]*[a-z]' AND {fields.is_plain(status)} "
            "AND lower(" + status + ") COLLATE BINARY NOT IN ('pending', 'scheduled') THEN '0' ELSE '!' END"
        )
        if status
        else "'1'",
    )
    (contact_ids, instance_ids), days = _read_related(source, table, related, quality, threads)
    contact = contact_index(ids, contact_ids)
    known = np.array([instance.id for instance in instances], np.int64)
    instance = contact_index(known, instance_ids)
    keep = (contact >= 0) & (instance >= 0)
    return Targets(contact=contact[keep], instance=instance[keep], trigger=days[keep].astype(np.int32))


def read_signals(
    source: Source, connection: apsw.Connection, schema: Schema, ids: Int64, quality: Counter[str], threads: int
) -> Signals:
    """Clicks, and answers with what they said, of contacts that exist."""
    click_contact = click_day = np.empty(0, np.int64)
    if clicks := schema.get("tracking_clicks"):
        related = _Related(("contact_id",), "clicked_at", lambda _: True, "contact_id", "'1'")
        (click_contact,), click_day = _read_related(source, clicks, related, quality, threads)
    clicked = contact_index(ids, click_contact)
    answers = _answers(source, connection, schema, quality)
    answered = contact_index(ids, answers[:, 0])
    return Signals(
        click_contact=clicked[clicked >= 0],
        click_day=click_day[clicked >= 0].astype(np.int32),
        answer_contact=answered[answered >= 0],
        answer_day=answers[answered >= 0, 1].astype(np.int32),
        answer_yes=answers[answered >= 0, 2].astype(np.bool_),
    )


def _answers(source: Source, connection: apsw.Connection, schema: Schema, quality: Counter[str]) -> Int64:
    """Contact id, day and yes (0 or 1) of each answer, shape (e, 3). Answers are few: JSON is read in Python."""
    read: list[tuple[int, int, int]] = []
    if table := schema.get("contact_events"):
        columns = [table.column(name) for name in ("contact_id", "created_at", "metadata")]
        where = f"{table.column('event_type')} COLLATE BINARY = ?"
        for _, (contact, created, metadata) in slow_rows(source, connection, table, columns, where, (ANSWERED,)):
            number, day = read_integer(contact), read_date(created)
            quality["invalid_contact_events_created_at"] += created is not None and day is None
            if number is not None and day is not None:
                read.append((number, day, answered_yes(metadata)))
    return np.array(read, np.int64).reshape(len(read), 3)
