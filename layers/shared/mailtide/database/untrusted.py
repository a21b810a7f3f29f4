"""Opening files that nobody vouches for: read-only or locked, defensive, bounded, and with errors as one sentence.

No numpy. SQLite's advice: https://www.sqlite.org/security.html.
"""

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from mailtide.errors import DatabaseError, DatabaseMemoryError

MAX_VALUE_BYTES = 64 << 20
DEADLINE_S = 900.0
HEAP_LIMIT_BYTES = 4 << 30
_OPERATIONS_PER_CHECK = 200_000
_PLAIN = frozenset(b"/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_HEADING = "*** in database main ***\n"
_LIMITS = {
    apsw.SQLITE_LIMIT_LENGTH: MAX_VALUE_BYTES,
    apsw.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    apsw.SQLITE_LIMIT_COLUMN: 2_000,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 500,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    apsw.SQLITE_LIMIT_FUNCTION_ARG: 100,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    apsw.SQLITE_LIMIT_VARIABLE_NUMBER: 1_000,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}
_SWITCHES = {
    apsw.SQLITE_DBCONFIG_DEFENSIVE: 1,
    apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_VIEW: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_FKEY: 0,
    apsw.SQLITE_DBCONFIG_WRITABLE_SCHEMA: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE: 0,
    apsw.SQLITE_DBCONFIG_LEGACY_ALTER_TABLE: 1,
    # An unknown "name" in double quotes must be an error, not a string.
    apsw.SQLITE_DBCONFIG_DQS_DML: 0,
}
_DENIED = frozenset({apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH, apsw.SQLITE_CREATE_VTABLE, apsw.SQLITE_DROP_VTABLE})
_DENIED_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "sqlite_drop_column", "sqlite_rename_quotefix"})


def open_untrusted(path: Path, *, deadline_s: float = DEADLINE_S, cache_mb: int = 16) -> apsw.Connection:
    """Open a file read-only and immutable: no locks, no journal, and a file in WAL mode opens without its -wal.

    The caller sees to it that nobody writes meanwhile. Wrap every use in `clear_errors`.
    """
    # Quoting keeps ?, # and % in names from being parsed (https://www.sqlite.org/uri.html).
    name = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in os.fsencode(path.absolute()))
    uri = f"file://{name}?immutable=1&mode=ro"
    with clear_errors():
        connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        harden(connection, deadline_s=deadline_s, cache_mb=cache_mb)
    return connection


def harden(connection: apsw.Connection, *, deadline_s: float = DEADLINE_S, cache_mb: int = 16) -> None:
    """Apply limits, switches, an authorizer and a deadline to a connection, before its first statement."""
    if apsw.hard_heap_limit(-1) == 0:
        apsw.hard_heap_limit(HEAP_LIMIT_BYTES)
    for limit, value in _LIMITS.items():
        connection.limit(limit, value)
    for switch, value in _SWITCHES.items():
        connection.config(switch, value)
    connection.authorizer = _authorize
    connection.set_progress_handler(_deadline(deadline_s), _OPERATIONS_PER_CHECK)
    connection.pragma("cell_size_check", True)
    connection.pragma("cache_size", -cache_mb * 1024)
    connection.pragma("temp_store", 2)
    connection.pragma("mmap_size", 0)


def _deadline(deadline_s: float) -> Callable[[], bool]:
    end_s = time.monotonic() + deadline_s
    return lambda: time.monotonic() > end_s


def _authorize(action: int, first: str | None, second: str | None, _schema: str | None, _trigger: str | None) -> int:
    if action in _DENIED or (action == apsw.SQLITE_FUNCTION and (second or first or "").lower() in _DENIED_FUNCTIONS):
        return apsw.SQLITE_DENY
    return apsw.SQLITE_OK


def quick_check(connection: apsw.Connection, tables: list[str]) -> None:
    """Have SQLite check the pages of the named tables (not of virtual ones, which would run code). Raises DatabaseError."""
    with clear_errors():
        for table in tables:
            for (problem,) in connection.execute(f"PRAGMA quick_check({quoted(table)})"):
                # A page that could not be read for want of memory is reported like a damaged one.
                if problem.endswith(f"error code={apsw.SQLITE_NOMEM}"):
                    raise apsw.NoMemError(problem)
                # A row that breaks its own CHECK or NOT NULL is the customer's business; the reading rules cover it.
                if problem != "ok" and not re.match(
                    r"(NULL value in|CHECK constraint failed in|.* value in) ", problem
                ):
                    raise DatabaseError(f"The database is damaged: {one_line(problem.removeprefix(_HEADING))}.")


def quoted(name: str) -> str:
    """An SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def one_line(text: object, limit: int = 200) -> str:
    """A message of SQLite's as one printable line of bounded length, without a full stop."""
    line = " ".join(str(text).split()).rstrip(".")
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


_SYSTEM_ERRORS: tuple[tuple[type[apsw.Error], int], ...] = ((apsw.FullError, errno.ENOSPC), (apsw.IOError, errno.EIO))

_SENTENCES: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.NotADBError, "The file is not an SQLite database (or it is encrypted)."),
    (apsw.CorruptError, "The database is damaged: {0}."),
    (apsw.TooBigError, f"The database holds a value longer than {MAX_VALUE_BYTES >> 20} MiB."),
    (apsw.InterruptError, "The database took longer to read than is allowed."),
    (apsw.BusyError, "The database is in use by another program; try again when it is closed."),
    (apsw.LockedError, "The database is in use by another program; try again when it is closed."),
    (apsw.AuthError, "The database's schema asks for something that is not allowed: {0}."),
    (apsw.ConstraintError, "The database refuses a row of the schedule: {0}."),
    (apsw.CantOpenError, "The database cannot be opened: {0}."),
    (apsw.ReadOnlyError, "The database cannot be written: {0}."),
    (apsw.PermissionsError, "The database cannot be opened: {0}."),
    (apsw.SQLError, "The database cannot be used: {0}."),
    (apsw.MismatchError, "The database refuses a value of the schedule: {0}."),
)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn SQLite's errors about the file into DatabaseError, a full disk and failed I/O into OSError; others pass through."""
    try:
        yield
    except apsw.NoMemError as error:
        raise DatabaseMemoryError("The database needs more memory than is allowed.") from error
    except UnicodeDecodeError as error:
        raise DatabaseError("The database's schema holds text that is not valid in its encoding.") from error
    except apsw.Error as error:
        for kind, sentence in _SENTENCES:
            if isinstance(error, kind):
                raise DatabaseError(sentence.format(one_line(error))) from error
        for kind, number in _SYSTEM_ERRORS:
            if isinstance(error, kind):
                raise OSError(number, os.strerror(number)) from error
        raise
