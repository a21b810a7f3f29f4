"""A database file held for a whole pass: locked against everybody else, recovered, and described. No numpy.

POSIX locks belong to the process, and closing any descriptor of a file drops them all. So the one descriptor that is not
SQLite's own is opened before the lock and closed after it, and nothing else may open the file with `open` meanwhile.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
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
    content: where all of the database can be read without regard to locks: `path`, or a copy of it with what stands in
    its -wal. content_descriptor: of that file, for reading.
    """

    path: Path
    descriptor: int
    content: Path
    content_descriptor: int
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
    """Lock a file exclusively, roll back a hot journal, and check the schema. What stands in a -wal stays there.

    Raises DatabaseError, one sentence, when that cannot be done; the file is then as it was, but for the rollback of a
    transaction that a crash had left half done.
    """
    real = resolved(path)
    descriptor = _opened(real)
    try:
        has_wal = _has_bytes(_beside(real, "-wal"))
        _check_header(descriptor, lenient=has_wal or _beside(real, "-journal").exists())
        with clear_errors(), closing(_locked_connection(real)) as connection:
            schema = read_schema(connection)
            preparation = plan_preparation(connection, schema)
            # What is in a -wal comes into the file with our own changes, or not at all.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(has_wal))
            with _content(real, descriptor, connection, has_wal=has_wal) as (content, content_descriptor):
                header, warnings = _header(descriptor, content_descriptor), list(schema.warnings)
                if header.is_wal and not has_wal:
                    warnings.insert(0, MISSING_WAL_WARNING)
                yield LockedFile(
                    real, descriptor, content, content_descriptor, connection, header, schema, preparation, warnings
                )
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


def _has_bytes(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


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
        # A commit would mend the page count of a header whose counters disagree, and so write to the file.
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _content(path: Path, descriptor: int, connection: apsw.Connection, *, has_wal: bool) -> Iterator[tuple[Path, int]]:
    """The file in which all of the database stands, and a descriptor of it."""
    if not has_wal:
        yield path, descriptor
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mailtide-") as folder:
        copy = Path(folder) / "copy.db"
        with closing(apsw.Connection(str(copy))) as target, target.backup("main", connection, "main") as backup:
            backup.step()
        content_descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield copy, content_descriptor
        finally:
            os.close(content_descriptor)


def _header(descriptor: int, content_descriptor: int) -> Header:
    """The header of the content; a copy was made because of a -wal, whatever its own header says."""
    header = read_header(os.pread(content_descriptor, HEADER_BYTES, 0), os.fstat(content_descriptor).st_size)
    return replace(header, is_wal=header.is_wal or content_descriptor != descriptor)
