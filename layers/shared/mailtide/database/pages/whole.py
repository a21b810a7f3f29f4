"""The b-tree of a table or an index, whole: its leaves, and what its upper pages and the leaves of an index prove."""

from dataclasses import dataclass

import numpy as np

from mailtide.database.header import Header
from mailtide.database.pages.file import PageFile, PageReader, UnusualPagesError
from mailtide.database.pages.layout import (
    INDEX_INTERIOR,
    INDEX_LEAF,
    MIN_CELL_BYTES,
    MIN_HEADER_BYTES,
    TABLE_INTERIOR,
    TABLE_LEAF,
    is_sound,
    pointers,
)
from mailtide.database.pages.tree import batches, varints
from mailtide.rules.columns import Int32, Int64, UInt8

_LEAF_OF = {TABLE_INTERIOR: TABLE_LEAF, INDEX_INTERIOR: INDEX_LEAF}
_MAX_DEPTH = 12
_CHILD_BYTES = 4
_LOCK_BYTE = 1 << 30
"""Where SQLite locks a file; the page there is never used (fileformat2.html, section 1.4)."""


@dataclass(frozen=True, slots=True)
class WholeTree:
    """The leaves of a b-tree, in the order of their keys; every array has shape (l,)."""

    pages: Int64
    upper: Int64
    """In a table: no rowid of the leaf is above it, and all of the next leaf are. In an index without meaning."""
    entries: int
    """The cells above the leaves, which in an index hold entries too."""
    is_sound: bool
    """Whether the layout of the pages above the leaves is proven."""


class PagesSeen:
    """The pages that b-trees of one file consist of; each may be in one place only."""

    def __init__(self, header: Header) -> None:
        self._seen = np.zeros(header.page_count + 1, np.bool_)
        lock_page = _LOCK_BYTE // header.page_size + 1
        if lock_page <= header.page_count:
            self._seen[lock_page] = True

    def add(self, pages: Int64) -> None:
        """Raises UnusualPagesError where a page is none of the file's, or in a tree already."""
        if not ((pages >= 2) & (pages < len(self._seen))).all() or self._seen[pages].any():
            raise UnusualPagesError
        self._seen[pages] = True
        if np.count_nonzero(np.bincount(pages) > 1):
            raise UnusualPagesError


def whole_tree(file: PageFile, root: int, interior: int, seen: PagesSeen) -> WholeTree:
    """The leaves of a b-tree whose upper pages are of the kind `interior`. Raises UnusualPagesError."""
    reader = PageReader(file)
    level, upper = np.array([root], np.int64), np.array([np.iinfo(np.int64).max])
    entries, sound = 0, True
    for _ in range(_MAX_DEPTH):
        seen.add(level)
        if reader.read(level[:1])[0] == _LEAF_OF[interior]:
            return WholeTree(level, upper, entries, sound)
        places, bounds = [], []
        ends = 0
        for batch in batches(file, level):
            found = _children(file.header, reader.read(batch), upper[ends : ends + len(batch)], interior)
            ends += len(batch)
            places.append(found.pages)
            bounds.append(found.upper)
            entries += found.entries
            sound = sound and found.is_sound
        level, upper = np.concatenate(places), np.concatenate(bounds)
    raise UnusualPagesError


def _children(header: Header, buffer: UInt8, upper: Int64, interior: int) -> WholeTree:
    """The pages below some pages, of which each has an upper bound; shape (p,)."""
    count = len(upper)
    found = pointers(header, buffer, count, interior)
    number, key_end = varints(buffer, found.start + _CHILD_BYTES)
    # In an index the number is the size of the entry that follows.
    end = key_end if interior == TABLE_INTERIOR else _entry_ends(header, buffer, number, key_end)
    sound = end is not None and bool(found.cells.all()) and is_sound(header, buffer, found, end)
    last = np.cumsum(found.cells + 1) - 1
    at = np.empty(len(found.start) + count, np.int32)
    bounds = np.empty(len(at), np.int64)
    is_last = np.zeros(len(at), np.bool_)
    is_last[last] = True
    at[~is_last], bounds[~is_last] = found.start, number
    at[is_last], bounds[is_last] = np.arange(count, dtype=np.int32) * header.page_size + 8, upper
    pages = np.zeros(len(at), np.int64)
    for index in range(_CHILD_BYTES):
        pages = pages << 8 | buffer.take(at + index)
    return WholeTree(pages, bounds, len(found.start), sound)


def _entry_ends(header: Header, buffer: UInt8, size: Int64, start: Int32) -> Int32 | None:
    """Where entries of an index end; None where one is not whole on its page, or does not begin as a record does."""
    longest = (header.usable_size - 12) * 64 // 255 - 23
    if (size < MIN_HEADER_BYTES).any() or (size > longest).any() or (buffer.take(start) < MIN_HEADER_BYTES).any():
        return None
    return start + size.astype(np.int32)


def index_entries(header: Header, buffer: UInt8, count: int) -> int | None:
    """The number of entries in the `count` leaf pages of an index, None where their layout is not proven.

    Raises UnusualPagesError.
    """
    found = pointers(header, buffer, count, INDEX_LEAF)
    size, start = varints(buffer, found.start)
    end = _entry_ends(header, buffer, size, start)
    if end is None or not is_sound(header, buffer, found, np.maximum(end, found.start + MIN_CELL_BYTES)):
        return None
    return len(end)
