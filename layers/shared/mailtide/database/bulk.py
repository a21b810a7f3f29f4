"""Reading whole columns at the speed of SQLite: each row becomes a record of fixed width, all records one buffer.

A query concatenates the records of up to CHUNK_ROWS rows, so that Python sees one buffer a chunk. A field's SQL gives
exactly `width` ASCII bytes whenever the value is well formed; what else it gives is found out over the array, and the
row is read again, exactly and slowly. Nothing here can misread a row: a buffer of the wrong length, or one that is not
ASCII where it must be, sends its whole chunk the slow way.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from mailtide.database.header import Header
from mailtide.database.id_range import EVERY_ID, IdRange
from mailtide.database.pages.file import PageFile
from mailtide.database.pages.proof import TableProof
from mailtide.database.schema import Table
from mailtide.database.untrusted import clear_errors, open_untrusted
from mailtide.database.values import FIRST_YEAR, LAST_YEAR, Cell, decode_cell
from mailtide.rules.columns import NO_DATE, Bool, Int32, Int64, UInt8

CHUNK_ROWS = 65_536
INTEGER_WIDTH = 20
DATE_WIDTH = 10
MAX_LINE = 254
_BLANK, _MINUS, _ZERO, _DASH = ord(" "), ord("-"), ord("0"), ord("-")
_PIECES_A_THREAD = 8


@dataclass(frozen=True, slots=True)
class Source:
    """A file that nobody writes while it is read, and what its header says."""

    path: Path
    header: Header
    descriptor: int | None = None
    """Where the whole of the database stands in the file itself: an open descriptor of it, for reading its pages."""
    proofs: dict[str, TableProof] = field(default_factory=dict)
    """By lower-cased name of a table: what its pages prove, once they are read, to the one who asked for it."""

    @property
    def pages(self) -> PageFile | None:
        """The file's pages, None where SQLite must read them."""
        return None if self.descriptor is None or self.is_utf16 else PageFile(self.descriptor, self.header)

    @property
    def is_utf16(self) -> bool:
        """Whether a character of the file takes two bytes or more."""
        return self.header.codec != "utf-8"

    def open(self) -> apsw.Connection:
        """A new read-only connection, for one thread."""
        return open_untrusted(self.path)


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows of a table, and which fields of each.

    fields: name -> (SQL of fixed width, width in bytes). texts: name -> SQL of a text without line feeds,
    one line a row. where: an SQL condition. prepare: called with each new connection (temporary tables).
    """

    table: Table
    fields: dict[str, tuple[str, int]]
    texts: dict[str, str]
    where: str = "1"
    prepare: Callable[[apsw.Connection], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, ascending by rowid. `column` gives a field as bytes, shape (n, width), and `texts` the whole buffers."""

    rowid: Int64
    records: UInt8
    offsets: dict[str, slice]
    texts: dict[str, UInt8]

    def __len__(self) -> int:
        return len(self.records)

    def column(self, name: str) -> UInt8:
        """The bytes of one field, shape (n, width)."""
        return self.records[:, self.offsets[name]]


@dataclass(frozen=True, slots=True)
class BrokenChunk:
    """Rows that could not be read in bulk: all with first <= rowid <= last that meet the query's condition."""

    first: int
    last: int


def scan[T](
    source: Source,
    query: Query,
    threads: int,
    parse: Callable[[apsw.Connection, Chunk | BrokenChunk], T],
    within: IdRange = EVERY_ID,
) -> list[T]:
    """Read a table in chunks, in parallel, and give what `parse` makes of each, in the order of the rowids.

    parse runs in the thread that read the chunk, with its connection. within: a range of rowids. Raises DatabaseError.
    """
    with clear_errors():
        connection = source.open()
        try:
            bounds = _bounds(connection, query.table, within)
        finally:
            connection.close()
        pieces = _pieces(*bounds, threads) if bounds else []

        def read_piece(piece: tuple[int, int]) -> list[T]:
            with clear_errors():
                connection = source.open()
                try:
                    query.prepare(connection)
                    return [parse(connection, chunk) for chunk in _chunks(source, connection, query, *piece)]
                finally:
                    connection.close()

        if len(pieces) <= 1 or threads == 1:
            return [part for piece in pieces for part in read_piece(piece)]
        with ThreadPoolExecutor(threads) as pool:
            return [part for parts in pool.map(read_piece, pieces) for part in parts]


