"""The b-tree of a table, from its root to the cells of its leaves; nothing in it is trusted."""

from dataclasses import dataclass

import numpy as np

from mailtide.database.id_range import LARGEST_ID, SMALLEST_ID, IdRange
from mailtide.database.pages.file import PageFile, PageReader, UnusualPagesError
from mailtide.database.pages.layout import MIN_CELL_BYTES, TABLE_INTERIOR, TABLE_LEAF, is_sound, pointers
from mailtide.errors import DatabaseError
from mailtide.rules.columns import Bool, Int32, Int64, UInt8

_MAX_DEPTH = 20
_MAX_VARINT_BYTES = 9
BATCH_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of some leaf pages, in their order; every array but `counts` has shape (n,)."""

    counts: Int32
    """The number of cells of each page, shape (p,)."""
    rowid: Int64
    start: Int32
    """Where in the buffer the record starts."""
    size: Int32
    """The bytes of the record."""
    is_whole: Bool
    """False where a part of the record is on overflow pages; only the rowid means something then."""
    is_sound: bool
    """Whether all is whole, and the pages' layout is proven."""


def leaf_pages(file: PageFile, root: int) -> Int64:
    """The leaf pages of a table's b-tree, in the order of their rowids. Raises UnusualPagesError."""
    reader = PageReader(file)
    seen = np.zeros(file.header.page_count + 1, np.bool_)
    level = np.array([root], np.int64)
    count = 0
    for _ in range(_MAX_DEPTH):
        if not ((level >= 2) & (level <= file.header.page_count)).all():
            raise UnusualPagesError
        seen[level] = True
        count += len(level)
        if np.count_nonzero(seen) != count:
            # A page twice: the tree is none.
            raise UnusualPagesError
        if reader.read(level[:1])[0] == TABLE_LEAF:
            return level
        level = np.concatenate([_children(file, reader.read(batch), len(batch)) for batch in batches(file, level)])
    raise UnusualPagesError


@dataclass(frozen=True, slots=True)
class Leaves:
    """Leaf pages in the order of their rowids, and between which rowids each must lie, both included; shape (n,)."""

    page: Int64
    low: Int64
    high: Int64

    def __len__(self) -> int:
        return len(self.page)

    def __getitem__(self, rows: slice | Bool) -> "Leaves":
        return Leaves(self.page[rows], self.low[rows], self.high[rows])


