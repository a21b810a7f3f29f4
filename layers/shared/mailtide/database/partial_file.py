"""A remote file of which only some parts are brought here: a local file of its size that fills up as parts are asked for.

Parts that lie near one another come in one request, large ones in several at once. What SQLite reads beyond what was
asked for (a long value, an odd index) is fetched when it is read; when that becomes frequent, the rest comes whole.
"""

import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import apsw
import numpy as np

from mailtide.database.bulk import Source
from mailtide.database.header import HEADER_BYTES, read_header
from mailtide.database.id_range import EVERY_ID, IdRange
from mailtide.database.pages.file import PageFile, UnusualPagesError
from mailtide.database.pages.tree import leaf_pages, leaves_between
from mailtide.database.ranged import RangedVFS, RangeReader
from mailtide.database.schema import Table
from mailtide.database.untrusted import clear_errors, harden
from mailtide.errors import MailtideError
from mailtide.rules.columns import Bool, Int64

UNIT_BYTES = 4096
CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Manner:
    """How parts are fetched: what a request costs against what its bytes cost."""

    gap_bytes: int = 128 << 10
    """Less than this between two parts is fetched along, which costs less than a request of its own."""
    request_bytes: int = 4 << 20
    """The most of one request."""
    most_pieces: int = 256
    """Of one list of parts, before large ones are cut; beyond it wider gaps are fetched along."""
    ahead_bytes: int = 64 << 10
    """Fetched beyond what SQLite reads and nobody asked for."""
    most_surprises: int = 64
    """Such reads, before the whole file is fetched."""


USUAL = Manner()


