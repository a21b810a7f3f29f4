"""Changes of email_schedules that others than the pass make before it, so that they come first in its changeset. No numpy."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from mailtide.database.changeset_apply import read_note
from mailtide.database.changeset_format import note_of


@contextmanager
def recorded(connection: apsw.Connection, table: str, path: Path | None) -> Iterator[None]:
    """Write what is changed in a table meanwhile to a file, by SQLite's session; None records nothing."""
    if path is None:
        yield
        return
    with closing(apsw.Session(connection, "main")) as session:
        session.attach(table)
        yield
        with path.open("wb") as sink:

            def write(part: memoryview) -> None:
                sink.write(part)

            session.changeset_stream(write)


def put_before(changeset: Path, changes: Path) -> None:
    """Put changes between the note of a run's changeset and what the run itself changed: other rows, so no row comes twice."""
    note = read_note(changeset)
    head = note_of(note.run, note.previous_run, note.as_of, list(note.columns))
    whole = changeset.with_name(f"{changeset.name}.whole")
    with changeset.open("rb") as source, changes.open("rb") as before, whole.open("wb") as sink:
        source.seek(len(head))
        sink.write(head)
        shutil.copyfileobj(before, sink)
        shutil.copyfileobj(source, sink)
    whole.replace(changeset)
