"""The rows that should stand in email_schedules against the planned rows that do (spec §9)."""

from collections.abc import Callable, Iterable
from functools import cache, partial
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
from mailtide.database.compare_standing import match_standing
from mailtide.database.desired_keys import Keys
from mailtide.database.differences import Differences, MatchedRows, Tally, differences_of_twins
from mailtide.database.read_history import (
    HISTORY_STATUSES,
    PLANNED_STATUSES,
    case_of,
    event_field,
    integer_or_slow,
    is_marked,
    read_event,
)
from mailtide.database.schema import Schema, Table
from mailtide.database.standing import Standing
from mailtide.database.untrusted import literal
from mailtide.database.values import Cell, read_date, read_integer, read_status, read_text, shown_text
from mailtide.rules.columns import NO_DATE, Bool, Codes, Desired, Int32, Int64, Numbers

_READ = (
    "contact_id", "email_type", "event_date", "scheduled_send_date", "scheduled_send_time", "status", "skip_reason",
    "priority", "campaign_instance_id", "email_template", "sms_template", "event_year", "event_month", "event_day",
)  # fmt: skip
_CODE_WIDTH = 6
_SLOW, _OTHER = 999_999, 999_998
_MAX_BRANCHES = 8
_MAX_SPREAD = 1 << 16
_COMPARED = ("send", "time", "status", "reason", "priority", "email_template", "sms_template")


class _Codes:
    """A few values as codes of six digits, in SQL and in Python: 0 for NULL, index + 1, _OTHER, or _SLOW."""

    def __init__(self, values: list[Any], used: Codes) -> None:
        """used: the indexes that rows have, -1 for NULL. Only those are told apart, the most frequent first."""
        counts = np.bincount(used[used >= 0], minlength=len(values))
        indexes = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
        self.values = [values[index] for index in indexes]
        self._code = {values[index]: index + 1 for index in indexes}
        # A literal cannot hold a NUL.
        self._looked_up = len(indexes) > _MAX_BRANCHES or any("\0" in str(value) for value in self.values)

    def of(self, value: str | int | None) -> int:
        """The code of a value read slowly."""
        return 0 if value is None else self._code.get(value, _OTHER)

    def field(self, column: str | None, lookup: str, fields: Fields | None) -> tuple[str, int]:
        """The SQL of a column's code; fields is None for a column of integers."""
        if column is None:
            return f"'{0:0{_CODE_WIDTH}d}'", _CODE_WIDTH
        if fields is None:
            otherwise = f"CASE typeof({column}) WHEN 'integer' THEN '{_OTHER}' ELSE '{_SLOW}' END"
        else:
            plain = f"{fields.is_text(column, 1, 200)} AND {fields.is_plain(column)} AND {column} GLOB '[!-~]*'"
            otherwise = f"CASE WHEN {plain} THEN '{_OTHER}' ELSE '{_SLOW}' END"
        return (
            f"CASE WHEN {column} IS NULL THEN '{0:0{_CODE_WIDTH}d}' ELSE {self._found(column, lookup, otherwise)} END",
            _CODE_WIDTH,
        )

    def _found(self, column: str, lookup: str, otherwise: str) -> str:
        if self._looked_up:
            wanted = f"(SELECT code FROM temp.{lookup} WHERE value = {column} COLLATE BINARY)"
            return f"coalesce({wanted}, {otherwise})"
        if all(isinstance(value, str) for value in self.values):
            return case_of(column, {value: f"{self.of(value):0{_CODE_WIDTH}d}" for value in self.values}, otherwise)
        branches = " ".join(f"WHEN {value} THEN '{self.of(value):0{_CODE_WIDTH}d}'" for value in self.values)
        return f"CASE WHEN typeof({column}) <> 'integer' THEN {otherwise} ELSE CASE {column} {branches} ELSE {otherwise} END END"

    def prepare(self, connection: apsw.Connection, lookup: str) -> None:
        """Make the table that the SQL of `field` looks codes up in."""
        if self._looked_up:
            connection.execute(f"CREATE TEMP TABLE {lookup} (value PRIMARY KEY, code TEXT) WITHOUT ROWID")
            rows = ((value, f"{self.of(value):0{_CODE_WIDTH}d}") for value in self.values)
            connection.executemany(f"INSERT INTO temp.{lookup} VALUES (?, ?)", rows)


