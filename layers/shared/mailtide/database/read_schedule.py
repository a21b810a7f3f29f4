"""All rows of email_schedules into arrays, whatever their status, for comparing two schedules."""

from collections.abc import Iterator
from dataclasses import dataclass

import apsw
import numpy as np

from mailtide.database.bulk import (
    MAX_LINE,
    BrokenChunk,
    Chunk,
    Fields,
    Query,
    Source,
    parse_dates,
    parse_integers,
    parse_small,
    scan,
    slow_rows_of,
)
from mailtide.database.read_history import (
    HISTORY_STATUSES,
    PLANNED_STATUSES,
    case_of,
    event_field,
    integer_or_slow,
    is_marked,
    read_event,
    sampled_types,
)
from mailtide.database.schema import Schema, Table
from mailtide.database.values import Cell, read_date, read_integer, read_status, read_text, shown_text
from mailtide.rules.columns import NO_DATE, Bool, Int32, Int64
from mailtide.rules.config import ANNIVERSARY_TYPES, FOLLOWUP_TYPES

_READ = (
    "contact_id", "email_type", "event_date", "scheduled_send_date", "status", "campaign_instance_id",
    "event_year", "event_month", "event_day",
)  # fmt: skip
DETAILS = ("scheduled_send_time", "skip_reason", "priority", "email_template", "sms_template")
"""The other columns that the pass writes."""
_STATUSES = (*PLANNED_STATUSES, *HISTORY_STATUSES)
_SLOW_TYPE, _SLOW_STATUS = 999, 9
PLANNED_CODES = len(PLANNED_STATUSES)
"""Statuses with a lower code are planned."""

_BETWEEN, _UNREAD = b"\x1f", b"\x01"

type Detail = tuple[str, ...]
"""The texts of DETAILS; NULL is empty."""
type _SlowRow = tuple[int, int, int, int, int, str, str, Detail]
"""row id, contact id, event, send, campaign, email type, status, detail."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rows in no order; every array has shape (n,). Days since 1970-01-01, NO_DATE where there is none."""

    row_id: Int64
    contact_id: Int64
    event: Int32
    send: Int32
    campaign: Int64
    email_type: Int32
    """Code into `types`."""
    status: Int32
    """Code into `statuses`, which begin with the planned ones."""
    detail: Int32
    """Code into `details`."""
    types: list[str]
    statuses: list[str]
    details: list[Detail]


@dataclass(frozen=True, slots=True)
class _Part:
    """The columns of Schedule; `details` are those of this part."""

    row_id: Int64
    contact_id: Int64
    event: Int32
    send: Int32
    campaign: Int64
    email_type: Int32
    status: Int32
    detail: Int32
    details: list[Detail]


def read_schedule(source: Source, schema: Schema, threads: int = 2) -> Schedule:
    """All rows that have a readable contact_id and email_type. Raises DatabaseError."""
    table = schema.get("email_schedules")
    types = [*ANNIVERSARY_TYPES, *FOLLOWUP_TYPES]
    parts: list[_Part] = []
    slow: list[_SlowRow] = []
    if table is not None:
        types += sampled_types(source, table, types)
        query = _query(source, table, types)
        columns = [table.column(name) for name in (*_READ, *DETAILS)]

        def parse(connection: apsw.Connection, chunk: Chunk | BrokenChunk) -> tuple[_Part | None, list[_SlowRow]]:
            bad, part = _parse(chunk) if isinstance(chunk, Chunk) else (None, None)
            return part, list(_slow(slow_rows_of(source, connection, query, columns, chunk, bad)))

        for part, rows in scan(source, query, threads, parse):
            parts += [part] if part else []
            slow += rows
    types += sorted({row[5] for row in slow} - set(types))
    statuses = [*_STATUSES, *sorted({row[6] for row in slow} - set(_STATUSES))]
    parts.append(_slow_part(slow, types, statuses))
    names = [name for name in _Part.__slots__ if name not in ("detail", "details")]
    columns_read = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    detail, details = _joined_details(parts)
    return Schedule(**columns_read, detail=detail, types=types, statuses=statuses, details=details)


def _joined_details(parts: list[_Part]) -> tuple[Int32, list[Detail]]:
    """The details of all parts as codes into one list."""
    code: dict[Detail, int] = {}
    columns = []
    for part in parts:
        codes = np.array([code.setdefault(detail, len(code)) for detail in part.details], np.int32)
        columns.append(codes[part.detail])
    return np.concatenate(columns), list(code)


