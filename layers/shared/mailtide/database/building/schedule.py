"""The first schedule of a file: email_schedules and its two indexes as cells, from the desired rows (spec §10).

Records that differ in nothing but integers and days are made once; the days are filled in for each template, the integers for
each cell.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mailtide.database.building.cells import Cells, Field
from mailtide.database.building.encode import (
    DAY_BYTES,
    INTEGER_BYTES,
    Place,
    record,
    serial_types,
    varint,
    varint_bytes,
)
from mailtide.rules.columns import Bool, Codes, Int8, Int32, Int64, Numbers, UInt8
from mailtide.rules.dates import iso_day

MAX_GROUPS = 1 << 17
"""Of `key_cells`."""
_TYPES = 10

type Value = str | int | Place | None


class CannotBuildError(Exception):
    """These rows must be written through SQLite."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows in the order of their ids, 1 and up; every array has shape (n,)."""

    index: Int32
    """Of the desired row."""
    contact: Int32 | Int64
    """Its contact's id."""
    starts: Bool
    """Whether a new group starts: rows of a group differ in nothing but the contact."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The columns of a record that do not differ within a group; all are asked with indexes of desired rows, shape (t,)."""

    columns: Callable[[Int32 | Int64], Sequence[Codes | Numbers | Bool]]
    """What the values come from but for the days."""
    values: Callable[[Int32 | Int64], Iterable[Sequence[Value]]]
    """Of each row the values in the order of the record, with the place of a day for each day."""
    days: Callable[[Int32 | Int64], Sequence[Int32]]
    """The days, in the order of their places."""


def rowids(count: int) -> Int32 | Int64:
    """1 to the count."""
    if count < np.iinfo(np.int32).max:
        return np.arange(1, count + 1, dtype=np.int32)
    return np.arange(1, count + 1, dtype=np.int64)


def narrow(values: Int64) -> Int32 | Int64:
    """The same integers in half the memory, where they fit."""
    fits = len(values) and np.iinfo(np.int32).min <= values.min() and values.max() <= np.iinfo(np.int32).max
    return values.astype(np.int32) if fits else values


def table_cells(rows: Rows, shared: Shared, max_bytes: int) -> Cells:
    """Cells of a table whose first column is its rowid, and its second the contact. shared: all columns behind these."""
    rowid = rowids(len(rows.index))
    contact_type, id_bytes = serial_types(rows.contact), varint_bytes(rowid)
    which, first = _runs(rows.starts, contact_type, id_bytes)
    contact_type, id_bytes, index = contact_type[first], id_bytes[first], rows.index[first]
    alike, of = _alike(contact_type, id_bytes, *shared.columns(index))
    stored, places = [], []
    for kind, width, values in zip(
        contact_type[alike].tolist(), id_bytes[alike].tolist(), shared.values(index[alike]), strict=True
    ):
        bytes_, found = record((None, Place(kind), *values))
        size = varint(_fitting(len(bytes_), max_bytes))
        stored.append(size + bytes(width) + bytes_)
        places.append([len(size), *(len(size) + width + place for place in found)])
    id_at, contact_at, *days_at = np.array(places, np.int32).T
    fields = [
        Field(id_at[of], id_bytes, rowid, is_varint=True),
        Field(contact_at[of], INTEGER_BYTES[contact_type], rows.contact),
    ]
    return _cells(stored, of, zip(days_at, shared.days(index), strict=True), which, fields)


def due_cells(rows: Rows, shared: Shared, max_bytes: int) -> Cells:
    """Cells of an index over columns by which the rows are sorted. shared: those columns."""
    rowid = rowids(len(rows.index))
    id_type = serial_types(rowid)
    which, first = _runs(rows.starts, id_type)
    return _index_cells(which, rows.index[first], [(id_type[first], rowid)], shared, 0, max_bytes)


