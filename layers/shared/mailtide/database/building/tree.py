"""B-trees from sorted cells: leaves filled to the brim, and over them as many levels of interior pages as it takes."""

from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mailtide.database.building.cells import Cells, Field
from mailtide.database.building.direct import ALIGNMENT, write_all
from mailtide.database.building.encode import varint_bytes
from mailtide.rules.columns import Bool, Int32, Int64, UInt8

TABLE_LEAF, TABLE_INTERIOR, INDEX_LEAF, INDEX_INTERIOR = 0x0D, 0x05, 0x0A, 0x02
_INTERIOR = {TABLE_LEAF: TABLE_INTERIOR, INDEX_LEAF: INDEX_INTERIOR}
_LOCK_BYTE = 1 << 30
_BATCH_BYTES = 4 << 20
_PIECE_CELLS = 1 << 18
_POINTER_BYTES = 2


class PageWriter:
    """Appends pages to an open file; no page of a fitting file is changed but by number. Not for two threads at once."""

    def __init__(self, descriptor: int, page_size: int, page_count: int) -> None:
        self.descriptor, self.page_size, self.page_count = descriptor, page_size, page_count

    def allocate(self, count: int) -> Int64:
        """The numbers of new pages at the end of the file; the page of the lock byte stays free."""
        lock_page = _LOCK_BYTE // self.page_size + 1
        numbers = self.page_count + 1 + np.arange(count, dtype=np.int64)
        numbers += numbers >= lock_page if self.page_count < lock_page else 0
        self.page_count = int(numbers[-1]) if count else self.page_count
        return numbers

    def write(self, numbers: Int64, pages: UInt8) -> None:
        """Write pages, shape (n, page size), to the places of their numbers, which ascend."""
        for low, high in _runs(numbers):
            content = memoryview(pages[low:high]).cast("B")
            write_all(self.descriptor, content, (int(numbers[low]) - 1) * self.page_size)


def _runs(numbers: Int64) -> Iterator[tuple[int, int]]:
    cuts = (np.flatnonzero(np.diff(numbers) != 1) + 1).tolist()
    return zip([0, *cuts], [*cuts, len(numbers)], strict=True)


@dataclass(frozen=True, slots=True)
class _Level:
    """How cells are dealt to pages: page p has the cells first[p] .. end[p] - 1."""

    first: Int64
    end: Int64


def _summed(size: Int32, pool: Executor) -> NDArray[np.int32 | np.int64]:
    """The sum of the sizes before each, and of all; shape (n + 1,)."""
    pieces = [slice(start, start + _PIECE_CELLS) for start in range(0, len(size), _PIECE_CELLS)]
    before = np.cumsum([0, *pool.map(lambda piece: int(size[piece].sum()), pieces)])
    is_narrow = before[-1] < np.iinfo(np.int32).max
    total: NDArray[np.int32 | np.int64] = np.zeros(len(size) + 1, np.int32 if is_narrow else np.int64)

    def add_up(piece: slice, already: int) -> None:
        inside = total[1:][piece]
        np.cumsum(size[piece], out=inside)
        inside += already

    list(pool.map(add_up, pieces, before[:-1].tolist()))
    return total


def _dealt(size: Int32, room: int, pool: Executor, *, separated: bool) -> _Level:
    """Deal cells of these sizes (pointers included) to pages with so much room.

    separated: the cell between two pages is in neither, but moves up; so no page may be left without a cell.
    """
    total = _summed(size, pool)
    view, count = memoryview(total), len(size)
    most = room // max(1, int(size.min())) + 1
    first, ends = [0], []
    while True:
        start = first[-1]
        end = bisect_right(view, view[start] + room, start, min(count, start + most) + 1) - 1
        if separated and end == count - 1:
            end -= 1
        ends.append(end)
        if end == count:
            return _Level(np.array(first, np.int64), np.array(ends, np.int64))
        first.append(end + separated)