def _query(source: Source, table: Table, types: list[str]) -> Query:
    fields = Fields(is_utf16=source.is_utf16)
    type_codes = {name: f"{code:03d}" for code, name in enumerate(types)}
    status_codes = {name: str(code) for code, name in enumerate(_STATUSES)}
    wanted = {
        "contact": integer_or_slow(table.column("contact_id"), None),
        "type": (case_of(table.column("email_type"), type_codes, f"'{_SLOW_TYPE}'"), 3),
        "event": event_field(fields, table),
        "send": fields.date(table.column("scheduled_send_date")),
        "status": (case_of(table.column("status"), status_codes, f"'{_SLOW_STATUS}'"), 1),
        "campaign": integer_or_slow(table.column("campaign_instance_id"), 0),
    }
    return Query(table, wanted, {"detail": _detail_line(fields, table)})


def _detail_line(fields: Fields, table: Table) -> str:
    """One line of the columns of DETAILS; one that only the slow path can judge is the byte 1."""
    cells = []
    for name in DETAILS:
        column = table.column(name)
        if column is None:
            cells.append("''")
        elif name == "priority":
            cells.append(f"CASE typeof({column}) WHEN 'integer' THEN {column} WHEN 'null' THEN '' ELSE char(1) END")
        else:
            plain = f"{fields.is_text(column, 0, MAX_LINE)} AND ({column} = '' OR {column} GLOB '[!-~]*')"
            plain += f" AND {fields.is_plain(column)}"
            cells.append(f"CASE WHEN {column} IS NULL THEN '' WHEN {plain} THEN {column} ELSE char(1) END")
    return f"concat_ws(char(31), {', '.join(cells)})"


def _details(chunk: Chunk) -> tuple[Bool, Int32, list[Detail]]:
    """Which rows must be read again, and the details of all rows as codes."""
    lines = chunk.texts["detail"].tobytes().split(b"\n")
    if len(lines) != len(chunk):
        return np.ones(len(chunk), np.bool_), np.zeros(len(chunk), np.int32), [("",) * len(DETAILS)]
    code = {line: number for number, line in enumerate(dict.fromkeys(lines))}
    unread = np.array([_UNREAD in line for line in code], np.bool_)
    codes = np.array([code[line] for line in lines], np.int32)
    # What is read again may be text of any bytes.
    details = [tuple(line.decode("ascii", errors="replace").split(_BETWEEN.decode())) for line in code]
    return unread[codes], codes, details


def _parse(chunk: Chunk) -> tuple[Bool, _Part]:
    types, status = parse_small(chunk.column("type")), parse_small(chunk.column("status"))
    event, event_bad = parse_dates(chunk.column("event"))
    send, send_bad = parse_dates(chunk.column("send"))
    bad = (types == _SLOW_TYPE) | (status == _SLOW_STATUS) | event_bad | send_bad
    bad |= is_marked(chunk.column("contact")) | is_marked(chunk.column("campaign"))
    detail_bad, detail, details = _details(chunk)
    bad |= detail_bad
    good = ~bad
    contact, campaign = (parse_integers(chunk.column(name)[good]) for name in ("contact", "campaign"))
    return bad, _Part(
        chunk.rowid[good], contact, event[good], send[good], campaign, types[good], status[good], detail[good], details
    )


def _slow(rows: Iterator[tuple[int, list[Cell]]]) -> Iterator[_SlowRow]:
    for row_id, (contact, kind, event, send, status, campaign, year, month, day, *others) in rows:
        contact_id, email_type = read_integer(contact), read_text(kind)
        if contact_id is None or email_type is None:
            continue
        event_day, send_day = read_event(event, year, month, day), read_date(send)
        yield (
            row_id, contact_id, NO_DATE if event_day is None else event_day, NO_DATE if send_day is None else send_day,
            read_integer(campaign) or 0, email_type, read_status(status) or "none",
            tuple(shown_text(cell) or "" for cell in others),
        )  # fmt: skip


def _slow_part(rows: list[_SlowRow], types: list[str], statuses: list[str]) -> _Part:
    type_code = {name: code for code, name in enumerate(types)}
    status_code = {name: code for code, name in enumerate(statuses)}
    return _Part(
        row_id=np.array([row[0] for row in rows], np.int64),
        contact_id=np.array([row[1] for row in rows], np.int64),
        event=np.array([row[2] for row in rows], np.int32),
        send=np.array([row[3] for row in rows], np.int32),
        campaign=np.array([row[4] for row in rows], np.int64),
        email_type=np.array([type_code[row[5]] for row in rows], np.int32),
        status=np.array([status_code[row[6]] for row in rows], np.int32),
        detail=np.arange(len(rows), dtype=np.int32),
        details=[row[7] for row in rows],
    )
