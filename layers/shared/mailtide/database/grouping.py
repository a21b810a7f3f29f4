"""The order in which rows are written: in groups that differ in nothing but the contact."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mailtide.rules.columns import NO_CODE, Bool, Desired, Int32, Int64

_CHUNK_ROWS = 1 << 16
"""That are packed at once: what the processor's cache holds."""
_PIECE_ROWS = 1 << 20
"""That are sorted at once: what sorting takes beside the rows is in proportion to them."""
_MOST_VALUES = 1 << 20
_SORT_BITS = 63
_DIGIT_BITS, _NARROW_BITS = 16, 32

type _Column = NDArray[np.integer]
type _Keys = NDArray[np.uint32 | np.int64]
type _Part = Callable[[slice], _Column]


def grouped(rows: Desired, wanted: Int32 | None = None, pool: Executor | None = None) -> tuple[Int32, Int64]:
    """The order in which rows are written, as positions in `wanted`, and where in it each group of equal constants starts.

    wanted: indexes of the rows that are meant, at least one; None for all. pool: for the work.
    """
    is_skipped: Bool = rows.skip_reason != NO_CODE
    columns: list[_Column] = [
        is_skipped.view(np.uint8), rows.send, rows.email_type, rows.event, rows.skip_reason, rows.priority,
        rows.campaign, rows.email_template, rows.sms_template,
    ]  # fmt: skip
    count = len(rows) if wanted is None else len(wanted)
    return _Grouping(count, pool).of(columns, wanted)


@dataclass(frozen=True, slots=True)
class _Field:
    """One column of the packed keys: values from `low` on that take so many bits."""

    values: _Part
    low: int
    bits: int


class _Grouping:
    """Sorts rows by columns, chunk by chunk where that can be done."""

    def __init__(self, count: int, pool: Executor | None) -> None:
        self._count = count
        self._map = pool.map if pool else map
        self._chunks = _slices(count, _CHUNK_ROWS)

    def of(self, columns: list[_Column], wanted: Int32 | None) -> tuple[Int32, Int64]:
        """The stable order by the columns, from the first on, and where in it equal rows start; see `grouped`."""
        parts = [_part(column, wanted) for column in columns]
        fields = [self._field(part) for part in parts]
        bits = sum(field.bits for field in fields)
        if bits > _SORT_BITS:
            return _grouped_slowly([part(slice(None)) for part in parts])
        keys: _Keys = np.empty(self._count, np.uint32 if bits <= _NARROW_BITS else np.int64)

        def pack(rows: slice) -> None:
            packed = np.zeros(rows.stop - rows.start, np.int64)
            for field in fields:
                if field.bits:
                    packed <<= field.bits
                    packed += field.values(rows)
                    packed -= field.low
            keys[rows] = packed

        list(self._map(pack, self._chunks))
        order = self._order_of(keys, bits)
        return order, self._starts(keys, order)

    def _field(self, part: _Part) -> _Field:
        def ends(rows: slice) -> tuple[int, int]:
            values = part(rows)
            return int(values.min()), int(values.max())

        found = list(self._map(ends, self._chunks))
        low, high = min(least for least, _ in found), max(most for _, most in found)
        if high - low > _MOST_VALUES:
            values, ranks = np.unique(part(slice(None)), return_inverse=True)
            return _Field(lambda rows: ranks[rows], 0, (len(values) - 1).bit_length())
        return _Field(part, low, (high - low).bit_length())

    def _order_of(self, keys: _Keys, bits: int) -> Int32:
        """The stable order of keys from 0 to 2^bits - 1; of 16 bits at a time, which numpy sorts without comparing."""
        order = np.arange(self._count, dtype=np.int32)
        for shift in range(0, bits, _DIGIT_BITS):
            order = self._sorted_by_digit(keys, order, shift)
        return order

    def _sorted_by_digit(self, keys: _Keys, order: Int32, shift: int) -> Int32:
        """The order, sorted by one digit of the keys. Each piece is sorted for itself; its rows of a digit then go behind
        those of the pieces before it."""

        def sort(rows: slice) -> tuple[Int32, NDArray[np.uint16]]:
            piece = order[rows]
            digit = (keys[piece] >> shift).astype(np.uint16)
            within = np.argsort(digit, kind="stable")
            return piece[within], digit[within]

        found = list(self._map(sort, _slices(self._count, _PIECE_ROWS)))
        if len(found) == 1:
            return found[0][0]
        each = np.arange(1 << _DIGIT_BITS, dtype=np.uint16)
        starts = np.array([np.searchsorted(digit, each) for _, digit in found])
        counts = np.diff(starts, append=[[len(piece)] for piece, _ in found])
        total = counts.sum(axis=0)
        behind = np.cumsum(total) - total + np.cumsum(counts, axis=0) - counts
        together = np.empty_like(order)

        def place(which: int) -> None:
            piece, digit = found[which]
            together[np.arange(len(piece)) + (behind[which] - starts[which])[digit]] = piece

        list(self._map(place, range(len(found))))
        return together

    def _starts(self, keys: _Keys, order: Int32) -> Int64:
        def changes(rows: slice) -> Int64:
            first = max(rows.start - 1, 0)
            seen = keys[order[first : rows.stop]]
            found: Int64 = np.flatnonzero(seen[1:] != seen[:-1]) + (first + 1)
            return found

        return np.concatenate([np.zeros(1, np.int64), *self._map(changes, self._chunks)])


def _slices(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _part(column: _Column, wanted: Int32 | None) -> _Part:
    return lambda rows: column[rows if wanted is None else wanted[rows]]


def _grouped_slowly(columns: list[_Column]) -> tuple[Int32, Int64]:
    order = np.lexsort(columns[::-1]).astype(np.int32)
    changed = np.zeros(len(order) - 1, np.bool_)
    for column in columns:
        changed |= column[order[1:]] != column[order[:-1]]
    return order, np.concatenate(([0], np.flatnonzero(changed) + 1))
