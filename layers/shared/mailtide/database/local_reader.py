"""A local file as a RangeReader: planning a local database works exactly as planning one in a bucket. No numpy."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from mailtide.database.locked import resolved
from mailtide.errors import DatabaseError, SourceChangedError


class LocalReader:
    """Reads parts of a file; a context manager. Raises DatabaseError when there is no such file."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(resolved(path), os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError as error:
            raise DatabaseError(f"{path} may not be read.") from error
        self._version = self._current_version()
        self.size_bytes = self._version[0]

    def _current_version(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from offset on, fewer only at the end. Raises SourceChangedError when the file was written to."""
        data = os.pread(self._descriptor, length, offset)
        if self._current_version() != self._version:
            raise SourceChangedError("The database was changed while it was being read; try again.")
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
