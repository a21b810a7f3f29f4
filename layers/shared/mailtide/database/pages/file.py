"""Pages of a file that nobody writes, many at once."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mailtide.database.header import Header
from mailtide.rules.columns import Int64, UInt8

PADDING = 1_024
"""Bytes after the last page of a buffer: what stands near its end may be read in windows without looking."""


class UnusualPagesError(Exception):
    """The pages hold what this package does not read, or are damaged; SQLite must read the table instead."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """An open file and its header. The descriptor belongs to the caller."""

    descriptor: int
    header: Header
    fetch: Callable[[Int64], None] | None = None
    """Called with the numbers of pages before they are read: where the file is not all there yet."""


class PageReader:
    """Reads lists of pages into one buffer, which each call uses anew; for one thread."""

    def __init__(self, file: PageFile) -> None:
        self._file = file
        self._buffer = np.zeros(PADDING, np.uint8)

    def read(self, pages: Int64) -> UInt8:
        """The bytes of the pages, one after the other, and PADDING more; pages that follow one another come in one piece.

        pages: page numbers from 1 to the page count, shape (n,), n > 0. Raises UnusualPagesError when the file ends too early.
        """
        size = self._file.header.page_size
        if self._file.fetch is not None:
            self._file.fetch(pages)
        if len(self._buffer) < len(pages) * size + PADDING:
            self._buffer = np.zeros(len(pages) * size + PADDING, np.uint8)
        view = memoryview(self._buffer)
        cuts = (np.flatnonzero(np.diff(pages) != 1) + 1).tolist()
        for low, high in zip([0, *cuts], [*cuts, len(pages)], strict=True):
            wanted = view[low * size : high * size]
            if os.preadv(self._file.descriptor, [wanted], (int(pages[low]) - 1) * size) != len(wanted):
                raise UnusualPagesError
        return self._buffer[: len(pages) * size + PADDING]
