"""Rows of email_schedules that the pass does not own, into arrays (spec §1, §2): history, and the keys that others hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
    parse_small,
    scan,
    slow_rows_at,
    slow_rows_of,
)
from mailtide.database.contact_index import contact_index
from mailtide.database.schema import Schema, Table
from mailtide.database.standing import Standing, StandingRows
from mailtide.database.untrusted import literal
from mailtide.database.values import (
    Cell,
    civil_day,
    read_date,
    read_integer,
    read_status,
    read_text,
)
from mailtide.rules.columns import NO_DATE, Bool, HeldKeys, History, Int32, Int64, UInt8
from mailtide.rules.config import ANNIVERSARY_TYPES, FOLLOWUP_TYPES
from mailtide.rules.distinct import distinct

HISTORY_STATUSES = ("scheduled", "processing", "sent", "delivered")
PLANNED_STATUSES = ("pre-scheduled", "skipped")
_HELD = len(HISTORY_STATUSES)
_FIRST_SENT = HISTORY_STATUSES.index("sent")
_READ = (
    "contact_id", "email_type", "event_date", "scheduled_send_date", "actual_send_datetime", "status",
    "campaign_instance_id", "priority", "event_year", "event_month", "event_day",
)  # fmt: skip
_UNKNOWN_TYPE = 999
_SAMPLED_ROWS = 50_000
_MAX_KNOWN_TYPES = 100
DEFAULT_PRIORITY = 10

type SlowRow = tuple[int, int, str, int, int, int, int, int, int]
"""row id, contact id, email type, event, send, actual, status, campaign, priority."""


@dataclass(frozen=True, slots=True)
class _Part:
    row_id: Int64
    contact_id: Int64
    email_type: Int32
    event: Int32
    send: Int32
    actual: Int32
    status: Int32
    campaign: Int64
    priority: Int64


def read_history(
    source: Source, schema: Schema, ids: Int64, threads: int, standing: Standing | None
) -> tuple[list[str], History, HeldKeys]:
    """The types by code, the history, and the held keys, of contacts that exist.

    ids: contact ids, ascending. standing: the table's rows where they are read already.
    """
    table = schema.get("email_schedules")
    types = [*ANNIVERSARY_TYPES, *FOLLOWUP_TYPES]
    parts: list[_Part] = []
    slow: list[SlowRow] = []
    if table is not None and standing is not None:
        types, stands = _standing_part(standing, ids, types)
        parts.append(stands)
        slow = _slow_standing(source, table, standing.slow)
    elif table is not None:
        types += sampled_types(source, table, types)
        query = _query(source, table, types)
        columns = [table.column(name) for name in _READ]

        def parse(connection: apsw.Connection, chunk: Chunk | BrokenChunk) -> tuple[_Part | None, list[SlowRow]]:
            bad, part = _parse(chunk) if isinstance(chunk, Chunk) else (None, None)
            return part, list(_slow(slow_rows_of(source, connection, query, columns, chunk, bad)))

        for part, rows in scan(source, query, threads, parse):
            parts += [part] if part else []
            slow += rows
    types += sorted({row[2] for row in slow} - set(types))
    code = {name: index for index, name in enumerate(types)}
    parts.append(_slow_part([(*row[:2], code[row[2]], *row[3:]) for row in slow]))
    return types, *_split(parts, ids)


def _standing_part(standing: Standing, ids: Int64, known: list[str]) -> tuple[list[str], _Part]:
    """The rows that are not planned, of contacts that exist, and the types by code."""
    status = [read_status(text) for text in standing.texts]
    runs = standing.runs
    is_planned = np.array([*(name in PLANNED_STATUSES for name in status), False, False], np.bool_)
    counts = ~is_planned[runs.status] & (runs.email_type >= 0)
    rows = StandingRows.join([part[counts[part.run] & (part.contact >= 0)] for part in standing.parts])
    run = rows.run
    used = distinct(runs.email_type[run])
    types = known + sorted({standing.texts[code] for code in used.tolist()} - set(known))
    code = {name: index for index, name in enumerate(types)}
    type_codes = np.array([code.get(text, -1) for text in standing.texts], np.int32)
    orders = {name: index for index, name in enumerate(HISTORY_STATUSES)}
    order_of = np.array([*(orders.get(name or "", _HELD) for name in status), _HELD], np.int32)
    return types, _Part(
        rows.row_id.astype(np.int64), ids[rows.contact], type_codes[runs.email_type[run]], runs.event[run],
        runs.send[run], runs.actual[run], order_of[runs.status[run]], runs.campaign[run],
        np.where(runs.no_priority[run], DEFAULT_PRIORITY, runs.priority[run]),
    )  # fmt: skip


def _slow_standing(source: Source, table: Table, rowids: Int64) -> list[SlowRow]:
    connection = source.open()
    try:
        columns = [table.column(name) for name in _READ]
        return list(_slow(slow_rows_at(source, connection, table, columns, rowids)))
    finally:
        connection.close()


def sampled_types(source: Source, table: Table, known: list[str]) -> list[str]:
    """Types that the first rows have, so that the bulk path knows them; which it knows changes no result."""
    column = table.column("email_type")
    if column is None:
        return []
    connection = source.open()
    try:
        rows: list[tuple[Any, ...]] = connection.execute(
            f"SELECT DISTINCT CAST(t AS BLOB) FROM (SELECT {column} AS t FROM {table.sql_name} NOT INDEXED LIMIT ?) "
            "WHERE typeof(t) = 'text' AND octet_length(t) < 200 LIMIT ?",
            (_SAMPLED_ROWS, _MAX_KNOWN_TYPES),
        ).fetchall()
    finally:
        connection.close()
    found: set[str] = set()
    for (name,) in rows:
        text = bytes(name).decode(source.header.codec, errors="replace")
        if text.isascii() and text.isprintable() and text.strip():
            found.add(text)
    return sorted(found - set(known))


def event_field(fields: Fields, table: Table) -> tuple[str, int]:
    """A date field of event_date, or where that is NULL of event_year, event_month and event_day if there are such."""
    event = table.column("event_date")
    plain, width = fields.date(event)
    year, month, day = (table.column(f"event_{part}") for part in ("year", "month", "day"))
    if not (year and month and day):
        return plain, width
    absent = f"{event} IS NULL" if event else "1"
    return (
        f"CASE WHEN {absent} AND coalesce({year}, {month}, {day}) IS NOT NULL THEN "
        f"CASE WHEN typeof({year}) = 'integer' AND typeof({month}) = 'integer' AND typeof({day}) = 'integer' "
        f"AND {year} BETWEEN 1000 AND 9999 AND {month} BETWEEN 1 AND 12 AND {day} BETWEEN 1 AND 31 "
        f"THEN printf('%04d-%02d-%02d', {year}, {month}, {day}) ELSE '!         ' END ELSE {plain} END"
    ), width


def integer_or_slow(column: str | None, null: int | None) -> tuple[str, int]:
    """Twenty bytes of a stored integer, `null` for NULL; `!` first for what only the slow path can judge."""
    given = "'!                   '" if null is None else f"'{null:20d}'"
    if column is None:
        return given, 20
    return (
        f"CASE typeof({column}) WHEN 'integer' THEN printf('%20d', {column}) WHEN 'null' THEN {given} "
        "ELSE '!                   ' END"
    ), 20


def is_marked(field: UInt8) -> Bool:
    """Whether a field's first byte is the `!` of the slow path, shape (n, width) -> (n,)."""
    marked: Bool = field[:, 0] == ord("!")
    return marked


