"""A copy of a live database that is ours alone: for commands that look and must not touch. No numpy."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailtide.database.header import HEADER_BYTES, Header, read_header
from mailtide.database.locked import resolved
from mailtide.database.schema import Schema, read_schema
from mailtide.database.snapshot import consistent_copy
from mailtide.database.untrusted import open_untrusted, quick_check
from mailtide.errors import DatabaseError


@dataclass(frozen=True, slots=True)
class PrivateCopy:
    """A checked copy: nobody else knows its path."""

    path: Path
    header: Header
    schema: Schema


@contextmanager
def private_copy(path: Path, tables: tuple[str, ...] = ()) -> Iterator[PrivateCopy]:
    """Copy a database, with what stands in its -wal, into a temporary folder, and check its schema.

    tables: lower-cased names of the tables whose pages SQLite checks too. The folder is where the environment's TMPDIR
    says. Raises DatabaseError, one sentence; the file is never written.
    """
    real = resolved(path)
    _refuse_what_is_no_database(real)
    with tempfile.TemporaryDirectory(prefix="mailtide-") as folder:
        copy = Path(folder) / "copy.db"
        if not _copied_at_rest(real, copy):
            consistent_copy(_undisturbed(real, Path(folder)), copy)
        with copy.open("rb") as file:
            header = read_header(file.read(HEADER_BYTES), copy.stat().st_size)
        connection = open_untrusted(copy)
        try:
            schema = read_schema(connection)
            quick_check(connection, [found.name for name in tables if (found := schema.get(name))])
        finally:
            connection.close()
        yield PrivateCopy(copy, header, schema)


def _undisturbed(path: Path, folder: Path) -> Path:
    """The database itself while a program has it open; else a copy of it and its -wal, beside which SQLite may write."""
    wal = path.with_name(f"{path.name}-wal")
    if path.with_name(f"{path.name}-shm").exists() or not wal.exists():
        return path
    copy = folder / "source.db"
    before = _states(path, wal)
    shutil.copyfile(path, copy)
    shutil.copyfile(wal, copy.with_name(f"{copy.name}-wal"))
    return copy if _states(path, wal) == before else path


def _states(*paths: Path) -> list[tuple[int, int]]:
    return [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def _copied_at_rest(path: Path, copy: Path) -> bool:
    """Copy a file in WAL mode that nobody has open; False, and no copy, for any other and when it changed meanwhile.

    SQLite cannot read such a file without leaving a -wal and a -shm beside it.
    """
    before = _state(path)
    if before is None:
        return False
    shutil.copyfile(path, copy)
    if _state(path) == before:
        return True
    copy.unlink()
    return False


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change of a file in WAL mode without a -wal; None for any other."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if head[19] != 2 or path.with_name(f"{path.name}-wal").exists():
        return None
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _refuse_what_is_no_database(path: Path) -> None:
    """Look at the header before SQLite does; beside a journal or -wal, sizes are not final yet."""
    unfinished = any(path.with_name(path.name + suffix).exists() for suffix in ("-wal", "-journal"))
    try:
        with path.open("rb") as file:
            head, size_bytes = file.read(HEADER_BYTES), path.stat().st_size
    except PermissionError as error:
        raise DatabaseError(f"{path} may not be read.") from error
    read_header(head, 1 << 62 if unfinished and size_bytes else size_bytes)