def key_cells(
    contact: Int32 | Int64, rowid: Int32 | Int64, group: Int32 | Int64, shared: Shared, max_bytes: int
) -> Cells:
    """Cells of an index over the contact and shared columns, in its order.

    contact, rowid: of each row. group: from 0 on, equal where the shared columns are; shape (n,).
    """
    if int(group.max()) >= MAX_GROUPS:
        raise CannotBuildError
    contact_type, id_type = serial_types(contact), serial_types(rowid)
    kind = (group.astype(np.int32) * _TYPES + contact_type) * _TYPES + id_type
    row_of = np.full(int(kind.max()) + 1, -1, np.int32)
    row_of[kind] = np.arange(len(kind), dtype=np.int32)
    used = np.flatnonzero(row_of >= 0)
    code = np.zeros(len(row_of), np.int32)
    code[used] = np.arange(len(used))
    first = row_of[used]
    varying = [(contact_type[first], contact), (id_type[first], rowid)]
    return _index_cells(code[kind], first, varying, shared, 1, max_bytes)


def _index_cells(
    which: Int32,
    index: Int32,
    varying: list[tuple[Int8, Int32 | Int64]],
    shared: Shared,
    before: int,
    max_bytes: int,
) -> Cells:
    """index: the desired row of each template. varying: serial types of each template and values of each cell, the rowid
    last; before: how many stand in front."""
    alike, of = _alike(*(types for types, _ in varying), *shared.columns(index))
    stored, at = [], []
    kinds = zip(*(types[alike].tolist() for types, _ in varying), strict=True)
    for types, values in zip(kinds, shared.values(index[alike]), strict=True):
        places = [Place(kind) for kind in types]
        bytes_, found = record((*places[:before], *values, *places[before:]))
        size = varint(_fitting(len(bytes_), max_bytes))
        stored.append(size + bytes_)
        at.append([len(size) + place for place in found])
    days = shared.days(index)
    places_of = list(np.array(at, np.int32).T)
    days_at = places_of[before : before + len(days)]
    numbers_at = places_of[:before] + places_of[before + len(days) :]
    fields = [
        Field(place[of], INTEGER_BYTES[types], values)
        for place, (types, values) in zip(numbers_at, varying, strict=True)
    ]
    return _cells(stored, of, zip(days_at, days, strict=True), which, fields)


def _alike(*columns: Int8 | Codes | Numbers | Bool) -> tuple[Int64, Int64]:
    """The first of each different row of the columns, and which of these each row is like."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        if (column != column[0]).any():
            values, rank = np.unique(column, return_inverse=True)
            code = np.unique(code * len(values) + rank, return_inverse=True)[1]
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    return first, which


def _cells(
    stored: list[bytes], of: Int64, days: Iterable[tuple[Int32, Int32]], which: Int32, fields: list[Field]
) -> Cells:
    """Cells whose templates are made of few records. of: the record of each template. days: where in each record a day
    stands, and that of each template."""
    widest = max(map(len, stored))
    joined = np.frombuffer(b"".join(bytes_.ljust(widest, b"\0") for bytes_ in stored), np.uint8)
    templates = joined.reshape(len(stored), widest)[of]
    flat, start = templates.reshape(-1), np.arange(len(of)) * widest
    for at, day in days:
        text, place = _texts(day), start + at[of]
        for index in range(DAY_BYTES):
            flat[place + index] = text[:, index]
    size = np.array([len(bytes_) for bytes_ in stored], np.int32)
    return Cells(templates, size[of], which, fields)


def _texts(days: Int32) -> UInt8:
    """Each day in ISO 8601, shape (n, DAY_BYTES)."""
    different, which = np.unique(days, return_inverse=True)
    joined = "".join([iso_day(day) for day in different.tolist()]).encode()
    texts: UInt8 = np.frombuffer(joined, np.uint8).reshape(len(different), DAY_BYTES)[which]
    return texts


def _fitting(size: int, max_bytes: int) -> int:
    if size > max_bytes:
        raise CannotBuildError
    return size


def _runs(starts: Bool, *columns: Int8) -> tuple[Int32, Int64]:
    """The run of each row, and the first row of each: a new one starts where `starts` says or a column changes."""
    new = starts.copy()
    new[0] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    which = np.cumsum(new, dtype=np.int32)
    which -= 1
    return which, np.flatnonzero(new)
