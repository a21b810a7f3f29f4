"""Bringing the changeset of a run into a database: only where it follows, and once. No numpy."""

import json
from pathlib import Path
from typing import Any

import apsw

from mailtide.database.changeset_format import NOTE_FORMAT, NOTE_TABLE
from mailtide.database.changeset_merge import Applied, Merge, Note, limited
from mailtide.database.locked import LockedFile, locked_file
from mailtide.database.replace import change_in_place
from mailtide.database.run_tables import columns_of, last_run
from mailtide.database.untrusted import clear_errors, one_line, quoted
from mailtide.errors import DatabaseError


def read_note(path: Path) -> Note:
    """What a changeset file is. Raises DatabaseError when it is none of mailtide's."""
    wrong = DatabaseError(f"{path} is not a changeset of mailtide.")
    try:
        with path.open("rb") as file:
            # A change can be looked at only as long as its iterator stands there.
            changes = iter(apsw.Changeset.iter(limited(file)))
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
        change_in_place(locked, lambda connection: Merge(connection, locked.preparation, note, done).apply(file))
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