def build_tree(
    file: PageWriter, cells: Cells, kind: int, root: int, pool: Executor, rowids: Int32 | Int64 | None = None
) -> None:
    """Write a b-tree whose root is the page `root`. cells: of the leaves, in order; rowids: of a table's cells.

    kind: TABLE_LEAF or INDEX_LEAF. All cells must fit their pages without overflow.
    """
    is_table = kind == TABLE_LEAF
    numbers, separators = _write_level(file, cells, None, kind, root, pool, separated=not is_table)
    while len(numbers) > 1:
        if is_table and rowids is not None:
            keys = rowids[separators]
            width = varint_bytes(keys)
            between = Cells.of(
                [bytes(size) for size in range(1, 10)],
                width - np.int32(1),
                [Field(np.zeros(9, np.int32), np.arange(1, 10, dtype=np.int32), keys, is_varint=True)],
            )
        else:
            between = cells[separators]
        numbers, above = _write_level(file, between, numbers, _INTERIOR[kind], root, pool, separated=True)
        separators = separators[above]


def _write_level(
    file: PageWriter, cells: Cells, children: Int64 | None, kind: int, root: int, pool: Executor, *, separated: bool
) -> tuple[Int64, Int64]:
    """The numbers of the pages, and the cells between them (of a table's leaves: the last of each)."""
    if children is not None:
        cells = cells.with_children(children[:-1])
    header = 8 if children is None else 12
    size = (cells.size + np.int32(_POINTER_BYTES))[cells.which]
    level = _dealt(size, file.page_size - header, pool, separated=separated)
    pages = len(level.first)
    numbers = np.array([root], np.int64) if pages == 1 else file.allocate(pages)
    rightmost = None if children is None else children[level.end]
    step = max(1, _BATCH_BYTES // file.page_size)

    def write(start: int) -> None:
        batch = slice(start, start + step)
        part = _Level(level.first[batch], level.end[batch])
        last = None if rightmost is None else rightmost[batch]
        file.write(numbers[batch], _pages(file.page_size, cells, part, kind, last))

    list(pool.map(write, range(0, pages, step)))
    return numbers, level.end[:-1] - (0 if separated else 1)


def _pages(page_size: int, cells: Cells, level: _Level, kind: int, rightmost: Int64 | None) -> UInt8:
    """The bytes of some pages, shape (n, page size)."""
    count, header = len(level.first), 8 if rightmost is None else 12
    inside = _members(level)
    part = cells[inside] if inside is not None else cells[int(level.first[0]) : int(level.end[-1])]
    held = level.end - level.first
    page = np.repeat(np.arange(count, dtype=np.int32), held)
    size = part.size[part.which]
    behind = np.cumsum(size, dtype=np.int32)
    # The last cell of a page ends where the page does.
    end_of_page = behind[np.cumsum(held) - 1]
    at = (page + 1) * page_size - (np.repeat(end_of_page, held) - behind + size)
    out = _aligned_zeros(count * page_size + cells.templates.shape[1])
    part.fill(out, at)
    pages = out[: count * page_size].reshape(count, page_size)
    offset = at - page * page_size
    content = offset[np.cumsum(held) - held]
    pages[:, :header] = 0
    pages[:, 0] = kind
    _put(pages, 3, held, 2)
    _put(pages, 5, content, 2)
    if rightmost is not None:
        _put(pages, 8, rightmost, 4)
    slot = np.arange(len(page), dtype=np.int32) - np.repeat((np.cumsum(held) - held).astype(np.int32), held)
    pointer = page * page_size + header + slot * _POINTER_BYTES
    out[pointer], out[pointer + 1] = offset >> 8, offset & 0xFF
    return pages


def _aligned_zeros(size: int) -> UInt8:
    """Zeros that start where a write past the cache may."""
    whole = np.zeros(size + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return whole[start : start + size]


def _members(level: _Level) -> Int64 | None:
    """The cells of all pages, None where they follow one another."""
    if (level.first[1:] == level.end[:-1]).all():
        return None
    kept: Bool = np.ones(int(level.end[-1] - level.first[0]), np.bool_)
    kept[level.end[:-1] - level.first[0]] = False
    members: Int64 = np.flatnonzero(kept) + level.first[0]
    return members


def _put(pages: UInt8, at: int, values: Int32 | Int64, width: int) -> None:
    for index in range(width):
        pages[:, at + index] = values >> 8 * (width - 1 - index) & 0xFF
