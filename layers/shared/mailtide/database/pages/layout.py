"""How the cells of b-tree pages lie: as SQLite's quick_check wants them, or not proven to.

Source: https://www.sqlite.org/fileformat2.html, section 1.6. What is called sound here, quick_check calls sound; what is not
may still be, and is SQLite's to judge.
"""

from dataclasses import dataclass

import numpy as np

from mailtide.database.header import Header
from mailtide.database.pages.file import UnusualPagesError
from mailtide.rules.columns import Int32, Int64, UInt8

TABLE_INTERIOR, TABLE_LEAF = 0x05, 0x0D
INDEX_INTERIOR, INDEX_LEAF = 0x02, 0x0A
HEADER_BYTES = {TABLE_INTERIOR: 12, INDEX_INTERIOR: 12, TABLE_LEAF: 8, INDEX_LEAF: 8}
MIN_CELL_BYTES = 4
MIN_HEADER_BYTES = 2
"""Of a record: its own size and one column."""
_MAX_START = 1 << 16
_LEAF_FLAG = 0x08
_SIZE_BITS = 17


@dataclass(frozen=True, slots=True)
class Pointers:
    """The cell pointers of some pages of one kind that stand in a buffer one after the other."""

    start: Int32
    """Where in the buffer each cell starts, in the order of the pointers; shape (n,)."""
    cells: Int32
    """The number of cells of each page; shape (p,)."""
    page_size: int

    @property
    def page(self) -> Int32:
        """Where in the buffer each page starts, shape (p,)."""
        return np.arange(len(self.cells), dtype=np.int32) * np.int32(self.page_size)


def pointers(header: Header, buffer: UInt8, count: int, kind: int) -> Pointers:
    """Of the first `count` pages of a buffer. Raises UnusualPagesError where one is of another kind, or points out of itself."""
    page_size, usable, header_bytes = header.page_size, header.usable_size, HEADER_BYTES[kind]
    pages = buffer[: count * page_size].reshape(count, page_size)
    cells = _two_bytes(pages, 3)
    most = int(cells.max(initial=0))
    if (pages[:, 0] != kind).any() or header_bytes + 2 * most > usable:
        raise UnusualPagesError
    offset = pages[:, header_bytes : header_bytes + 2 * most].view(">u2")
    offset = offset[np.arange(most, dtype=np.int32) < cells[:, None]].astype(np.int32)
    if int(offset.max(initial=0)) > usable - MIN_CELL_BYTES:
        raise UnusualPagesError
    offset += np.repeat(np.arange(count, dtype=np.int32) * np.int32(page_size), cells)
    return Pointers(offset, cells, page_size)


def _two_bytes(pages: UInt8, at: int) -> Int32:
    return pages[:, at].astype(np.int32) << 8 | pages[:, at + 1]


def is_sound(header: Header, buffer: UInt8, found: Pointers, end: Int32) -> bool:
    """Whether the cells and free blocks of each page lie side by side in its content area, and its header counts the rest.

    end: where in the buffer each cell ends, shape (n,).
    """
    page_size, usable, cells = header.page_size, header.usable_size, found.cells
    count = len(cells)
    pages = buffer[: count * page_size].reshape(count, page_size)
    content = _two_bytes(pages, 5)
    content[content == 0] = _MAX_START
    pointers_end = np.where(pages[:, 0] & _LEAF_FLAG, 8, 12) + 2 * cells
    if (content < pointers_end).any() or (content > usable).any() or (cells > (page_size - 8) // 6).any():
        return False
    blocks = _free_blocks(buffer, _two_bytes(pages, 1), content, page_size, usable)
    if blocks is None:
        return False
    filled = np.flatnonzero(cells)
    held = np.bincount(blocks[0] // page_size, blocks[1], count).astype(np.int64)
    held[filled] += np.add.reduceat(end - found.start, (np.cumsum(cells) - cells)[filled]) if len(filled) else 0
    if (usable - content - held != pages[:, 7]).any():
        return False
    return _are_apart(found, end, blocks, content + found.page, usable)


def _free_blocks(
    buffer: UInt8, first: Int32, content: Int32, page_size: int, usable: int
) -> tuple[Int64, Int64] | None:
    """Where in the buffer the free blocks of the pages start, and their sizes; None where a chain is none."""
    page = np.flatnonzero(first)
    at = first[page].astype(np.int64)
    starts, sizes = [page[:0]], [page[:0]]
    # Each block of a chain lies behind the one before it, so that every chain ends.
    while len(page):
        if (at < content[page]).any() or (at > usable - MIN_CELL_BYTES).any():
            return None
        place = page * page_size + at
        following = buffer.take(place).astype(np.int64) << 8 | buffer.take(place + 1)
        size = buffer.take(place + 2).astype(np.int64) << 8 | buffer.take(place + 3)
        ends = at + size
        if (size < MIN_CELL_BYTES).any() or (ends > usable).any() or ((following > 0) & (following < ends + 4)).any():
            return None
        starts.append(place)
        sizes.append(size)
        more = following > 0
        page, at = page[more], following[more]
    return np.concatenate(starts), np.concatenate(sizes)


def _are_apart(found: Pointers, end: Int32, blocks: tuple[Int64, Int64], content: Int32, usable: int) -> bool:
    """Whether no cell or free block lies over another, or outside of the content area of its page.

    content: where in the buffer that of each page starts.
    """
    start, page_size = found.start, found.page_size
    # Where cells ascend with their pointers, the first and the last of a page say all; only other pages need sorting.
    back = np.flatnonzero(start[1:] < end[:-1])
    ascends = found.cells > 0
    for place in (start[back], start[back + 1], blocks[0]):
        ascends[place // page_size] = False
    last = np.cumsum(found.cells)[ascends] - 1
    first = last + 1 - found.cells[ascends]
    if (start[first] < content[ascends]).any() or (end[last] > found.page[ascends] + usable).any():
        return False
    rows = np.flatnonzero(np.repeat(~ascends, found.cells))
    low: Int64 = np.concatenate((start[rows], blocks[0])).astype(np.int64)
    high: Int64 = np.concatenate((end[rows], blocks[0] + blocks[1])).astype(np.int64)
    page = low // page_size
    if (low < content[page]).any() or (high > page * page_size + usable).any():
        return False
    if not len(blocks[0]) and ((high[1:] <= low[:-1]) | (page[1:] > page[:-1])).all():
        # As SQLite fills a page: from its end to the front.
        return True
    packed = np.sort(low << _SIZE_BITS | (high - low))
    low = packed >> _SIZE_BITS
    high = low + (packed & (1 << _SIZE_BITS) - 1)
    return bool((high[:-1] <= low[1:]).all())
