"""A consistent copy of a database that others may be writing to."""

from pathlib import Path

import apsw

from mailtide.errors import DatabaseError

PAGES_A_STEP = 2_000


def consistent_copy(source: Path, target: Path) -> None:
    """Copy a live database, with what stands in its -wal, by SQLite's backup; `target` must not exist.

    The copy is one file with a rollback journal. DatabaseError when the source is missing or no database.
    """
    if not source.is_file():
        raise DatabaseError(f"There is no file {source}.")
    try:
        live = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
        live.set_busy_timeout(10_000)
        copy = apsw.Connection(str(target))
        try:
            with copy.backup("main", live, "main") as backup:
                while not backup.done:
                    backup.step(PAGES_A_STEP)
            copy.pragma("journal_mode", "delete")
        finally:
            copy.close()
            live.close()
    except (apsw.NotADBError, apsw.CorruptError):
        raise DatabaseError(f"{source} is not a SQLite database, or is damaged.") from None
    except apsw.BusyError:
        raise DatabaseError(f"{source} is locked by another program.") from None
    except apsw.CantOpenError:
        raise DatabaseError(f"{source} cannot be opened.") from None
