"""The columns of records: where each value stands, what it is, and integers, days and texts of it, for many rows at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mailtide.database.pages.file import PADDING, UnusualPagesError
from mailtide.database.pages.layout import MIN_HEADER_BYTES
from mailtide.database.pages.tree import Cells
from mailtide.rules.columns import Bool, Int32, Int64, UInt8

_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}
_FIXED_BYTES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)
_MAX_KIND = (1 << 14) - 1
_STORED_BYTES = np.array([*_FIXED_BYTES, *(kind - 12 >> 1 for kind in range(12, _MAX_KIND + 1))], np.int32)
"""By serial type; `Records` reads none above _MAX_KIND."""
_NULL, _RESERVED, _FIRST_TEXT = 0, (10, 11), 13
MAX_COLUMNS = 100
MAX_WINDOW = 512
"""The most bytes that are looked at after the start of a record or a value; with 4 bytes a column, less than PADDING."""


@dataclass(frozen=True, slots=True)
class Values:
    """One column of some records; every array has shape (n,)."""

    buffer: UInt8
    kind: Int32
    """The serial type (fileformat2.html, section 2.1); NULL for a column that is not asked of the file."""
    at: Int32
    """Where in the buffer the value starts."""

    def __getitem__(self, rows: Int64) -> "Values":
        return Values(self.buffer, self.kind[rows], self.at[rows])

    @property
    def is_null(self) -> Bool:
        """Which are NULL."""
        null: Bool = self.kind == _NULL
        return null

    @property
    def is_text(self) -> Bool:
        """Which are text, empty text included."""
        text: Bool = (self.kind >= _FIRST_TEXT) & (self.kind & 1 == 1)
        return text

    @property
    def length(self) -> Int32:
        """Bytes of texts and blobs; of others no meaning."""
        return np.maximum(self.kind - 12, 0) >> 1

    @property
    def stored_bytes(self) -> Int32:
        """Bytes of the values."""
        return stored_bytes(self.kind)

    def integers(self) -> tuple[Int64, Bool]:
        """The values, and which are integers; the others are 0."""
        value = np.zeros(len(self.kind), np.int64)
        known = np.zeros(len(self.kind), np.bool_)
        for kind, width in _INTEGER_BYTES.items():
            rows = np.flatnonzero(self.kind == kind)
            if len(rows):
                known[rows] = True
                value[rows] = self._wide(rows, width) if width else kind - 8
        return value, known

    def _wide(self, rows: Int64, width: int) -> Int64:
        at = self.at[rows]
        value = self.buffer.take(at).view(np.int8).astype(np.int64)
        for index in range(1, width):
            value = value << 8 | self.buffer.take(at + index)
        return value

    def window(self, width: int) -> UInt8:
        """The first bytes of each value and what follows it, shape (n, width). width: a multiple of 8, up to MAX_WINDOW."""
        return window(self.buffer, self.at, width)


def stored_bytes(kind: Int32) -> Int32:
    """Bytes of values of the given serial types."""
    return _STORED_BYTES.take(kind)


def window(buffer: UInt8, at: Int32, width: int) -> UInt8:
    """`width` bytes from each place on, shape (n, width); a copy. buffer: ends with PADDING bytes."""
    items = np.ndarray((len(buffer) - width + 1,), np.dtype((np.void, width)), buffer, strides=(1,))
    return items[at].view(np.uint8).reshape(len(at), width)


@dataclass(frozen=True)
class Records:
    """Records in a buffer that ends with PADDING bytes; every array has shape (n,).

    bad: rows whose shape this package does not read; it grows while columns are read. verdicts: of each look at whole
    records, these or some that stand for them, whether header and values fill them.
    """

    buffer: UInt8
    rowid: Int64
    start: Int32
    size: Int32
    bad: Bool = field(repr=False)
    verdicts: list[bool] = field(default_factory=list)

    @staticmethod
    def of(buffer: UInt8, cells: Cells) -> "Records":
        """The records of cells."""
        return Records(buffer, cells.rowid, cells.start, cells.size, ~cells.is_whole)

    def __len__(self) -> int:
        return len(self.rowid)

    def __getitem__(self, rows: Int64) -> "Records":
        return Records(self.buffer, self.rowid[rows], self.start[rows], self.size[rows], self.bad[rows], self.verdicts)

    @property
    def are_sound(self) -> bool:
        """Whether whole records were looked at, and SQLite can parse all headers."""
        return bool(self.verdicts) and all(self.verdicts)

    @cached_property
    def header_bytes(self) -> Int32:
        """The bytes of each record's header."""
        header = self.buffer.take(self.start).astype(np.int32)
        np.logical_or(self.bad, (header > 0x7F) | (header > self.size) | (header < 1), out=self.bad)
        return header

    def columns(self, wanted: Sequence[int | None], of: int | None = None) -> list[Values]:
        """The columns at the given positions of the table, ascending or not; None is a column of NULLs.

        of: the number of the table's columns, where whole records are to be looked at. Rows that are not of the usual
        shape become `bad`; their values read as NULL.
        """
        body = self.start + self.header_bytes
        end, header_end = self.start + self.size, body
        at = self.start + 1
        found: dict[int, tuple[Int32, Int32]] = {}
        looked_at = max((index for index in wanted if index is not None), default=-1) + 1
        for position in range(looked_at):
            kind, at, odd = _kinds(self.buffer, at)
            np.logical_or(self.bad, odd, out=self.bad)
            np.logical_or(self.bad, at > header_end, out=self.bad)
            if position in wanted:
                found[position] = (kind, body)
            body = body + stored_bytes(kind)
        np.logical_or(self.bad, body > end, out=self.bad)
        any_bad = bool(self.bad.any())
        if of is not None:
            usual = not any_bad and bool((self.header_bytes >= MIN_HEADER_BYTES).all())
            self.verdicts.append(usual and _are_filled(self.buffer, at, header_end, body, end, of - looked_at))
        nothing = np.zeros(len(self), np.int32)
        values: list[Values] = []
        for index in wanted:
            kind, place = (nothing, nothing) if index is None else found[index]
            if any_bad:
                kind, place = np.where(self.bad, np.int32(0), kind), np.where(self.bad, np.int32(0), place)
            values.append(Values(self.buffer, kind, place))
        return values