def leaves_between(file: PageFile, root: int, within: IdRange) -> Leaves:
    """The leaf pages of a table's b-tree that can hold rowids of a range; no other page is read but those on the way.

    Raises DatabaseError for a tree that is none: every sound file has one.
    """
    reader = PageReader(file)
    seen = np.zeros(file.header.page_count + 1, np.bool_)
    level = Leaves(*(np.array([value], np.int64) for value in (root, SMALLEST_ID, LARGEST_ID)))
    for _ in range(_MAX_DEPTH):
        if not ((level.page >= 2) & (level.page <= file.header.page_count)).all():
            raise _damaged("names a page that is not there")
        if seen[level.page].any() or len(np.unique(level.page)) != len(level):
            raise _damaged("names a page twice")
        seen[level.page] = True
        try:
            if reader.read(level.page[:1])[0] == TABLE_LEAF:
                return level
            step = max(1, BATCH_BYTES // file.header.page_size)
            parts = [level[start : start + step] for start in range(0, len(level), step)]
            found = [_children_between(file, reader.read(part.page), part, within) for part in parts]
        except UnusualPagesError:
            raise _damaged("has a page that is none of a table") from None
        level = Leaves(*(np.concatenate([getattr(part, name) for part in found]) for name in ("page", "low", "high")))
    raise _damaged("has no end")


def _damaged(what: str) -> DatabaseError:
    return DatabaseError(f"The database is damaged: the b-tree of contacts {what}.")


def _children_between(file: PageFile, buffer: UInt8, parents: Leaves, within: IdRange) -> Leaves:
    """Those children of interior pages that can hold rowids of a range."""
    page = _children(file, buffer, len(parents))
    found = pointers(file.header, buffer, len(parents), TABLE_INTERIOR)
    keys, _ = varints(buffer, found.start + 4)
    last = np.cumsum(found.cells + 1) - 1
    is_last = np.zeros(len(page), np.bool_)
    is_last[last] = True
    high = np.empty(len(page), np.int64)
    high[is_last], high[~is_last] = parents.high, keys
    low = np.empty(len(page), np.int64)
    is_first = np.roll(is_last, 1)
    low[is_first], low[~is_first] = parents.low, keys
    # A largest key would leave no rowid for the child after it, and no key of a sound tree does that.
    low[~is_first] += 1
    if (keys == LARGEST_ID).any() or (low > high).any():
        raise _damaged("has ids out of order")
    wanted = (high >= within.low) & (low <= within.high)
    return Leaves(page, low, high)[wanted]


def check_leaves(file: PageFile, buffer: UInt8, leaves: Leaves, rowid: Int64) -> None:
    """Whether the rowids of the leaf pages in a buffer lie where their parents say; DatabaseError where not.

    rowid: of all cells, in the order of the pages.
    """
    pages = buffer[: len(leaves) * file.header.page_size].reshape(len(leaves), -1)
    cells = pages[:, 3].astype(np.int64) << 8 | pages[:, 4]
    end = np.cumsum(cells)
    filled = np.flatnonzero(cells)
    first, last = rowid[(end - cells)[filled]], rowid[end[filled] - 1]
    if ((first < leaves.low[filled]) | (last > leaves.high[filled])).any() or (rowid[1:] <= rowid[:-1]).any():
        raise _damaged("has ids out of order")


def batches(file: PageFile, pages: Int64) -> list[Int64]:
    """The pages in lists of at most BATCH_BYTES."""
    step = max(1, BATCH_BYTES // file.header.page_size)
    return [pages[start : start + step] for start in range(0, len(pages), step)]


def _children(file: PageFile, buffer: UInt8, count: int) -> Int64:
    found = pointers(file.header, buffer, count, TABLE_INTERIOR)
    last = np.cumsum(found.cells + 1) - 1
    at = np.empty(len(found.start) + count, np.int32)
    is_last = np.zeros(len(at), np.bool_)
    is_last[last] = True
    at[~is_last] = found.start
    at[is_last] = np.arange(count, dtype=np.int32) * file.header.page_size + 8
    number = np.zeros(len(at), np.int64)
    for index in range(4):
        number = number << 8 | buffer.take(at + index)
    return number


def leaf_cells(file: PageFile, buffer: UInt8, count: int) -> Cells:
    """The cells of the `count` leaf pages of a table in a buffer of PageReader. Raises UnusualPagesError."""
    header = file.header
    found = pointers(header, buffer, count, TABLE_LEAF)
    long, start = varints(buffer, found.start)
    rowid, start = varints(buffer, start)
    is_whole = (long >= 0) & (long <= header.usable_size - 35)
    all_whole = bool(is_whole.all())
    size = (long if all_whole else np.where(is_whole, long, 0)).astype(np.int32)
    end = start + size
    sound = all_whole and is_sound(header, buffer, found, np.maximum(end, found.start + MIN_CELL_BYTES))
    if not sound:
        low, high = found.page + 8 + 2 * found.cells, found.page + header.usable_size
        outside = (found.start < np.repeat(low, found.cells)) | (is_whole & (end > np.repeat(high, found.cells)))
        if outside.any():
            raise UnusualPagesError
    return Cells(found.cells, rowid, start, size, is_whole, sound)


def varints(buffer: UInt8, at: Int32) -> tuple[Int64, Int32]:
    """SQLite's variable-length integers at the given places, and the places after them; at most nine bytes each."""
    byte = buffer.take(at)
    value = (byte & 0x7F).astype(np.int64)
    more = byte > 0x7F
    at = at + 1
    for index in range(1, _MAX_VARINT_BYTES):
        longer = np.count_nonzero(more)
        if not longer:
            break
        byte = buffer.take(at)
        if index == _MAX_VARINT_BYTES - 1:
            following = value << 8 | byte
        else:
            following = value << 7
            following |= byte & 0x7F
        value = following if longer == len(more) else np.where(more, following, value)
        at = at + more
        more = more & (byte > 0x7F)
    return value, at
