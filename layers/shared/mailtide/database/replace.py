"""Changing a locked file: as a whole, by a private copy that takes its place, or in place through a WAL. No numpy."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from mailtide.database.header import HEADER_BYTES
from mailtide.database.locked import LockedFile
from mailtide.database.untrusted import clear_errors, harden

_COPY_BYTES = 16 << 20
_CACHE_MB = 128
"""What rows that come and go touch of the index by contact at three million contacts: a page that is dropped is written twice."""
_VERSIONS_AT, _ROLLBACK_VERSIONS, _WAL_VERSIONS = 18, b"\x01\x01", b"\x02\x02"

type Write = Callable[[apsw.Connection], None]


class CopyBeside:
    """A private copy of a file in the making: beside it, complete when `finished` returns.

    One thread makes it and removes it: interrupts come to the main thread only, and may come while that starts or waits.
    """

    def __init__(self, locked: LockedFile) -> None:
        self._locked, self._stop, self._over = locked, threading.Event(), threading.Event()
        self._made: list[tuple[Path, int]] = []
        self._settled = threading.Event()
        self._failure: OSError | None = OSError("the copy was not made")
        self._thread = threading.Thread(target=self._work)

    def begin(self) -> None:
        """Start copying. Whoever calls this calls `discard` too, whatever happens."""
        self._thread.start()

    def finished(self) -> tuple[Path, int]:
        """The copy's path and a descriptor of it, once begun. Raises OSError where it could not be made."""
        self._settled.wait()
        if self._failure is not None:
            raise self._failure
        return self._made[0]

    def discard(self) -> None:
        """Stop, and leave nothing behind but what was renamed."""
        self._stop.set()
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        try:
            self._make()
            self._failure = None
        except OSError as error:
            self._failure = error
        finally:
            self._settled.set()
            self._over.wait()
            for copy, descriptor in self._made:
                os.close(descriptor)
                copy.unlink(missing_ok=True)

    def _make(self) -> None:
        locked = self._locked
        folder, prefix = locked.path.parent, f".{locked.path.name}.mailtide-"
        # We hold the lock, so copies of that name are what killed passes left.
        for stale in folder.glob(f"{_escaped(prefix)}*"):
            stale.unlink(missing_ok=True)
        copy = folder / f"{prefix}{os.urandom(8).hex()}"
        descriptor = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._made.append((copy, descriptor))
        _copy_bytes(locked.content_descriptor, descriptor, self._stop)
        if not self._stop.is_set():
            # The disk has nothing else to do meanwhile, and little is left for the end.
            os.fdatasync(descriptor)
        _keep_owner(locked.descriptor, descriptor)
        os.pwrite(descriptor, _ROLLBACK_VERSIONS, _VERSIONS_AT)


@contextmanager
def copy_beside(locked: LockedFile) -> Iterator[CopyBeside]:
    """Copy a locked file beside itself meanwhile; what is not renamed over the file is gone afterwards."""
    copy = CopyBeside(locked)
    try:
        copy.begin()
        yield copy
    finally:
        copy.discard()


def replace_whole(
    locked: LockedFile,
    beside: CopyBeside,
    write: Write,
    threads: int,
    approve: Callable[[], None] = lambda: None,
    load: Callable[[Path, int], None] = lambda _, __: None,
) -> None:
    """Write to the private copy, without a journal; make it durable; and rename it over the file.

    Whoever looks sees the old file or the new one. Mode, owner (where allowed) and journal mode stay.
    load: called when the copy is written and closed, with its path and a descriptor; writes to it without SQLite.
    approve: called when all is written but nothing of the file has changed; what it raises leaves the file as it was.
    """
    copy, descriptor = beside.finished()
    _write_copy(copy, write, threads)
    load(copy, descriptor)
    if locked.header.is_wal:
        os.pwrite(descriptor, _WAL_VERSIONS, _VERSIONS_AT)
    os.fsync(descriptor)
    approve()
    if locked.header.is_wal:
        # Nobody may find the old -wal beside the new file.
        locked.connection.pragma("journal_mode", "delete")
    copy.rename(locked.path)
    _sync_folder(locked.path.parent)


def forget_pages(locked: LockedFile, *, is_read: bool) -> None:
    """Have the kernel drop its pages of a file that is to be replaced: done beside, the end need not wait for it.

    is_read: whether something of it is still to be read; then nothing is done.
    """
    if not is_read and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(locked.content_descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _escaped(text: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)


def _copy_bytes(source: int, target: int, stop: threading.Event) -> None:
    size_bytes = os.fstat(source).st_size
    at = 0
    while at < size_bytes and not stop.is_set():
        try:
            copied = os.copy_file_range(source, target, _COPY_BYTES, at, at)
        except OSError:
            # Not every file system can; reading and writing always works.
            copied = os.pwrite(target, os.pread(source, _COPY_BYTES, at), at)
        if copied == 0:
            raise OSError(f"the file ended at byte {at} of {size_bytes}")
        at += copied


def _keep_owner(source: int, target: int) -> None:
    status = os.fstat(source)
    try:
        os.fchown(target, status.st_uid, status.st_gid)
    except PermissionError:
        # Only root may give files away; the group alone often works.
        with_group = (-1, status.st_gid)
        if status.st_gid in os.getgroups():
            os.fchown(target, *with_group)
    os.fchmod(target, status.st_mode & 0o7777)


def _write_copy(copy: Path, write: Write, threads: int) -> None:
    with clear_errors():
        connection = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_EXRESCODE)
        try:
            harden(connection, cache_mb=_CACHE_MB)
            # Defensive mode forbids a file without a journal; a copy that fails is thrown away.
            connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
            connection.pragma("locking_mode", "exclusive")
            connection.pragma("journal_mode", "off")
            connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
            connection.pragma("synchronous", 0)
            connection.pragma("threads", min(threads, 8) - 1)
            write(connection)
        finally:
            connection.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def change_in_place(locked: LockedFile, write: Write) -> None:
    """Write through a WAL with full synchronisation, and leave the journal mode as it was; a refused write leaves every byte.

    A crash at any instant leaves a file, with its -wal or journal, that opens as the old or the new one.
    """
    connection = locked.connection
    head = os.pread(locked.descriptor, HEADER_BYTES, 0)
    with clear_errors():
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", 2)
        # The file stays the old one until all is done: what is told of the changes compares with it.
        connection.pragma("wal_autocheckpoint", 0)
        connection.pragma("cache_size", -_CACHE_MB * 1024)
        try:
            with _refusals_undone(locked, head):
                write(connection)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        finally:
            _leave_wal(locked)


@contextmanager
def _refusals_undone(locked: LockedFile, head: bytes) -> Iterator[None]:
    """See to it that a write that fails leaves every byte as it was: changing the journal mode counts in the header."""
    try:
        yield
    except BaseException:
        # After a commit the old header would not fit the pages.
        if not locked.header.is_wal and _nothing_committed(locked.connection):
            _leave_wal(locked)
            os.pwrite(locked.descriptor, head, 0)
        raise


def _nothing_committed(connection: apsw.Connection) -> bool:
    """Whether the WAL holds no frame. A hook in Python could not say it: an interrupt may come before its first line."""
    if not connection.get_autocommit():
        connection.execute("ROLLBACK")
    frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    return frames == 0


def _leave_wal(locked: LockedFile) -> None:
    if not locked.header.is_wal and locked.connection.pragma("journal_mode") == "wal":
        locked.connection.pragma("journal_mode", "delete")
