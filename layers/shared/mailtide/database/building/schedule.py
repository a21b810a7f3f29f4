"""The first schedule of a file: email_schedules and its two indexes as cells, from the desired rows (spec §10)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mailtide.database.building.cells import Cells, Field
from mailtide.database.building.encode import INTEGER_BYTES, Place, record, serial_types, varint, varint_bytes
from mailtide.rules.columns import Bool, Int32, Int64

MAX_GROUPS = 1 << 17
"""Of `key_cells`."""
_TYPES = 10
_OWN = 3
"""How many of the columns behind the contact differ from most groups to the next: type, event and send date."""

type Value = str | int | Place | None
type Constants = Callable[[Int32 | Int64], Iterable[Sequence[Value]]]
"""Of each desired row with the given indexes: the columns that it shares with its group, in the order of the record."""


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


def narrow(values: Int64) -> Int32 | Int64:
    """The same integers in half the memory, where they fit."""
    fits = len(values) and np.iinfo(np.int32).min <= values.min() and values.max() <= np.iinfo(np.int32).max
    return values.astype(np.int32) if fits else values


def table_cells(rows: Rows, constants: Constants, max_bytes: int) -> Cells:
    """Cells of a table whose first column is its rowid, and its second the contact. constants: all columns behind these."""
    rowid = narrow(np.arange(1, len(rows.index) + 1, dtype=np.int64))
    contact_type, id_bytes = serial_types(rows.contact), varint_bytes(rowid)
    which, first = _runs(rows.starts, contact_type, id_bytes)
    contact_type, id_bytes = contact_type[first], id_bytes[first]
    templates, contact_at, id_at = [], [], []
    of_runs = zip(contact_type.tolist(), id_bytes.tolist(), constants(rows.index[first]), strict=True)
    for kind, width, shared in of_runs:
        bytes_, (place,) = record((None, Place(kind), *shared[:_OWN]), tuple(shared[_OWN:]))
        size = varint(_fitting(len(bytes_), max_bytes))
        templates.append(size + bytes(width) + bytes_)
        id_at.append(len(size))
        contact_at.append(len(size) + width + place)
    fields = [
        Field(np.array(id_at, np.int32), id_bytes, rowid, is_varint=True),
        Field(np.array(contact_at, np.int32), INTEGER_BYTES[contact_type], rows.contact),
    ]
    return Cells.of(templates, which, fields)


def due_cells(rows: Rows, constants: Constants, max_bytes: int) -> Cells:
    """Cells of an index over columns by which the rows are sorted. constants: those columns."""
    rowid = narrow(np.arange(1, len(rows.index) + 1, dtype=np.int64))
    id_type = serial_types(rowid)
    which, first = _runs(rows.starts, id_type)
    varying = [(id_type[first], rowid)]
    return _index_cells(which, varying, constants(rows.index[first]), 0, max_bytes)


def key_cells(
    contact: Int32 | Int64, rowid: Int32 | Int64, group: Int32 | Int64, constants: Constants, max_bytes: int
) -> Cells:
    """Cells of an index over the contact and constant columns, in its order.

    contact, rowid: of each row. group: from 0 on, equal where the constants are; shape (n,).
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
    return _index_cells(code[kind], varying, constants(first), 1, max_bytes)


def _index_cells(
    which: Int32,
    varying: list[tuple[Int32, Int32 | Int64]],
    constants: Iterable[Sequence[Value]],
    before: int,
    max_bytes: int,
) -> Cells:
    """varying: serial types of each template and values of each cell, the rowid last; before: how many stand in front."""
    templates, at = [], []
    kinds = zip(*(types.tolist() for types, _ in varying), strict=True)
    for types, shared in zip(kinds, constants, strict=True):
        places = [Place(kind) for kind in types]
        bytes_, found = record((*places[:before], *shared, *places[before:]))
        size = varint(_fitting(len(bytes_), max_bytes))
        templates.append(size + bytes_)
        at.append([len(size) + place for place in found])
    places_of = np.array(at, np.int32).T
    fields = [
        Field(place, INTEGER_BYTES[types], values) for place, (types, values) in zip(places_of, varying, strict=True)
    ]
    return Cells.of(templates, which, fields)


def _fitting(size: int, max_bytes: int) -> int:
    if size > max_bytes:
        raise CannotBuildError
    return size


def _runs(starts: Bool, *columns: Int32) -> tuple[Int32, Int64]:
    """The run of each row, and the first row of each: a new one starts where `starts` says or a column changes."""
    new = starts.copy()
    new[0] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.cumsum(new, dtype=np.int32) - np.int32(1), np.flatnonzero(new)