class PartialFile:
    """The local file; for any number of threads."""

    def __init__(self, reader: RangeReader, path: Path, manner: Manner = USUAL) -> None:
        """path: where the local file is made. Raises what the reader raises."""
        self._reader, self._manner = reader, manner
        self.size_bytes = reader.size_bytes
        self._here = np.zeros(-(-self.size_bytes // UNIT_BYTES), np.bool_)
        self._lock = threading.RLock()
        self._surprises = 0
        self.requests = 0
        self.bytes_read = 0
        self.fetch_s = 0.0
        """Seconds in which somebody waited for parts."""
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.ftruncate(self.descriptor, self.size_bytes)

    def close(self) -> None:
        """Let go of the local file."""
        os.close(self.descriptor)

    def fetch_pages(self, pages: Int64, page_size: int) -> None:
        """See to it that pages are here. pages: numbers from 1, any order, shape (n,)."""
        first = (pages - 1) * page_size // UNIT_BYTES
        last = (pages * page_size - 1) // UNIT_BYTES
        wanted = np.zeros(len(self._here) + 1, np.int64)
        np.add.at(wanted, first, 1)
        np.add.at(wanted, np.minimum(last, len(self._here) - 1) + 1, -1)
        self._fetch(np.cumsum(wanted[:-1]) > 0)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file, fewer only at its end; fetched if need be."""
        end = min(offset + length, self.size_bytes)
        if offset >= end:
            return b""
        units = slice(offset // UNIT_BYTES, -(-end // UNIT_BYTES))
        if not self._here[units].all():
            self._surprise(units.start, end)
        return os.pread(self.descriptor, end - offset, offset)

    def _surprise(self, first: int, end: int) -> None:
        with self._lock:
            self._surprises += 1
            wanted = np.zeros(len(self._here), np.bool_)
            wanted[first : -(-(end + self._manner.ahead_bytes) // UNIT_BYTES)] = True
            self._fetch(wanted | (self._surprises > self._manner.most_surprises))

    def _fetch(self, wanted: Bool) -> None:
        with self._lock:
            missing = np.flatnonzero(wanted & ~self._here)
            if not len(missing):
                return
            start_s = time.monotonic()
            requests = [request for piece in self._pieces(missing) for request in self._cut(*piece)]
            if len(requests) == 1:
                self._get(requests[0])
            else:
                with ThreadPoolExecutor(CONNECTIONS) as pool:
                    list(pool.map(self._get, requests))
            for first, end in requests:
                self._here[first:end] = True
            self.requests += len(requests)
            self.bytes_read += sum(
                min(end * UNIT_BYTES, self.size_bytes) - first * UNIT_BYTES for first, end in requests
            )
            self.fetch_s += time.monotonic() - start_s

    def _get(self, units: tuple[int, int]) -> None:
        offset = units[0] * UNIT_BYTES
        data = self._reader.read(offset, min(units[1] * UNIT_BYTES, self.size_bytes) - offset)
        view = memoryview(data)
        while view:
            written = os.pwrite(self.descriptor, view, offset)
            view, offset = view[written:], offset + written

    def _pieces(self, missing: Int64) -> list[tuple[int, int]]:
        """Stretches first .. end - 1 of units, which may hold some that nobody asked for."""
        gaps = np.diff(missing) - 1
        cuts = np.flatnonzero(gaps * UNIT_BYTES > self._manner.gap_bytes)
        if len(cuts) >= self._manner.most_pieces:
            cuts = np.sort(cuts[np.argsort(-gaps[cuts], kind="stable")[: self._manner.most_pieces - 1]])
        edges = [0, *(cuts + 1).tolist(), len(missing)]
        return [(int(missing[low]), int(missing[high - 1]) + 1) for low, high in pairwise(edges)]

    def _cut(self, first: int, end: int) -> list[tuple[int, int]]:
        step = max(1, self._manner.request_bytes // UNIT_BYTES)
        return [(start, min(start + step, end)) for start in range(first, end, step)]


@dataclass(frozen=True, slots=True)
class PartialSource(Source):
    """A remote database that is read through a PartialFile, in every way in which a local one is."""

    file: PartialFile = field(kw_only=True)
    vfs: RangedVFS = field(kw_only=True)

    @property
    def pages(self) -> PageFile | None:
        """The file's pages, fetched as they are read; None where SQLite must read them."""
        return None if self.is_utf16 else self._all_pages()

    def _all_pages(self) -> PageFile:
        file, page_size = self.file, self.header.page_size
        return PageFile(file.descriptor, self.header, lambda pages: file.fetch_pages(pages, page_size))

    def open(self) -> apsw.Connection:
        """A new read-only connection, for one thread."""
        with clear_errors():
            connection = self.vfs.connect()
            harden(connection)
        return connection

    def fetch_roots(self, tables: Iterable[Table]) -> None:
        """Fetch the first pages of several tables at once."""
        roots = [table.root_page for table in tables if 1 <= table.root_page <= self.header.page_count]
        self.file.fetch_pages(np.array(roots, np.int64), self.header.page_size)

    def fetch_table(self, table: Table | None, within: IdRange = EVERY_ID) -> None:
        """Fetch the pages of a table at once; what is left out, as its tree is unusual, is fetched when it is read.

        within: a range of rowids. Raises DatabaseError for a range of a tree that is none.
        """
        if table is None or table.rowid is None:
            return
        pages = self._all_pages()
        try:
            everything = within.is_everything
            leaves = (
                leaf_pages(pages, table.root_page)
                if everything
                else leaves_between(pages, table.root_page, within).page
            )
        except UnusualPagesError:
            return
        self.file.fetch_pages(leaves, self.header.page_size)


@contextmanager
def open_partial(reader: RangeReader, path: Path, manner: Manner = USUAL) -> Iterator[PartialSource]:
    """A remote database, read through a local file that is made at `path` and stays there.

    Raises DatabaseError for what is wrong with the file, and what the reader raises as it was.
    """
    file = PartialFile(reader, path, manner)
    vfs = RangedVFS(file)
    try:
        header = read_header(file.read(0, HEADER_BYTES), file.size_bytes)
        yield PartialSource(path, header, file.descriptor, file=file, vfs=vfs)
    except (apsw.Error, MailtideError, OSError):
        if vfs.failure is not None:
            raise vfs.failure from None
        raise
    finally:
        vfs.unregister()
        file.close()
