"""The changeset that a pass leaves: what it changed in email_schedules and scheduler_runs, in SQLite's changeset format.

SQLite's session extension is not used: rows that go into the file as whole b-trees never pass it, and its updates say
nothing of the columns that stay, so that one could overwrite a mail that was sent meanwhile (docs/sync.md).
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import apsw
import numpy as np

from mailtide.database.changeset_format import (
    DELETE,
    INSERT,
    INTEGER_BYTES,
    RawText,
    Row,
    Value,
    note_of,
    record,
    table_header,
    update,
    value,
)
from mailtide.database.differences import Differences
from mailtide.database.grouping import grouped
from mailtide.database.run_tables import Column, columns_of, last_run
from mailtide.database.schedules_schema import Preparation
from mailtide.database.untrusted import clear_errors, quoted
from mailtide.database.write import CONSTANTS, RowConstants, RunRow
from mailtide.errors import DatabaseError
from mailtide.rules.columns import Desired, Int64

NO_KEY = "The ids of email_schedules are no integer primary key, so its changes cannot be told as a changeset."
_DEFAULTS = {"campaign_instance_id": 0}
"""Of columns that an older table lacks: what the pass gives the rows that stand."""
_PARTS = ("event_year", "event_month", "event_day")
_INTEGERS = frozenset({"id", "contact_id", "priority", "campaign_instance_id", *_PARTS})
_TEMPORAL = frozenset({"event_date", "scheduled_send_date", "scheduled_send_time"})
_BATCH_ROWS = 20_000
_BLOCK_ROWS = 200_000


class Opener(Protocol):
    """Where the database as it was can still be read."""

    def open(self) -> apsw.Connection:
        """A connection of its own."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes the changeset of one pass, once it has written its differences.

    path: of the changeset to be. before: the database as it was. preparation: the tables' names. ids: contact ids, ascending.
    """

    path: Path
    before: Opener
    preparation: Preparation
    ids: Int64
    desired: Desired
    differences: Differences
    send_time: str

    def record(self, connection: apsw.Connection, run: RunRow) -> None:
        """Tell what was changed on a connection. New rows may still be on their way where they do not go through SQLite.

        Raises DatabaseError where rows have no key of their own.
        """
        with clear_errors(), self.path.open("wb") as sink, closing(self.before.open()) as before:
            columns = columns_of(connection, self.preparation.schedules)
            names = [column.name.lower() for column in columns]
            sink.write(note_of(run.run_id, last_run(before, self.preparation.runs), run.as_of.isoformat(), names))
            _Writer(self, sink, before, connection, columns, run).write()
            _write_run(sink, connection, self.preparation.runs, run)


class _Writer:
    """Writes the changes of email_schedules: deletes, updates, inserts."""

    def __init__(
        self,
        what: Recorder,
        sink: IO[bytes],
        before: apsw.Connection,
        after: apsw.Connection,
        columns: list[Column],
        run: RunRow,
    ) -> None:
        self._what, self._sink, self._run, self._columns = what, sink, run, columns
        table = what.preparation.schedules
        self._names = [column.name.lower() for column in columns]
        self._key, self._guard = self._names.index("id"), self._names.index("status")
        self._old, self._new = _Table(before, table, self._names), _Table(after, table, self._names)

    def write(self) -> None:
        """All of them."""
        key = [index == self._key for index in range(len(self._names))]
        self._sink.write(table_header(self._what.preparation.schedules, key))
        found = self._what.differences
        first = self._old.highest_but(found.delete) + 1
        new_ids = first + np.arange(len(found.insert), dtype=np.int64)
        # SQLite gives the ids of the last deleted rows away again, and a changeset has one change for each id.
        reused = np.intersect1d(new_ids, found.delete, assume_unique=True)
        self._write_gone(np.setdiff1d(found.delete, reused, assume_unique=True))
        self._write_changed(found.update_row, whole=False)
        self._write_changed(reused, whole=True)
        self._write_new(new_ids, reused)

    def _write_gone(self, wanted: Int64) -> None:
        for ids in _batches(wanted):
            self._sink.writelines(DELETE + record(row) for row in self._old.rows(ids).values())

    def _write_changed(self, wanted: Int64, *, whole: bool) -> None:
        """whole: with every column, as the row is another one."""
        for ids in _batches(wanted):
            old, new = self._old.rows(ids), self._new.rows(ids)
            self._sink.writelines(
                update(row, new[row_id], self._key, None if whole else self._guard) for row_id, row in old.items()
            )

    def _write_new(self, new_ids: Int64, reused: Int64) -> None:
        what = self._what
        if not _as_given(self._columns):
            fresh = np.setdiff1d(new_ids, reused, assume_unique=True)
            for ids in _batches(fresh):
                self._sink.writelines(INSERT + record(row) for row in self._new.rows(ids).values())
            return
        if not len(new_ids):
            return
        order, starts = grouped(what.desired, what.differences.insert)
        wanted = what.differences.insert[order]
        constants = RowConstants(what.desired, what.send_time, self._run.stamp)
        firsts = wanted[starts]
        ends = [*starts[1:].tolist(), len(order)]
        is_fresh = ~np.isin(new_ids, reused)
        for start, end, index, shared in zip(starts.tolist(), ends, firsts.tolist(), constants.of(firsts), strict=True):
            known = dict(zip(CONSTANTS, shared, strict=True)) | {"created_at": self._run.stamp[1]}
            known |= dict(zip(_PARTS, constants.parts(index, _PARTS), strict=True))
            rows = np.flatnonzero(is_fresh[start:end]) + start
            self._write_alike(known, new_ids[rows], what.ids[what.desired.contact[wanted[rows]]])

    def _write_alike(self, known: dict[str, Any], ids: Int64, contacts: Int64) -> None:
        """New rows that differ in id and contact only, as blocks of bytes; a column that is not known is NULL."""
        row, at = bytearray(INSERT), {}
        for name in self._names:
            at[name] = slice(len(row) + 1, len(row) + INTEGER_BYTES)
            row += value(0 if name in ("id", "contact_id") else known.get(name))
        for start in range(0, len(ids), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            block = np.tile(np.frombuffer(row, np.uint8), (len(ids[part]), 1))
            for name, numbers in (("id", ids[part]), ("contact_id", contacts[part])):
                block[:, at[name]] = numbers.astype(">i8").view(np.uint8).reshape(-1, INTEGER_BYTES - 1)
            self._sink.write(block.tobytes())


class _Table:
    """Rows of email_schedules by id, as they look when the pass has added the columns that the table lacks."""

    def __init__(self, connection: apsw.Connection, table: str, names: list[str]) -> None:
        self._connection, self._table = connection, f"main.{quoted(table)}"
        self._columns = {column.name.lower() for column in columns_of(connection, table)}
        self._names, self._key = names, names.index("id")

    def highest_but(self, gone: Int64) -> int:
        """The highest id of a row that is not gone; 0 without one."""
        if "id" not in self._columns:
            return 0
        # SQLite takes no empty array; the least of all integers is nobody's id.
        without = apsw.carray(np.append(gone, np.iinfo(np.int64).min))
        statement = (
            f"SELECT id FROM {self._table} WHERE id NOT IN (SELECT value FROM carray(?)) ORDER BY id DESC LIMIT 1"
        )
        found = self._connection.execute(statement, (without,)).get
        return found if isinstance(found, int) else 0

    def rows(self, ids: Int64) -> dict[int, Row]:
        """The rows with these ids, in the order of their ids. DatabaseError when one is missing."""
        if not len(ids):
            return {}
        wanted = np.sort(ids)
        try:
            found = self._read([self._plain(name) for name in self._names], wanted)
        except UnicodeDecodeError:
            found = self._read_bytes(wanted)
        if len(found) != len(ids):
            raise DatabaseError(NO_KEY)
        return found

    def _plain(self, name: str) -> str:
        return quoted(name) if name in self._columns else str(_DEFAULTS.get(name, "NULL"))

    def _read(self, fields: list[str], wanted: Int64) -> dict[int, Any]:
        statement = f"SELECT id, {', '.join(fields)} FROM {self._table} WHERE id IN (SELECT value FROM carray(?))"
        rows = self._connection.execute(statement, (apsw.carray(wanted),))
        return {row[0]: row[1:] for row in rows}

    def _read_bytes(self, wanted: Int64) -> dict[int, Row]:
        """Rows that hold broken text: a changeset carries the bytes of what is no UTF-8 as they are."""
        fields = []
        for field in map(self._plain, self._names):
            fields += [
                f"typeof({field})",
                f"CASE typeof({field}) WHEN 'text' THEN CAST({field} AS BLOB) ELSE {field} END",
            ]
        codec = {"UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}.get(self._connection.pragma("encoding"))
        found = self._read(fields, wanted)
        return {
            row_id: tuple(_told(row[at], row[at + 1], codec) for at in range(0, len(row), 2))
            for row_id, row in found.items()
        }


def _told(kind: str, content: Value, codec: str | None) -> Value:
    """A value of a row with broken text; SQLite itself has no UTF-8 of what is broken in UTF-16."""
    if kind != "text" or not isinstance(content, bytes):
        return content
    return RawText(content) if codec is None else content.decode(codec, errors="replace")


def _batches(ids: Int64) -> Iterator[Int64]:
    return (ids[start : start + _BATCH_ROWS] for start in range(0, len(ids), _BATCH_ROWS))


def _as_given(columns: list[Column]) -> bool:
    """Whether a new row holds just what was written: no default fills a column, no affinity changes a value."""
    written = {"id", "contact_id", "created_at", *CONSTANTS, *_PARTS}
    return all(_keeps(column) and (column.name.lower() in written or not column.has_default) for column in columns)


def _keeps(column: Column) -> bool:
    name = column.name.lower()
    if name in _INTEGERS:
        return column.affinity in ("INTEGER", "NUMERIC", "BLOB")
    return name in _TEMPORAL or column.affinity in ("TEXT", "BLOB")


def _write_run(sink: IO[bytes], connection: apsw.Connection, table: str, run: RunRow) -> None:
    names = [column.name for column in columns_of(connection, table)]
    key = [name.lower() == "run_id" for name in names]
    fields = ", ".join(map(quoted, names))
    rows: list[Any] = connection.execute(
        f"SELECT {fields} FROM main.{quoted(table)} WHERE run_id = ?", (run.run_id,)
    ).fetchall()
    sink.write(table_header(table, key))
    sink.writelines(INSERT + record(row) for row in rows)
