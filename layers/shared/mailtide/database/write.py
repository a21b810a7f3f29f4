"""Writing the differences and the run's row in one transaction (spec §9, §10)."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import apsw
import numpy as np

from mailtide.database.differences import Differences
from mailtide.database.grouping import grouped
from mailtide.database.schedules_schema import DUE_INDEX, KEY_INDEX, RUN_COLUMNS, Preparation
from mailtide.database.schema import Schema
from mailtide.database.untrusted import clear_errors, quoted
from mailtide.rules.columns import NO_CODE, Desired, Int32, Int64

_EPOCH = date(1970, 1, 1)
CONSTANTS = (
    "email_type", "event_date", "scheduled_send_date", "scheduled_send_time", "status", "skip_reason", "priority",
    "campaign_instance_id", "email_template", "sms_template", "scheduler_run_id", "updated_at",
)  # fmt: skip
_IN_KEY_INDEX = ("email_type", "event_date", "status", "campaign_instance_id")
"""Columns of the index by key, but for the contact, and the one that says which rows it holds."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """The run's row in scheduler_runs, but for what the writer itself counts."""

    run_id: str
    as_of: date
    rules_sha256: str
    contacts: int
    eligible: int
    skipped_contacts: dict[str, int]
    started_at: datetime
    seconds: float
    """Since the start, measured when the row is written."""

    @property
    def stamp(self) -> tuple[str, str]:
        """What each written row bears: the run's id, and when it started."""
        return self.run_id, timestamp(self.started_at)


def timestamp(moment: datetime) -> str:
    """UTC in ISO 8601 to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_differences(
    connection: apsw.Connection,
    schema: Schema,
    preparation: Preparation,
    ids: Int64,
    desired: Desired,
    differences: Differences,
    send_time: str,
    run: RunRow,
    *,
    insert: bool = True,
    before_commit: Callable[[], None] = lambda: None,
) -> None:
    """Bring the tables into shape, delete, update, insert, and add the run's row: one transaction, or nothing.

    insert: False where the new rows are added otherwise, afterwards. before_commit: called last; what it raises undoes all.
    Raises DatabaseError when a constraint of the table refuses a row.
    """
    with clear_errors():
        connection.authorizer = _Guard(preparation)
        connection.execute("BEGIN IMMEDIATE")
        try:
            _write(connection, schema, preparation, ids, desired, differences, send_time, run, insert=insert)
            before_commit()
            connection.execute("COMMIT")
        except BaseException:
            if not connection.get_autocommit():
                connection.execute("ROLLBACK")
            raise


class _Guard:
    """An authorizer that lets nothing but our own tables change, whatever SQL stands in the file's schema."""

    def __init__(self, preparation: Preparation) -> None:
        self._tables = {preparation.schedules.lower(), preparation.runs.lower(), "email_schedules_rebuilt_by_mailtide"}
        self._tables |= {"sqlite_master", "sqlite_schema", "sqlite_sequence", "sqlite_temp_master"}

    def __call__(self, action: int, first: str | None, second: str | None, schema: str | None, _: str | None) -> int:
        if action in (apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH, apsw.SQLITE_CREATE_VTABLE, apsw.SQLITE_DROP_VTABLE):
            return apsw.SQLITE_DENY
        if action in (apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE, apsw.SQLITE_DROP_TABLE):
            return apsw.SQLITE_OK if (first or "").lower() in self._tables or schema == "temp" else apsw.SQLITE_DENY
        if action == apsw.SQLITE_FUNCTION and (second or "").lower() in ("load_extension", "fts3_tokenizer"):
            return apsw.SQLITE_DENY
        return apsw.SQLITE_OK


def _write(
    connection: apsw.Connection,
    schema: Schema,
    preparation: Preparation,
    ids: Int64,
    desired: Desired,
    differences: Differences,
    send_time: str,
    run: RunRow,
    *,
    insert: bool,
) -> None:
    before, after = list(preparation.before_rows), list(preparation.after_rows)
    standing = len(differences.update_row) + len(differences.delete) + differences.unchanged
    if 2 * len(differences.insert) > standing and not after:
        # Most rows are new: sorting them once into a new index is faster than one by one into the old.
        rows: list[Any] = connection.execute(
            "SELECT name, sql FROM main.sqlite_schema WHERE name IN (?, ?)", (KEY_INDEX, DUE_INDEX)
        ).fetchall()
        before += [f"DROP INDEX main.{name}" for name, _ in rows]
        after += [sql for _, sql in rows]
    for statement in before:
        connection.execute(statement).fetchall()
    _delete(connection, preparation.schedules, differences.delete)
    writer = _RowWriter(connection, schema, preparation.schedules, desired, send_time, run.stamp)
    writer.update(differences.update_row, differences.update_to)
    if insert:
        writer.insert(differences.insert, ids)
    for statement in after:
        connection.execute(statement).fetchall()
    _add_run(connection, preparation.runs, differences, run)


def _delete(connection: apsw.Connection, table: str, rows: Int64) -> None:
    if len(rows):
        connection.execute(
            f"DELETE FROM main.{quoted(table)} WHERE id IN (SELECT value FROM carray(?))", (apsw.carray(rows),)
        )


