"""Rows that stand one after the other and differ in one integer only: most of a schedule that was written in groups."""

from dataclasses import dataclass

import numpy as np

from mailtide.database.pages.records import MAX_WINDOW, Records, Values, window
from mailtide.database.pages.texts import width_of
from mailtide.rules.columns import Bool, Int32, Int64, UInt8

_SAMPLE = 64


@dataclass(frozen=True, slots=True)
class Runs:
    """Records in runs of equal ones, but for the integer."""

    integer: Int64
    """Of each row, shape (n,)."""
    is_integer: Bool
    head: Int32
    """The position in `heads` of each row's first of its run, shape (n,)."""
    heads: Records
    """The first of each run; its wanted columns but the integer stand for the whole run."""


def usual_width(records: Records, wanted: list[int | None]) -> int:
    """How many bytes of records like these hold their wanted columns; any number from 1 to MAX_WINDOW is right for all."""
    sample = records[np.arange(0, len(records), max(1, len(records) // _SAMPLE))]
    return min(int(_ends(sample, wanted).max(initial=1)), MAX_WINDOW)


def runs_of(records: Records, varying: int, wanted: list[int | None], width: int) -> Runs:
    """Find the runs.

    varying: the column that may differ within one. wanted: the columns that matter. width: `usual_width` of some records.
    """
    values = records.columns([varying])[0]
    integer, is_integer = values.integers()
    starts = _starts(records, values, width)
    first = np.flatnonzero(starts)
    # What lies behind the window may differ from row to row.
    late = _ends(records[first], wanted) > width
    if late.any():
        starts |= late[np.cumsum(starts) - 1]
        first = np.flatnonzero(starts)
    head = (np.cumsum(starts, dtype=np.int32) - 1).astype(np.int32)
    return Runs(integer, is_integer, head, records[first])


def _ends(records: Records, wanted: list[int | None]) -> Int32:
    """How far into each record its header and its wanted values reach."""
    end = records.header_bytes.copy()
    for values in records.columns(wanted):
        reach = values.at - records.start + values.stored_bytes
        np.maximum(end, np.where(values.stored_bytes > 0, reach, 0), out=end)
    return end


def _starts(records: Records, values: Values, width: int) -> Bool:
    """Which rows differ from the row before them in more than the integer, shape (n,)."""
    stored = width_of(width)
    seen = window(records.buffer, records.start, stored)
    _clear_behind(seen, np.minimum(records.size, width))
    flat = seen.reshape(-1)
    at = values.at - records.start
    sizes = values.stored_bytes
    for size in np.flatnonzero(np.bincount(sizes)).tolist():
        rows = np.flatnonzero((sizes == size) & (at + size <= stored))
        place = rows * stored + at[rows]
        for index in range(size if size <= 8 else 0):
            flat[place + index] = 0
    words = seen.view(np.uint64)
    starts = np.ones(len(records), np.bool_)
    starts[1:] = records.size[1:] != records.size[:-1]
    # One pass over the windows: eight verdicts on words make a word themselves.
    differ = np.zeros((max(0, len(records) - 1), width_of(words.shape[1])), np.bool_)
    np.not_equal(words[1:], words[:-1], out=differ[:, : words.shape[1]])
    for verdicts in differ.view(np.uint64).T:
        starts[1:] |= verdicts != 0
    # A row that is not read as the others are stands for itself.
    return starts | records.bad


def _clear_behind(seen: UInt8, size: Int32) -> None:
    """Let nothing be seen of what follows a record. size: of each row, at most the window's width, shape (n,)."""
    longest = int(size.max(initial=0))
    seen[:, longest:] = 0
    for size_bytes in np.flatnonzero(np.bincount(size[size < longest])).tolist():
        seen[size == size_bytes, size_bytes:] = 0