class _Comparison:
    """One comparison of the table with the desired rows."""

    def __init__(self, source: Source, table: Table, keys: Keys, desired: Desired, send_time: str) -> None:
        self._source, self._table, self._desired = source, table, desired
        self._send_time = send_time
        self._keys = keys
        priorities, self._priority = _ranked(desired.priority)
        self._codes = {
            "type": _Codes(desired.types, desired.email_type),
            "reason": _Codes(desired.reasons, desired.skip_reason),
            "priority": _Codes(priorities.tolist(), self._priority - 1),
            "email_template": _Codes(desired.templates, desired.email_template),
            "sms_template": _Codes(desired.templates, desired.sms_template),
        }
        self._columns = [table.column(name) for name in _READ]
        self.query = self._query()

    def _query(self) -> Query:
        fields, column = Fields(is_utf16=self._source.is_utf16), self._table.column
        status, time = column("status"), column("scheduled_send_time")
        sources = {"type": "email_type", "reason": "skip_reason"}
        coded = {
            name: codes.field(column(sources.get(name, name)), f"code_{name}", None if name == "priority" else fields)
            for name, codes in self._codes.items()
        }
        same_time = (
            f"CASE {time} COLLATE BINARY WHEN {literal(self._send_time)} THEN '1' ELSE '0' END" if time else "'0'"
        )
        others = ", ".join(literal(name) for name in (*HISTORY_STATUSES, "failed", "cancelled"))
        wanted = coded | {
            "contact": integer_or_slow(column("contact_id"), None),
            "event": event_field(fields, self._table),
            "send": fields.date(column("scheduled_send_date")),
            "time": (same_time, 1),
            "status": (case_of(status, {name: str(code) for code, name in enumerate(PLANNED_STATUSES)}, "'!'"), 1),
            "campaign": _mostly_zero(column("campaign_instance_id")),
        }
        where = f"{status} COLLATE BINARY NOT IN ({others})" if status else "0"
        return Query(self._table, wanted, {}, where, self._prepare)

    def _prepare(self, connection: apsw.Connection) -> None:
        for name, codes in self._codes.items():
            codes.prepare(connection, f"code_{name}")

    def judge(
        self, connection: apsw.Connection, chunk: Chunk | BrokenChunk, take: Callable[[MatchedRows], None]
    ) -> None:
        """Hand over the rows of a chunk."""
        bad = None
        if isinstance(chunk, Chunk):
            bad, rows = self._parse(chunk)
            take(rows)
        self._judge(slow_rows_of(self._source, connection, self.query, self._columns, chunk, bad), take)

    def judge_slow(self, rowids: Int64, take: Callable[[MatchedRows], None]) -> None:
        """Hand over the rows with the given rowids (ascending), read exactly and slowly."""
        connection = self._source.open()
        try:
            self._judge(slow_rows_at(self._source, connection, self._table, self._columns, rowids), take)
        finally:
            connection.close()

    def _judge(self, slow: Iterable[tuple[int, list[Cell]]], take: Callable[[MatchedRows], None]) -> None:
        if read := [row for row_id, cells in slow if (row := self._slow(row_id, cells))]:
            take(self._slow_rows(read))

    def _parse(self, chunk: Chunk) -> tuple[Bool, MatchedRows]:
        columns = {name: parse_small(chunk.column(name)) for name in (*self._codes, "time", "status")}
        event, event_bad = parse_dates(chunk.column("event"))
        columns["send"], send_bad = parse_dates(chunk.column("send"))
        bad = event_bad | send_bad | (columns["status"] < 0)
        for name in self._codes:
            # A type that is no desired type needs no second look: its row goes, whatever it says.
            bad |= (columns[name] == _SLOW) & (name != "type")
        for name in ("contact", "campaign"):
            bad |= is_marked(chunk.column(name))
        good = ~bad
        numbers = [parse_integers(chunk.column(name)[good]) for name in ("contact", "campaign")]
        columns = {name: column[good] for name, column in columns.items()}
        return bad, self._rows(chunk.rowid[good], numbers[0], event[good], numbers[1], columns)

    def _slow(self, row_id: int, cells: list[Cell]) -> tuple[int, ...] | None:
        contact, kind, event, send, time, status, reason, priority, campaign, email, sms, *parts = cells
        state = read_status(status)
        if state not in PLANNED_STATUSES:
            return None
        contact_id, day, sent = read_integer(contact), read_event(event, parts[0], parts[1], parts[2]), read_date(send)
        if contact_id is None:
            # The key of no desired row: event NO_DATE never matches.
            contact_id, day = 0, None
        code = self._codes
        return (
            row_id, contact_id, NO_DATE if day is None else day, read_integer(campaign) or 0,
            code["type"].of(read_text(kind)), NO_DATE if sent is None else sent, time == self._send_time,
            PLANNED_STATUSES.index(state), code["reason"].of(shown_text(reason)),
            code["priority"].of(read_integer(priority)), code["email_template"].of(shown_text(email)),
            code["sms_template"].of(shown_text(sms)),
        )  # fmt: skip

    def _slow_rows(self, read: list[tuple[int, ...]]) -> MatchedRows:
        names = ("type", *_COMPARED)
        arrays = [np.array(column, np.int64) for column in zip(*read, strict=True)]
        columns = {name: array.astype(np.int32) for name, array in zip(names, arrays[4:], strict=True)}
        return self._rows(arrays[0], arrays[1], arrays[2].astype(np.int32), arrays[3], columns)

    def _rows(
        self, row_id: Int64, contact: Int64, event: Int32, campaign: Int64, columns: dict[str, Int32]
    ) -> MatchedRows:
        known = np.where(columns["type"] < _OTHER, columns["type"] - 1, -1)
        match = self._keys.find(contact, known, event, campaign)
        at, desired = np.maximum(match, 0), self._desired
        if not len(desired):
            return MatchedRows(row_id, match, np.zeros(len(match), np.bool_))
        reason = desired.skip_reason[at] + 1
        equal = (
            (match >= 0)
            & (columns["send"] == desired.send[at])
            & (columns["time"] == 1)
            & (columns["status"] == (reason > 0))
            & (columns["reason"] == reason)
            & (columns["priority"] == self._priority[at])
            & (columns["email_template"] == desired.email_template[at] + 1)
            & (columns["sms_template"] == desired.sms_template[at] + 1)
        )
        return MatchedRows(row_id, match, equal)