class RowConstants:
    """The values of a row but for the contact, in the order of CONSTANTS; most are shared by many rows."""

    def __init__(self, desired: Desired, send_time: str, stamp: tuple[str, str]) -> None:
        """stamp: run id and the time that is written as created and updated."""
        self._desired, self._send_time, self.stamp = desired, send_time, stamp
        self._day = lru_cache(None)(lambda day: (_EPOCH + timedelta(days=day)).isoformat())

    def of(self, indexes: Int32 | Int64) -> Iterator[tuple[Any, ...]]:
        """Of each desired row with the given indexes."""
        rows = self._desired
        columns = (
            rows.email_type, rows.event, rows.send, rows.skip_reason, rows.priority, rows.campaign,
            rows.email_template, rows.sms_template,
        )  # fmt: skip
        for kind, event, send, reason, priority, campaign, email, sms in zip(
            *(column[indexes].tolist() for column in columns), strict=True
        ):
            yield (
                rows.types[kind],
                self._day(event),
                self._day(send),
                self._send_time,
                "pre-scheduled" if reason == NO_CODE else "skipped",
                None if reason == NO_CODE else rows.reasons[reason],
                priority,
                campaign,
                _template(rows, email),
                _template(rows, sms),
                *self.stamp,
            )

    def parts(self, index: int, names: Sequence[str]) -> Iterator[int]:
        """Parts of the event date, as an older table keeps them too."""
        event = _EPOCH + timedelta(days=int(self._desired.event[index]))
        values = {"event_year": event.year, "event_month": event.month, "event_day": event.day}
        return (values[name] for name in names)


class _RowWriter:
    """Writes rows in groups that differ in nothing but the contact, so that SQLite loops and Python does not."""

    def __init__(
        self,
        connection: apsw.Connection,
        schema: Schema,
        table: str,
        desired: Desired,
        send_time: str,
        stamp: tuple[str, str],
    ) -> None:
        self._connection, self._table, self._desired = connection, f"main.{quoted(table)}", desired
        self._constants = RowConstants(desired, send_time, stamp)
        found = schema.get("email_schedules")
        # An older table keeps its parts of the event date too, and may demand them.
        self._parts = [part for part in ("event_year", "event_month", "event_day") if found and part in found.columns]

    def update(self, rows: Int64, to: Int32) -> None:
        """Set all but the contact, the id and the creation time. rows: row ids; to: indexes into Desired."""
        columns = (*CONSTANTS, *self._parts)
        where = f"{self._table} NOT INDEXED SET {{}} WHERE id IN (SELECT value FROM carray(?))"
        # What is set counts as changed, and nearly each row has a page of the index by key to itself. Most rows have their key.
        others = [at for at, name in enumerate(columns) if name not in _IN_KEY_INDEX]
        key = [columns.index(name) for name in _IN_KEY_INDEX]
        same = " AND ".join(f"{name} COLLATE BINARY IS ?" for name in _IN_KEY_INDEX)
        most = f"UPDATE {where.format(', '.join(f'{columns[at]} = ?' for at in others))} AND {same}"
        rest = f"UPDATE {where.format(', '.join(f'{name} = ?' for name in columns))} AND NOT ({same})"
        for constants, members in self._groups(to):
            array, its_key = apsw.carray(np.ascontiguousarray(rows[members])), [constants[at] for at in key]
            self._connection.execute(most, (*(constants[at] for at in others), array, *its_key))
            if self._connection.changes() < len(members):
                self._connection.execute(rest, (*constants, array, *its_key))

    def insert(self, wanted: Int32, ids: Int64) -> None:
        """Insert desired rows, by send date and contact. wanted: indexes into Desired; ids: contact ids."""
        columns = (*CONSTANTS, *self._parts, "created_at", "contact_id")
        statement = (
            f"INSERT INTO {self._table} ({', '.join(columns)}) "
            f"SELECT {', '.join('?' for _ in columns[:-1])}, value FROM carray(?)"
        )
        for constants, members in self._groups(wanted):
            contacts = np.ascontiguousarray(ids[self._desired.contact[wanted[members]]])
            self._connection.execute(statement, (*constants, self._constants.stamp[1], apsw.carray(contacts)))

    def _groups(self, wanted: Int32) -> Iterator[tuple[tuple[Any, ...], Int32]]:
        """The constants of each group, and the positions in `wanted` of its rows, in their order."""
        if not len(wanted):
            return
        order, starts = grouped(self._desired, wanted)
        ends = [*starts[1:].tolist(), len(order)]
        firsts = wanted[order[starts]]
        for start, end, index, shared in zip(
            starts.tolist(), ends, firsts.tolist(), self._constants.of(firsts), strict=True
        ):
            yield (*shared, *self._constants.parts(index, self._parts)), order[start:end]


def _template(rows: Desired, code: int) -> str | None:
    return None if code == NO_CODE else rows.templates[code]


def _add_run(connection: apsw.Connection, table: str, differences: Differences, run: RunRow) -> None:
    values = (
        run.run_id,
        run.as_of.isoformat(),
        run.rules_sha256,
        run.contacts,
        run.eligible,
        json.dumps(run.skipped_contacts, sort_keys=True),
        len(differences.insert),
        len(differences.update_row),
        len(differences.delete),
        differences.unchanged,
        round(run.seconds, 3),
        timestamp(run.started_at),
        timestamp(run.started_at + timedelta(seconds=run.seconds)),
        "done",
    )
    names, marks = ", ".join(RUN_COLUMNS), ", ".join("?" for _ in RUN_COLUMNS)
    connection.execute(f"INSERT OR REPLACE INTO main.{quoted(table)} ({names}) VALUES ({marks})", values)
