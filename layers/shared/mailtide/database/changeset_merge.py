"""Bringing changes into a database that others write to as well: their history always wins. No numpy.

SQLite applies the changes itself (https://www.sqlite.org/session/sqlite3changeset_apply.html) and asks about those that
meet another row than they expect. A row that is still planned is overwritten, any other row stays as it is, and a new row
whose id is taken gets another. In the end no new row stands beside a mail that the database has in its history under the
same key (spec §4, §9).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import apsw

from mailtide.database.changeset_format import Value
from mailtide.database.run_tables import columns_of
from mailtide.database.schedules_schema import Preparation
from mailtide.database.untrusted import clear_errors, quoted
from mailtide.errors import DatabaseError

PLANNED = ("pre-scheduled", "skipped")
_HELD = """DELETE FROM main.{0} WHERE id IN (
    SELECT planned.id FROM main.{0} AS other CROSS JOIN main.{0} AS planned
    WHERE lower(trim(other.status)) NOT IN ('pre-scheduled', 'skipped')
    AND planned.status IN ('pre-scheduled', 'skipped') AND planned.contact_id = other.contact_id
    AND planned.email_type = other.email_type AND planned.event_date = other.event_date
    AND coalesce(other.campaign_instance_id, 0) IN (0, planned.campaign_instance_id){1})"""
_OF_RUN = " AND planned.scheduler_run_id = ?"


@dataclass(frozen=True, slots=True)
class Note:
    """What a changeset is. columns: of email_schedules, lower-cased, in order."""

    run: str
    previous_run: str | None
    as_of: str
    columns: tuple[str, ...]


@dataclass(slots=True)
class Applied:
    """What came of a changeset; counts of rows of email_schedules.

    kept: changes that the database's own history, or its cancelled and failed mails, overruled. replaced: planned rows that
    had been changed here. moved: new rows that got another id. gone: changes of rows that are not here any more.
    """

    run: str
    as_of: str
    already: bool = False
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    kept: int = 0
    replaced: int = 0
    moved: int = 0
    gone: int = 0


def limited(file: BinaryIO) -> Callable[[int], bytes]:
    """How SQLite reads a changeset from a file, in pieces of at most 1 MiB."""
    return lambda size: file.read(min(size, 1 << 20))


class Merge:
    """One transaction that brings the changeset of a run in."""

    def __init__(self, connection: apsw.Connection, preparation: Preparation, note: Note, done: Applied) -> None:
        self._connection, self._preparation, self._note, self._done = connection, preparation, note, done
        self._later: list[dict[str, Value]] = []
        self._status = note.columns.index("status") if "status" in note.columns else 0
        self._key = note.columns.index("id") if "id" in note.columns else 0
        self._overruled = {"INSERT": 0, "UPDATE": 0, "DELETE": 0}

    def apply(self, changes: BinaryIO) -> None:
        """All of it, or nothing. DatabaseError when it does not fit."""
        with clear_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._apply(changes)
                self._connection.execute("COMMIT")
            except BaseException:
                if not self._connection.get_autocommit():
                    self._connection.execute("ROLLBACK")
                raise

    def _apply(self, changes: BinaryIO) -> None:
        table = self._preparation.schedules
        self._run_all(self._preparation.before_rows)
        names = tuple(column.name.lower() for column in columns_of(self._connection, table))
        if names[: len(self._note.columns)] != self._note.columns:
            raise DatabaseError(f"The columns of {table} are not those of the database that the changeset is from.")
        with _readable():
            self._bring(limited(changes))
        self._insert_later()
        self._run_all(self._preparation.after_rows)
        held = self._remove_held()
        self._done.kept += held
        self._overruled["INSERT"] += held
        self._count()

    def _bring(self, changes: Callable[[int], bytes]) -> None:
        apsw.Changeset.apply(
            changes,
            self._connection,
            filter=self._is_ours,
            conflict=self._decide,
            flags=apsw.SQLITE_CHANGESETAPPLY_NOSAVEPOINT,
        )

    def _remove_held(self) -> int:
        """Delete the run's rows whose mail the database has in its history; how many."""
        return self._changed(self._held_by(_OF_RUN), (self._note.run,))

    def _held_by(self, condition: str) -> str:
        return _HELD.format(quoted(self._preparation.schedules), condition)

    def _run_all(self, statements: list[str]) -> None:
        for statement in statements:
            self._connection.execute(statement).fetchall()

    def _changed(self, statement: str, values: tuple[Value, ...]) -> int:
        before = self._connection.total_changes()
        self._connection.execute(statement, values).fetchall()
        return self._connection.total_changes() - before

    def _is_ours(self, table: str) -> bool:
        return table.lower() in {self._preparation.schedules.lower(), self._preparation.runs.lower()}

    def _decide(self, reason: int, change: apsw.TableChange) -> int:
        """What becomes of a change that meets another row than it expects."""
        if change.name.lower() == self._preparation.runs.lower():
            return apsw.SQLITE_CHANGESET_OMIT
        if reason == apsw.SQLITE_CHANGESET_NOTFOUND:
            self._done.gone += 1
            return self._omit(change)
        if reason == apsw.SQLITE_CHANGESET_DATA:
            return self._meet(change)
        if change.op == "INSERT" and reason in (apsw.SQLITE_CHANGESET_CONFLICT, apsw.SQLITE_CHANGESET_CONSTRAINT):
            self._later.append(self._named(change.new))
            return apsw.SQLITE_CHANGESET_OMIT
        return apsw.SQLITE_CHANGESET_ABORT

    def _omit(self, change: apsw.TableChange) -> int:
        self._overruled[change.op] += 1
        return apsw.SQLITE_CHANGESET_OMIT

    def _meet(self, change: apsw.TableChange) -> int:
        """A row that was changed here since: planned rows are this run's, all others are the database's own."""
        status = self._status_here(change)
        if isinstance(status, str) and status.strip().lower() in PLANNED:
            self._done.replaced += 1
            return apsw.SQLITE_CHANGESET_REPLACE
        new: Any = change.new
        if change.op == "UPDATE" and new and all(value is not apsw.no_change for value in new[1:]):
            # The id of a deleted row, given to a new one: the old row stays, the new one needs another id.
            self._later.append(self._named(change.new))
        self._done.kept += 1
        return self._omit(change)

    def _status_here(self, change: apsw.TableChange) -> object:
        try:
            return change.conflict[self._status] if change.conflict else None
        except UnicodeDecodeError:
            # Somewhere in the row is broken text, which is no reason to give up on it.
            row_id: Any = change.old[self._key] if change.old else None
            statement = f"SELECT CAST(status AS BLOB) FROM main.{quoted(self._preparation.schedules)} WHERE id = ?"
            found = self._connection.execute(statement, (row_id,)).get
            return found.replace(b"\0", b"").decode(errors="replace") if isinstance(found, bytes) else None

    def _named(self, row: tuple[Any, ...] | None) -> dict[str, Value]:
        return dict(zip(self._note.columns, row or (), strict=False))

    def _insert_later(self) -> None:
        """New rows whose id is taken here; a planned row under their key gives way."""
        for row in self._later:
            values = {name: content for name, content in row.items() if name != "id"}
            fields = ", ".join(map(quoted, values))
            marks = ", ".join("?" for _ in values)
            table = quoted(self._preparation.schedules)
            self._connection.execute(
                f"INSERT OR REPLACE INTO main.{table} ({fields}) VALUES ({marks})", tuple(values.values())
            )
        self._done.moved = len(self._later)

    def _count(self) -> None:
        runs = quoted(self._preparation.runs)
        statement = f"SELECT inserted, updated, deleted FROM main.{runs} WHERE run_id = ?"
        found: Any = self._connection.execute(statement, (self._note.run,)).fetchone()
        if found is None:
            raise DatabaseError(
                f"{self._preparation.runs} cannot take the row of the run: run_id is not its primary key."
            )
        self._done.inserted, self._done.updated, self._done.deleted = (
            max(0, int(count) - self._overruled[op])
            for count, op in zip(found, ("INSERT", "UPDATE", "DELETE"), strict=True)
        )


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (apsw.CorruptError, apsw.AbortError, apsw.MisuseError, apsw.RangeError) as error:
        raise DatabaseError("The changeset is damaged, or does not fit the database.") from error