def case_of(column: str | None, codes: dict[str, str], otherwise: str) -> str:
    """SQL of a CASE over exact texts; a column's own collation does not count."""
    if column is None or not codes:
        return otherwise
    branches = " ".join(f"WHEN {literal(text)} THEN '{code}'" for text, code in codes.items())
    return f"CASE {column} COLLATE BINARY {branches} ELSE {otherwise} END"


def _query(source: Source, table: Table, types: list[str]) -> Query:
    fields = Fields(is_utf16=source.is_utf16)
    status = table.column("status")
    codes = {name: str(index) for index, name in enumerate(HISTORY_STATUSES)}
    codes |= {name: str(_HELD) for name in ("failed", "cancelled", "canceled", "bounced", "error")}
    wanted = {
        "contact": integer_or_slow(table.column("contact_id"), None),
        "type": (case_of(table.column("email_type"), {n: f"{i:03d}" for i, n in enumerate(types)}, "'999'"), 3),
        "event": event_field(fields, table),
        "send": fields.date(table.column("scheduled_send_date")),
        "actual": fields.date(table.column("actual_send_datetime")),
        "status": (case_of(status, codes, "'9'"), 1),
        "campaign": integer_or_slow(table.column("campaign_instance_id"), 0),
        "priority": integer_or_slow(table.column("priority"), DEFAULT_PRIORITY),
    }
    planned = ", ".join(literal(name) for name in PLANNED_STATUSES)
    where = f"{status} IS NULL OR {status} COLLATE BINARY NOT IN ({planned})" if status else "1"
    return Query(table, wanted, {}, where)