def _bounds(connection: apsw.Connection, table: Table, within: IdRange) -> tuple[int, int] | None:
    """The first and the last rowid of a range, None where it has none."""
    where, given = f"WHERE {table.rowid} BETWEEN ? AND ?", (within.low, within.high)
    first = connection.execute(f"SELECT min({table.rowid}) FROM {table.sql_name} NOT INDEXED {where}", given).get
    last = connection.execute(f"SELECT max({table.rowid}) FROM {table.sql_name} NOT INDEXED {where}", given).get
    return None if first is None or last is None else (int(first), int(last))


def _pieces(first: int, last: int, threads: int) -> list[tuple[int, int]]:
    """Ranges of rowids, about equal; more than threads, for tables whose rowids are not evenly spread."""
    span = last - first + 1
    count = 1 if span <= CHUNK_ROWS else max(1, min(threads * _PIECES_A_THREAD, span // CHUNK_ROWS))
    count = 1 if threads == 1 else count
    edges = [first + span * index // count for index in range(count)] + [last + 1]
    return [(low, high - 1) for low, high in pairwise(edges)]


def _chunks(
    source: Source, connection: apsw.Connection, query: Query, first: int, last: int
) -> Iterator[Chunk | BrokenChunk]:
    statement = _statement(source, query)
    while first <= last:
        row: tuple[Any, ...] = connection.execute(statement, (first, last, CHUNK_ROWS)).fetchall()[0]
        count, highest = row[0], row[1]
        if not count:
            return
        yield _chunk(query, row, count, highest) or BrokenChunk(first, highest)
        first = highest + 1


def _statement(source: Source, query: Query) -> str:
    """One row a chunk: count, highest rowid, all records, all texts."""
    fields = "".join(f", f{index}" for index in range(len(query.fields)))
    record = f"concat(printf('%{INTEGER_WIDTH}d', r){fields})"
    inner = [f"{query.table.rowid} AS r"]
    inner += [f"({sql}) AS f{index}" for index, (sql, _) in enumerate(query.fields.values())]
    inner += [f"({sql}) AS t{index}" for index, sql in enumerate(query.texts.values())]
    outer = [f"group_concat({record}, '')", *(f"group_concat(t{index}, '\n')" for index in range(len(query.texts)))]
    if not source.is_utf16:
        # As a blob the buffer arrives as it is, valid UTF-8 or not.
        outer = [f"CAST({expression} AS BLOB)" for expression in outer]
    return (
        f"SELECT count(*), max(r), {', '.join(outer)} FROM (SELECT {', '.join(inner)} "
        f"FROM {query.table.sql_name} NOT INDEXED WHERE {query.table.rowid} BETWEEN ? AND ? AND ({query.where}) "
        f"ORDER BY {query.table.rowid} LIMIT ?)"
    )


def _chunk(query: Query, row: tuple[object, ...], count: int, highest: int) -> Chunk | None:
    """The chunk of a result row; None when the buffer is not what its fields promise."""
    offsets: dict[str, slice] = {}
    width = INTEGER_WIDTH
    for name, (_, field_width) in query.fields.items():
        offsets[name] = slice(width, width + field_width)
        width += field_width
    buffer = _buffer(row[2])
    if buffer is None or len(buffer) != count * width:
        return None
    records = buffer.reshape(count, width)
    rowid = parse_integers(records[:, :INTEGER_WIDTH])
    if int(rowid[-1]) != highest or bool((np.diff(rowid) <= 0).any()):
        return None
    texts: dict[str, UInt8] = {}
    for name, value in zip(query.texts, row[3:], strict=True):
        text = _buffer(value)
        if text is None:
            return None
        texts[name] = text
    return Chunk(rowid, records, offsets, texts)


def _buffer(value: object) -> UInt8 | None:
    if isinstance(value, str):
        if not value.isascii():
            return None
        value = value.encode("ascii")
    if value is None:
        return np.empty(0, np.uint8)
    return np.frombuffer(value, np.uint8) if isinstance(value, bytes) else None


def integer_field(sql: str) -> tuple[str, int]:
    """A field of an expression that gives an integer or NULL (which becomes blank)."""
    return (
        f"CASE WHEN {sql} IS NULL THEN '{' ' * INTEGER_WIDTH}' ELSE printf('%{INTEGER_WIDTH}d', {sql}) END",
        INTEGER_WIDTH,
    )


def parse_integers(field: UInt8) -> Int64:
    """Integers of `printf('%20d')`, shape (n, 20) -> (n,); a blank is 0."""
    columns = np.ascontiguousarray(field.T)
    negative = np.zeros(columns.shape[1], np.bool_)
    value = np.zeros(columns.shape[1], np.uint64)
    used = np.flatnonzero((columns != _BLANK).any(axis=1))
    for column in columns[used[0] :] if len(used) else columns[:0]:
        is_minus = column == _MINUS
        negative |= is_minus
        digit = np.where((column == _BLANK) | is_minus, 0, column - np.uint8(_ZERO))
        value = value * np.uint64(10) + digit
    signed = value.view(np.int64)
    return np.where(negative, -signed, signed)


def parse_small(field: UInt8) -> Int32:
    """Non-negative integers of up to nine digits, zero-padded, shape (n, w) -> (n,); -1 where a byte is no digit."""
    value = np.zeros(len(field), np.int32)
    bad = np.zeros(len(field), np.bool_)
    for column in field.T:
        digit = column - np.uint8(_ZERO)
        bad |= digit > 9
        value = value * np.int32(10) + digit
    return np.where(bad, np.int32(-1), value)


def _first_days() -> Int32:
    """The day number before the first of each month from January FIRST_YEAR on, and one month more."""
    months = np.arange((LAST_YEAR - FIRST_YEAR + 1) * 12 + 1)
    start = np.datetime64(f"{FIRST_YEAR}-01", "M") + months
    return (start.astype("datetime64[D]").astype(np.int64) - 1).astype(np.int32)


BEFORE_MONTH = _first_days()


def parse_dates(field: UInt8) -> tuple[Int32, Bool]:
    """Days of ten bytes `dddd-dd-dd`, shape (n, 10) -> (n,), and which were not blank and not a valid date.

    A blank is NO_DATE. An invalid one is NO_DATE too, but must be read again if the report is to count it rightly.
    """
    columns = np.ascontiguousarray(field.T)
    blank = (columns == _BLANK).all(axis=0)
    digits = columns - np.uint8(_ZERO)
    numeric = (columns[4] == _DASH) & (columns[7] == _DASH)
    for index in (0, 1, 2, 3, 5, 6, 8, 9):
        numeric &= digits[index] <= 9
    wide = np.where(numeric, digits, np.uint8(0)).astype(np.int32)
    year = ((wide[0] * 10 + wide[1]) * 10 + wide[2]) * 10 + wide[3]
    month, day = wide[5] * 10 + wide[6], wide[8] * 10 + wide[9]
    valid = numeric & (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (month >= 1) & (month <= 12) & (day >= 1)
    at = np.where(valid, (year - FIRST_YEAR) * 12 + month - 1, 0)
    days = BEFORE_MONTH[at] + day
    valid &= days < BEFORE_MONTH[at + 1] + 1
    return np.where(valid, days, np.int32(NO_DATE)).astype(np.int32), ~valid & ~blank


class Fields:
    """SQL of fields for one file: what counts as well formed depends on its encoding."""

    def __init__(self, *, is_utf16: bool) -> None:
        self._unit = 2 if is_utf16 else 1

    def is_text(self, column: str, low: int, high: int) -> str:
        """Condition: text of low..high bytes, which are as many ASCII characters if the file is UTF-16."""
        size = f"octet_length({column})"
        condition = f"typeof({column}) = 'text' AND {size} BETWEEN {low * self._unit} AND {high * self._unit}"
        if self._unit == 2:
            condition += f" AND {self.is_plain(column)}"
        return condition

    def is_plain(self, column: str) -> str:
        """Condition on short text: printable ASCII only, no NUL."""
        return f"octet_length({column}) = {self._unit} * length({column}) AND {column} NOT GLOB '*[^ -~]*'"

    def date(self, column: str | None) -> tuple[str, int]:
        """Ten bytes: the date part; blank for NULL; `!` and blanks for what only the slow path can judge."""
        blank, slow = f"'{' ' * DATE_WIDTH}'", f"'!{' ' * (DATE_WIDTH - 1)}'"
        if column is None:
            return blank, DATE_WIDTH
        return (
            f"CASE WHEN {self.is_text(column, 10, 10)} THEN {column} WHEN {column} IS NULL THEN {blank} "
            f"WHEN {self.is_text(column, 11, 40)} AND {column} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' "
            f"AND {self.is_plain(column)} THEN substr({column}, 1, 10) ELSE {slow} END"
        ), DATE_WIDTH

    def line(self, column: str | None) -> str:
        """A short text as one line; empty for NULL; the byte 1 for what only the slow path can judge."""
        if column is None:
            return "''"
        return f"CASE WHEN {self.is_text(column, 0, MAX_LINE)} THEN {column} WHEN {column} IS NULL THEN '' ELSE char(1) END"


def slow_rows(
    source: Source,
    connection: apsw.Connection,
    table: Table,
    columns: list[str | None],
    where: str,
    bindings: tuple[Any, ...],
) -> Iterator[tuple[int, list[Cell]]]:
    """Rowid and cells of the rows that meet a condition, each value decoded exactly; a missing column is NULL."""
    rowid = table.rowid or "0"
    wanted = ", ".join(
        f"typeof({c}), CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END" if c else "'null', NULL"
        for c in columns
    )
    statement = f"SELECT {rowid}, {wanted} FROM {table.sql_name} NOT INDEXED WHERE {where}"
    codec = source.header.codec
    for row in connection.execute(statement, bindings):
        yield row[0], [decode_cell(row[at], row[at + 1], codec) for at in range(1, len(row), 2)]


def slow_rows_of(
    source: Source,
    connection: apsw.Connection,
    query: Query,
    columns: list[str | None],
    chunk: Chunk | BrokenChunk,
    bad: Bool | None,
) -> Iterator[tuple[int, list[Cell]]]:
    """The rows of a chunk marked in `bad` (shape (n,)), or all rows of a broken chunk; ascending by rowid."""
    rowid = query.table.rowid
    if isinstance(chunk, BrokenChunk):
        where = f"{rowid} BETWEEN ? AND ? AND ({query.where}) ORDER BY {rowid}"
        yield from slow_rows(source, connection, query.table, columns, where, (chunk.first, chunk.last))
    elif bad is not None and bad.any():
        yield from slow_rows_at(source, connection, query.table, columns, chunk.rowid[bad])


def slow_rows_at(
    source: Source, connection: apsw.Connection, table: Table, columns: list[str | None], rowids: Int64
) -> Iterator[tuple[int, list[Cell]]]:
    """The rows with the given rowids, ascending."""
    if len(rowids):
        where = f"{table.rowid} IN (SELECT value FROM carray(?)) ORDER BY {table.rowid}"
        yield from slow_rows(source, connection, table, columns, where, (apsw.carray(np.ascontiguousarray(rowids)),))
