"""Bringing a changeset into a database that others write to as well: their history always wins. No numpy.

SQLite applies the changes itself (https://www.sqlite.org/session/sqlite3changeset_apply.html) and asks about those that
meet another row than they expect. A row that the other side planned anew is overwritten, any other row stays as it is, and
a new row whose id is taken gets another. In the end no row of this run stands beside a mail that the other side has in its
history under the same key (spec §4, §9).
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import apsw

from mailtide.database.changeset_format import NOTE_FORMAT, NOTE_TABLE, Value
from mailtide.database.locked import LockedFile, locked_file
from mailtide.database.replace import change_in_place
from mailtide.database.run_tables import columns_of, last_run
from mailtide.database.schedules_schema import Preparation
from mailtide.database.untrusted import clear_errors, one_line, quoted
from mailtide.errors import DatabaseError

_PLANNED = ("pre-scheduled", "skipped")
_HELD = """DELETE FROM main.{0} WHERE id IN (
    SELECT planned.id FROM main.{0} AS other CROSS JOIN main.{0} AS planned
    WHERE lower(trim(other.status)) NOT IN ('pre-scheduled', 'skipped')
    AND planned.status IN ('pre-scheduled', 'skipped') AND planned.contact_id = other.contact_id
    AND planned.email_type = other.email_type AND planned.event_date = other.event_date
    AND coalesce(other.campaign_instance_id, 0) IN (0, planned.campaign_instance_id) AND planned.scheduler_run_id = ?)"""


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


def read_note(path: Path) -> Note:
    """What a changeset file is. Raises DatabaseError when it is none of mailtide's."""
    wrong = DatabaseError(f"{path} is not a changeset of mailtide.")
    try:
        with path.open("rb") as file:
            # A change can be looked at only as long as its iterator stands there.
            changes = iter(apsw.Changeset.iter(_limited(file)))
            first = next(changes, None)
            row: Any = first.new if first is not None and first.name == NOTE_TABLE else None
            if row is None or len(row) != 5:
                raise wrong
            run, number, previous, as_of, columns = row
    except (apsw.Error, UnicodeDecodeError):
        raise wrong from None
    if number != NOTE_FORMAT:
        raise DatabaseError(f"{path} is a changeset of another version of mailtide.")
    try:
        names = json.loads(str(columns))
    except ValueError:
        raise wrong from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise wrong
    return Note(str(run), None if previous is None else str(previous), str(as_of), tuple(names))


def _limited(file: BinaryIO) -> Callable[[int], bytes]:
    return lambda size: file.read(min(size, 1 << 20))


def apply_file(changeset: Path, database: Path) -> Applied:
    """Bring a changeset into a database, as a whole or not at all; once more does nothing.

    The database is locked meanwhile as `mailtide schedule` locks it. Raises DatabaseError, one sentence, when the changeset
    does not follow on the database's last run or does not fit its tables; the file is untouched then.
    """
    note = read_note(changeset)
    with locked_file(database) as locked:
        return apply_locked(changeset, note, locked)


def apply_locked(changeset: Path, note: Note, locked: LockedFile) -> Applied:
    """As `apply_file`, on a database that is locked already."""
    done = Applied(note.run, note.as_of)
    if _has_run(locked, note.run):
        done.already = True
        return done
    stands = last_run(locked.connection, locked.preparation.runs)
    if stands != note.previous_run:
        raise DatabaseError(_wrong_base(locked.path, note, stands))
    with changeset.open("rb") as file:
        change_in_place(locked, lambda connection: _Applying(connection, locked.preparation, note, done).apply(file))
    return done


def _has_run(locked: LockedFile, run: str) -> bool:
    runs = locked.preparation.runs
    with clear_errors():
        if not any(column.name.lower() == "run_id" for column in columns_of(locked.connection, runs)):
            return False
        found = locked.connection.execute(f"SELECT 1 FROM main.{quoted(runs)} WHERE run_id = ?", (run,)).get
    return found is not None


def _wrong_base(path: Path, note: Note, stands: str | None) -> str:
    wanted = f"follows on run {note.previous_run}" if note.previous_run else "is for a database without a schedule"
    found = f"{path} stands after run {one_line(stands, 60)}" if stands else f"{path} has no run"
    return f"This changeset {wanted}, but {found}; mailtide sync pull brings it up to date."


class _Applying:
    """One transaction that brings a changeset in."""

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
            apsw.Changeset.apply(
                _limited(changes),
                self._connection,
                filter=self._is_ours,
                conflict=self._decide,
                flags=apsw.SQLITE_CHANGESETAPPLY_NOSAVEPOINT,
            )
        self._insert_later()
        self._run_all(self._preparation.after_rows)
        held = self._changed(_HELD.format(quoted(table)), (self._note.run,))
        self._done.kept += held
        self._overruled["INSERT"] += held
        self._count()

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
        if isinstance(status, str) and status.strip().lower() in _PLANNED:
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
