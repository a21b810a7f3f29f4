"""SQLite over ranged reads: a read-only VFS that fetches blocks of a remote file, within a budget. No numpy."""

import secrets
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import apsw

from mailtide.database.untrusted import clear_errors, harden
from mailtide.errors import BudgetExceededError, MailtideError

BLOCK_BYTES = 64 << 10
MAX_CACHED_BLOCKS = 384
MAX_REQUESTS = 96
MAX_BYTES = 32 << 20
_WAL_VERSIONS_AT = 18


class RangeReader(Protocol):
    """A file that can be read in parts, all of one version."""

    @property
    def size_bytes(self) -> int:
        """The whole file's size."""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from offset on, fewer only at the end of the file.

        Raises SourceChangedError when the file is no longer the version that the reader was made for.
        """


class Readable(Protocol):
    """What SQLite can read a file from."""

    @property
    def size_bytes(self) -> int:
        """The whole file's size."""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from offset on, fewer only at the end of the file."""


class BlockCache:
    """Whole blocks of a RangeReader, the most recently used of them kept; counts requests and bytes, and limits both."""

    def __init__(self, reader: RangeReader, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES) -> None:
        self._reader, self._max_requests, self._max_bytes = reader, max_requests, max_bytes
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.size_bytes = reader.size_bytes
        self.requests = 0
        self.bytes_read = 0

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file, fewer only at its end. Raises BudgetExceededError, and whatever the reader raises."""
        end = min(offset + length, self.size_bytes)
        if offset >= end:
            return b""
        first, last = offset // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        data = b"".join(self._block(index) for index in range(first, last + 1))
        return data[offset - first * BLOCK_BYTES : end - first * BLOCK_BYTES]

    def holds(self, offset: int) -> bool:
        """Whether the block with this byte is there: reading it costs no request."""
        return offset // BLOCK_BYTES in self._blocks

    def _block(self, index: int) -> bytes:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        start = index * BLOCK_BYTES
        length = min(BLOCK_BYTES, self.size_bytes - start)
        if self.requests >= self._max_requests or self.bytes_read + length > self._max_bytes:
            raise BudgetExceededError(
                f"Reading the database's schema took more than {self._max_requests} requests or {self._max_bytes} bytes."
            )
        self.requests += 1
        block = self._reader.read(start, length)
        self.bytes_read += len(block)
        self._blocks[index] = block.ljust(length, b"\0")
        if len(self._blocks) > MAX_CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        return self._blocks[index]


@contextmanager
def open_ranged(cache: BlockCache, *, deadline_s: float = 60.0) -> Iterator[apsw.Connection]:
    """A hardened read-only connection over a cache; a file in WAL mode reads as one without its -wal.

    Raises DatabaseError for what is wrong with the file, and what the reader or the budget raised as it was.
    """
    vfs = RangedVFS(cache)
    try:
        with clear_errors():
            connection = vfs.connect()
            try:
                harden(connection, deadline_s=deadline_s, cache_mb=2)
                yield connection
            finally:
                connection.close()
    except (apsw.Error, MailtideError, OSError):
        if vfs.failure is not None:
            raise vfs.failure from None
        raise
    finally:
        vfs.unregister()


class RangedVFS(apsw.VFS):
    """Opens the one file of its cache; everything else does not exist. `failure` is what the cache raised last."""

    def __init__(self, cache: Readable) -> None:
        self.vfs_name = f"mailtide-ranged-{secrets.token_hex(8)}"
        self._cache = cache
        self.failure: Exception | None = None
        super().__init__(self.vfs_name, base="")

    def connect(self) -> apsw.Connection:
        """A new read-only connection to the file, not yet hardened."""
        return apsw.Connection(
            "file:/remote?immutable=1&mode=ro",
            flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
            vfs=self.vfs_name,
        )

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - apsw's name
        """Open the remote file, read-only, and nothing else."""
        if name is None or not flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            raise apsw.CantOpenError("only the database itself can be opened")
        flags[1] = apsw.SQLITE_OPEN_READONLY
        return _RangedFile(self._cache, self)  # type: ignore[return-value]  # apsw takes any object with these methods

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: ARG002, N802 - apsw's signature
        """There are no other files."""
        return False

    def xFullPathname(self, name: str) -> str:  # noqa: N802 - apsw's name
        """Names are as they are."""
        return name

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: ARG002, N802 - apsw's signature
        """Nothing can be deleted."""
        raise apsw.ReadOnlyError("ranged reads only")


class _RangedFile:
    """The remote file, as apsw wants a file to be."""

    def __init__(self, cache: Readable, vfs: RangedVFS) -> None:
        self._cache, self._vfs = cache, vfs

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - apsw's name
        """Bytes of the file; the header reads as one of rollback mode, since there is no -wal to look for."""
        try:
            data = self._cache.read(offset, amount)
        except Exception as error:
            self._vfs.failure = error
            raise apsw.IOError(str(error)) from error
        if offset <= _WAL_VERSIONS_AT < _WAL_VERSIONS_AT + 2 <= offset + len(data):
            at = _WAL_VERSIONS_AT - offset
            data = data[:at] + b"\x01\x01" + data[at + 2 :]
        return data

    def xFileSize(self) -> int:  # noqa: N802 - apsw's name
        """Size in bytes."""
        return self._cache.size_bytes

    def xClose(self) -> None:  # noqa: N802 - apsw's name
        """Nothing to close."""

    def xLock(self, level: int) -> None:  # noqa: N802 - apsw's name
        """An immutable file needs no locks."""

    def xUnlock(self, level: int) -> None:  # noqa: N802 - apsw's name
        """An immutable file needs no locks."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802 - apsw's name
        """Nobody else has the file."""
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:  # noqa: ARG002, N802 - apsw's signature
        """No file controls."""
        return False

    def xSectorSize(self) -> int:  # noqa: N802 - apsw's name
        """SQLite's default."""
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802 - apsw's name
        """A file that never changes."""
        return apsw.SQLITE_IOCAP_IMMUTABLE