def _ranked(values: Numbers) -> tuple[Numbers, Int32]:
    """The different values, ascending, and the place of each from 1 on."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if high - low > _MAX_SPREAD:
        different, which = np.unique(values, return_inverse=True)
        return different, (which + 1).astype(np.int32)
    counts = np.bincount(values - low, minlength=1)
    return np.flatnonzero(counts) + low, np.cumsum(counts > 0).astype(np.int32)[values - low]


def _mostly_zero(column: str | None) -> tuple[str, int]:
    """`integer_or_slow` with 0 for NULL, and no formatting of zeros."""
    general, width = integer_or_slow(column, 0)
    if column is None:
        return general, width
    return f"CASE WHEN typeof({column}) = 'integer' AND {column} = 0 THEN '{0:{width}d}' ELSE {general} END", width


def compare(
    source: Source,
    schema: Schema,
    ids: Int64,
    desired: Desired,
    send_time: str,
    threads: int,
    standing: Standing | None = None,
) -> Differences:
    """What must change in the table.

    ids: contact ids, ascending; send_time: as it is written; standing: the table's rows where they are read already.
    Raises DatabaseError.
    """
    table = schema.get("email_schedules")
    if table is None:
        return Differences.all_new(len(desired))
    keys = cache(partial(Keys, desired, ids))

    def judge_each(take: Callable[[MatchedRows], None]) -> None:
        if standing is not None:
            match_standing(standing, keys, desired, len(ids), send_time, threads, take)
        if standing is None or len(standing.slow):
            comparison = _Comparison(source, table, keys(), desired, send_time)
            if standing is None:
                scan(source, comparison.query, threads, partial(comparison.judge, take=take))
            else:
                comparison.judge_slow(standing.slow, take)

    tally = Tally(len(desired))
    judge_each(tally.add)
    if (found := tally.differences()) is not None:
        return found
    parts: list[MatchedRows] = []
    judge_each(parts.append)
    return differences_of_twins(parts, len(desired))