def _parse(chunk: Chunk) -> tuple[Bool, _Part]:
    types, status = parse_small(chunk.column("type")), parse_small(chunk.column("status"))
    event, event_bad = parse_dates(chunk.column("event"))
    send, send_bad = parse_dates(chunk.column("send"))
    actual, actual_bad = parse_dates(chunk.column("actual"))
    bad = (types == _UNKNOWN_TYPE) | (status > _HELD) | event_bad | send_bad | actual_bad
    for name in ("contact", "campaign", "priority"):
        bad |= is_marked(chunk.column(name))
    good = ~bad
    numbers = {name: parse_integers(chunk.column(name)[good]) for name in ("contact", "campaign", "priority")}
    return bad, _Part(
        chunk.rowid[good], numbers["contact"], types[good], event[good], send[good], actual[good], status[good],
        numbers["campaign"], numbers["priority"],
    )  # fmt: skip


def read_event(event: Cell, year: Cell, month: Cell, day: Cell) -> int | None:
    """The event date of a row, from its parts where event_date is NULL or invalid (spec §10)."""
    found = read_date(event)
    return civil_day(read_integer(year), read_integer(month), read_integer(day)) if found is None else found


def _slow(rows: Iterator[tuple[int, list[Cell]]]) -> Iterator[SlowRow]:
    for row_id, (contact, kind, event, send, actual, status, campaign, priority, year, month, day) in rows:
        contact_id, email_type, state = read_integer(contact), read_text(kind), read_status(status)
        if contact_id is None or email_type is None or state in PLANNED_STATUSES:
            continue
        order = HISTORY_STATUSES.index(state) if state in HISTORY_STATUSES else _HELD
        days = [NO_DATE if found is None else found
                for found in (read_event(event, year, month, day), read_date(send), read_date(actual))]  # fmt: skip
        rank = read_integer(priority)
        yield (row_id, contact_id, email_type, *days, order, read_integer(campaign) or 0,
               DEFAULT_PRIORITY if rank is None else rank)  # type: ignore[misc]  # fmt: skip  # three days by construction


def _slow_part(rows: list[tuple[int, ...]]) -> _Part:
    columns = list(zip(*rows, strict=True)) or [()] * 9
    wide, narrow = np.int64, np.int32
    kinds = (wide, wide, narrow, narrow, narrow, narrow, narrow, wide, wide)
    return _Part(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))


def _split(parts: list[_Part], ids: Int64) -> tuple[History, HeldKeys]:
    """Join the parts in the order of their row ids, and drop rows of contacts that do not exist."""
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _Part.__slots__}
    contact = contact_index(ids, columns["contact_id"])
    keep = np.flatnonzero(contact >= 0)
    keep = keep[np.argsort(columns["row_id"][keep], kind="stable")]
    columns = {name: column[keep] for name, column in columns.items()}
    contact = contact[keep]
    past = columns["status"] < _HELD
    held = ~past & (columns["event"] != NO_DATE)
    history = History(
        row_id=columns["row_id"][past],
        contact=contact[past],
        email_type=columns["email_type"][past],
        event=columns["event"][past],
        send=columns["send"][past],
        actual=columns["actual"][past],
        was_sent=columns["status"][past] >= _FIRST_SENT,
        campaign=columns["campaign"][past],
        priority=columns["priority"][past],
    )
    keys = HeldKeys(
        contact=contact[held],
        email_type=columns["email_type"][held],
        event=columns["event"][held],
        campaign=columns["campaign"][held],
    )
    return history, keys