def _kinds(buffer: UInt8, at: Int32) -> tuple[Int32, Int32, Bool]:
    """The serial types at the given places, the places after them, and which are none that this package reads."""
    byte = buffer.take(at)
    kind = byte.astype(np.int32)
    at = at + 1
    odd = (byte == _RESERVED[0]) | (byte == _RESERVED[1])
    long = byte > 0x7F
    if long.any():
        second = buffer.take(at)
        kind = np.where(long, (kind & 0x7F) << 7 | second, kind)
        # A small number may be written with more bytes than it needs.
        odd |= long & ((second > 0x7F) | (kind == _RESERVED[0]) | (kind == _RESERVED[1]))
        at = at + long
    return kind, at, odd


def _are_filled(buffer: UInt8, at: Int32, header_end: Int32, body: Int32, end: Int32, rest: int) -> bool:
    """Whether `rest` serial types or fewer follow in each header up to its end, and their values reach each record's end."""
    for _ in range(rest):
        rows = np.flatnonzero(at < header_end)
        if not len(rows):
            break
        kind, after, odd = _kinds(buffer, at[rows])
        if odd.any() or (after > header_end[rows]).any():
            return False
        at, body = at.copy(), body.copy()
        at[rows] = after
        body[rows] += stored_bytes(kind)
    return bool((at == header_end).all() and (body == end).all())


def readable(columns: int) -> None:
    """Raise UnusualPagesError where a table has more columns than windows allow for."""
    if columns > MAX_COLUMNS or 4 * MAX_COLUMNS + MAX_WINDOW > PADDING:
        raise UnusualPagesError
