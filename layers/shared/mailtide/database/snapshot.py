"""A consistent copy of a database that others may be writing to."""

from contextlib import closing
from pathlib import Path

import apsw

from mailtide.database.untrusted import clear_errors
from mailtide.errors import DatabaseError

BUSY_TIMEOUT_MS = 10_000


def consistent_copy(source: Path, target: Path) -> None:
    """Copy a live database, with what stands in its -wal, by SQLite's backup; `target` must not exist.

    The copy is one file with a rollback journal. The source is opened read-only and not changed. Writers in WAL mode go on
    meanwhile, others wait. DatabaseError when the source is missing, locked, or no database.
    """
    if not source.is_file():
        raise DatabaseError(f"There is no file {source}.")
    # SQLite takes an empty file for a database without tables.
    if source.stat().st_size == 0:
        raise DatabaseError(f"{source} is empty (0 bytes).")
    with clear_errors():
        try:
            _backup(source, target)
        except apsw.ReadOnlyError:
            raise DatabaseError(
                f"{source} was left in the middle of a write; open it once with the program that writes to it."
            ) from None


def _backup(source: Path, target: Path) -> None:
    flags = apsw.SQLITE_OPEN_READONLY
    with closing(apsw.Connection(str(source), flags=flags)) as live, closing(apsw.Connection(str(target))) as copy:
        live.set_busy_timeout(BUSY_TIMEOUT_MS)
        # All pages in one step: in several, every commit of another program would start the copy anew.
        with copy.backup("main", live, "main") as backup:
            backup.step()
        copy.pragma("journal_mode", "delete")
