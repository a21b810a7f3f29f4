"""The schedule of one file brought into another of the same organisation, row by row: where no chain of changesets leads.

Only email_schedules and scheduler_runs are touched. What is planned becomes what the published file plans; a row that either
side has in its history stays or comes as history, and of two the one that got further counts. No numpy.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from mailtide.database.changeset_merge import PLANNED, Applied, Merge, Note
from mailtide.database.locked import locked_file
from mailtide.database.replace import change_in_place
from mailtide.database.run_tables import columns_of, last_run
from mailtide.database.schedules_schema import Preparation
from mailtide.database.untrusted import clear_errors, quoted
from mailtide.errors import DatabaseError

_STAGES = {"scheduled": 1, "processing": 2, "sent": 3, "delivered": 4, "bounced": 5}
_UNLIKE = "The schedule of the published database has other columns than that of the file."


def bring_over(published: Path, here: Path, database: Path, changes: Path) -> Applied:
    """Make the schedule of `database` that of `published`; history wins.

    published, here: private copies of the published file and of the database, brought into shape (both are written to).
    changes: where the differences may be kept meanwhile. DatabaseError when they cannot be compared; nothing is changed then.
    """
    for path in (published, here):
        _bring_into_shape(path)
    run = _differences(here, published, changes)
    with locked_file(database) as locked:
        done = Applied(run or "", "")
        names = _names(here)

        def write(connection: apsw.Connection) -> None:
            with changes.open("rb") as file:
                _BringOver(connection, locked.preparation, Note(run or "", None, "", names), done).apply(file)

        if changes.stat().st_size:
            change_in_place(locked, write)
        return done


def _bring_into_shape(path: Path) -> None:
    with locked_file(path) as locked:
        statements = [*locked.preparation.before_rows, *locked.preparation.after_rows]

        def prepare(connection: apsw.Connection) -> None:
            for statement in statements:
                connection.execute(statement).fetchall()

        if statements:
            change_in_place(locked, prepare)


def _names(path: Path) -> tuple[str, ...]:
    with locked_file(path) as locked:
        return tuple(column.name.lower() for column in columns_of(locked.connection, locked.preparation.schedules))


def _differences(here: Path, published: Path, changes: Path) -> str | None:
    """Write what makes `published` of `here` as a changeset; returns the last run of `published`."""
    # Copies of our own, so a connection that may attach is safe; nothing of the schema is run.
    with clear_errors(), closing(apsw.Connection(str(published))) as connection:
        for switch in (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER):
            connection.config(switch, 0)
        connection.execute("ATTACH ? AS here", (str(here),))
        with closing(apsw.Session(connection, "main")) as session, changes.open("wb") as sink:
            for table in _tables(connection):
                session.attach(table)
                try:
                    session.diff("here", table)
                except apsw.SchemaChangeError:
                    raise DatabaseError(_UNLIKE) from None

            def write(part: memoryview) -> None:
                sink.write(part)

            session.changeset_stream(write)
        return last_run(connection, "scheduler_runs")


def _tables(connection: apsw.Connection) -> list[str]:
    names: list[Any] = connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall()
    return [name for (name,) in names if name.lower() in ("email_schedules", "scheduler_runs")]


class _BringOver(Merge):
    """Changes of a whole schedule instead of one run's."""

    def __init__(self, connection: apsw.Connection, preparation: Preparation, note: Note, done: Applied) -> None:
        super().__init__(connection, preparation, note, done)
        self._counts = {"INSERT": 0, "UPDATE": 0, "DELETE": 0}
        self._history: dict[int, str] = {}

    def _bring(self, changes: Callable[[int], bytes]) -> None:
        self._history = self._read_history()
        apsw.Changeset.apply(
            changes,
            self._connection,
            filter_change=self._is_wanted,
            conflict=self._decide,
            flags=apsw.SQLITE_CHANGESETAPPLY_NOSAVEPOINT,
        )

    def _read_history(self) -> dict[int, str]:
        """Status by id of the rows here that are not planned."""
        marks = ", ".join("?" for _ in PLANNED)
        table = quoted(self._preparation.schedules)
        statement = f"SELECT id, lower(trim(status)) FROM main.{table} WHERE lower(trim(status)) NOT IN ({marks})"
        rows: list[Any] = self._connection.execute(statement, PLANNED).fetchall()
        return {row_id: str(status) for row_id, status in rows}

    def _is_wanted(self, change: apsw.TableChange) -> bool:
        if not self._is_ours(change.name):
            return False
        if change.name.lower() == self._preparation.runs.lower():
            return change.op != "DELETE"
        old: Any = change.old
        status = self._history.get(old[self._key]) if old else None
        if status is not None and not self._is_further(change, status):
            self._done.kept += change.op == "UPDATE"
            return False
        self._counts[change.op] += 1
        return True

    def _is_further(self, change: apsw.TableChange, status: str) -> bool:
        """Whether the published file knows more of a mail that was given away here."""
        new: Any = change.new
        told = new[self._status] if new else None
        return isinstance(told, str) and _STAGES.get(told.strip().lower(), 0) > _STAGES.get(status, 0) > 0

    def _meet(self, change: apsw.TableChange) -> int:
        old: Any = change.old
        if old and old[self._key] in self._history:
            self._done.replaced += 1
            return apsw.SQLITE_CHANGESET_REPLACE
        return super()._meet(change)

    def _remove_held(self) -> int:
        return self._changed(self._held_by(""), ())

    def _count(self) -> None:
        done, counts, lost = self._done, self._counts, self._overruled
        done.inserted = max(0, counts["INSERT"] - lost["INSERT"])
        done.updated = max(0, counts["UPDATE"] - lost["UPDATE"])
        done.deleted = max(0, counts["DELETE"] - lost["DELETE"])
