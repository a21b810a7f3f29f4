"""SQLite's changeset format (https://www.sqlite.org/session/intro.html): bytes of its tables, values and changes.

A change is the operation, a zero (not indirect), and one record (insert, delete) or two (update: old, then new) with a
value for each column. No numpy.
"""

import json
import struct
from collections.abc import Sequence
from functools import lru_cache

INSERT, UPDATE, DELETE = b"\x12\x00", b"\x17\x00", b"\x09\x00"
NOTE_TABLE = "mailtide_changeset"
"""A table that no database has: SQLite passes over it, and `mailtide sync apply` reads there what the changeset is."""
NOTE_FORMAT = 1
UNDEFINED, NULL = b"\x00", b"\x05"
INTEGER_BYTES = 9
"""Of an integer: its type, then 64 bits, big-endian."""


class RawText(bytes):
    """The bytes of a text that is not valid UTF-8."""


type Value = int | float | str | bytes | None
type Row = Sequence[Value]


def table_header(name: str, key: Sequence[bool]) -> bytes:
    """What stands before the changes of a table. key: of each column, whether it is the primary key."""
    return b"T" + _varint(len(key)) + bytes(key) + name.encode() + b"\x00"


def value(content: Value) -> bytes:
    """One value of a record."""
    if content is None:
        return NULL
    if isinstance(content, int):
        return b"\x01" + struct.pack(">q", content)
    if isinstance(content, float):
        return b"\x02" + struct.pack(">d", content)
    return _bytes(content)


@lru_cache(1 << 16, typed=True)
def _bytes(content: str | bytes) -> bytes:
    body = content.encode() if isinstance(content, str) else content
    return (b"\x03" if isinstance(content, str | RawText) else b"\x04") + _varint(len(body)) + body


def record(row: Row) -> bytes:
    """A record with a value for every column."""
    return b"".join(map(value, row))


def note_of(run: str, previous_run: str | None, as_of: str, columns: list[str]) -> bytes:
    """The first change of a file, which says what it is: an insert into NOTE_TABLE of the run (the key), NOTE_FORMAT, the run
    before it, the day, and the columns of email_schedules as JSON."""
    row = (run, NOTE_FORMAT, previous_run, as_of, json.dumps(columns))
    return table_header(NOTE_TABLE, [index == 0 for index in range(len(row))]) + INSERT + record(row)


def update(old: Row, new: Row, key: int, guard: int | None) -> bytes:
    """An update of one row: its key, its columns that differ, and the guard column in any case.

    key, guard: indexes of columns; guard None: every column. The guard is written as it is, so that whoever applies the
    change by SQLite's own means meets a conflict where the other side has changed that column.
    """
    before, after = [], []
    for index, (was, becomes) in enumerate(zip(old, new, strict=True)):
        differs = guard is None or index == guard or was != becomes or type(was) is not type(becomes)
        before.append(value(was) if differs or index == key else UNDEFINED)
        after.append(value(becomes) if differs and index != key else UNDEFINED)
    return b"".join((UPDATE, *before, *after))


def _varint(number: int) -> bytes:
    """SQLite's variable-length integer, up to 56 bits."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))
