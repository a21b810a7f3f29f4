"""A database file held for a whole pass: locked against everybody else, recovered, and described. No numpy.

POSIX locks belong to the process, and closing any descriptor of a file drops them all. So the one descriptor that is not
SQLite's own is opened before the lock and closed after it, and nothing else may open the file with `open` meanwhile.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from mailtide.database.header import HEADER_BYTES, MISSING_WAL_WARNING, Header, read_header
from mailtide.database.schedules_schema import Preparation, plan_preparation
from mailtide.database.schema import Schema, read_schema
from mailtide.database.untrusted import clear_errors, harden
from mailtide.errors import DatabaseError

_BUSY_TIMEOUT_MS = 3_000


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A database that nobody else can read or write until the lock is released. `path` has no symbolic links.

    descriptor: may be read, and written where the file may be; it must not be closed.
    """

    path: Path
    descriptor: int
    connection: apsw.Connection
    header: Header
    schema: Schema
    preparation: Preparation
    warnings: list[str]

    @property
    def link_count(self) -> int:
        """How many names the file has."""
        return os.fstat(self.descriptor).st_nlink


@contextmanager
def locked_file(path: Path) -> Iterator[LockedFile]:
    """Lock a file exclusively, roll back a hot journal, check the schema, and bring a -wal into the file.

    Raises DatabaseError, one sentence, when that cannot be done; the file is then as it was, but for the rollback of a
    transaction that a crash had left half done.
    """
    real = resolved(path)
    descriptor = _opened(real)
    try:
        wal = _beside(real, "-wal")
        had_wal = wal.exists() and wal.stat().st_size > 0
        _check_header(descriptor, lenient=had_wal or _beside(real, "-journal").exists())
        with clear_errors():
            connection = _locked_connection(real)
            try:
                yield _described(real, descriptor, connection, had_wal=had_wal)
            finally:
                connection.close()
    finally:
        os.close(descriptor)


def resolved(path: Path) -> Path:
    """The regular file behind a path. Raises DatabaseError when there is none."""
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
    except (OSError, RuntimeError) as error:
        raise DatabaseError(f"There is no file {path}.") from error
    if not stat.S_ISREG(mode):
        raise DatabaseError(f"{path} is not a file.")
    return real


def _opened(path: Path) -> int:
    for access in (os.O_RDWR, os.O_RDONLY):
        try:
            return os.open(path, access | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
    raise DatabaseError(f"{path} may not be read.")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _check_header(descriptor: int, *, lenient: bool) -> None:
    """Refuse what is no database before SQLite touches it; with a journal or -wal, sizes are not final yet."""
    head, size_bytes = os.pread(descriptor, HEADER_BYTES, 0), os.fstat(descriptor).st_size
    read_header(head, 1 << 62 if lenient and size_bytes else size_bytes)


def _locked_connection(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_EXRESCODE)
    try:
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        harden(connection)
        # What a refused file has in its -wal stays there.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.pragma("locking_mode", "exclusive")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _described(path: Path, descriptor: int, connection: apsw.Connection, *, had_wal: bool) -> LockedFile:
    schema = read_schema(connection)
    preparation = plan_preparation(connection, schema)
    if had_wal:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    header = read_header(os.pread(descriptor, HEADER_BYTES, 0), os.fstat(descriptor).st_size)
    warnings = list(schema.warnings)
    if header.is_wal and not had_wal:
        warnings.insert(0, MISSING_WAL_WARNING)
    return LockedFile(path, descriptor, connection, header, schema, preparation, warnings)
