"""Pages of a table's b-tree over ranged reads, trusting none of them. No numpy.

The file format: https://www.sqlite.org/fileformat2.html, section 1.6.
"""

import itertools
from dataclasses import dataclass, replace

from mailtide.database.header import HEADER_BYTES, Header
from mailtide.database.ranged import BLOCK_BYTES, BlockCache
from mailtide.errors import DatabaseError

MAX_DEPTH = 20
_INTERIOR_TABLE, _LEAF_TABLE = b"\x05", b"\x0d"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a table's b-tree: its cells, and the children of an interior one."""

    number: int
    cells: int
    children: list[int]
    data: bytes
    start: int
    """Where the page's own header begins: after the file's on page 1."""

    @property
    def is_leaf(self) -> bool:
        """Whether it holds rows."""
        return not self.children


class TreeReader:
    """Reads pages of the b-tree of one table. name: of the table, for errors."""

    def __init__(self, cache: BlockCache, header: Header, name: str = "contacts") -> None:
        self._cache, self._header, self._name = cache, header, name

    def page(self, number: int) -> Page:
        """One page. DatabaseError when it is none of a table."""
        size = self._header.page_size
        if not 1 <= number <= self._header.page_count:
            raise self.damaged(f"names page {number}, which is not there")
        data = self._cache.read((number - 1) * size, size)
        start = HEADER_BYTES if number == 1 else 0
        kind, cells = data[start : start + 1], int.from_bytes(data[start + 3 : start + 5], "big")
        if kind not in (_INTERIOR_TABLE, _LEAF_TABLE) or len(data) < size:
            raise DatabaseError(f"The database is damaged: page {number} of {self._name} is not a page of a table.")
        pointers = start + (12 if kind == _INTERIOR_TABLE else 8)
        if pointers + 2 * cells > self._header.usable_size:
            raise DatabaseError(f"The database is damaged: page {number} of {self._name} counts {cells} cells.")
        page = Page(number, cells, [], data, start)
        return replace(page, children=self._children(page, number)) if kind == _INTERIOR_TABLE else page

    def damaged(self, what: str) -> DatabaseError:
        """The error for a b-tree that is not one."""
        return DatabaseError(f"The database is damaged: the b-tree of {self._name} {what}.")

    def is_here(self, number: int) -> bool:
        """Whether a page was fetched with another one: reading it costs no request."""
        return self._cache.holds((number - 1) * self._header.page_size)

    def block_mates(self, number: int) -> range:
        """The pages in the block of one that was just fetched, which cost no request."""
        per_block = max(1, BLOCK_BYTES // self._header.page_size)
        start = (number - 1) // per_block * per_block + 1
        return range(start, start + per_block)

    def _children(self, page: Page, number: int) -> list[int]:
        offsets = self._offsets(page, 12)
        if any(not page.start + 12 <= offset <= self._header.usable_size - 5 for offset in offsets):
            raise DatabaseError(f"The database is damaged: page {number} of {self._name} has a cell outside of it.")
        children = [int.from_bytes(page.data[offset : offset + 4], "big") for offset in offsets]
        last = int.from_bytes(page.data[page.start + 8 : page.start + 12], "big")
        return [*children, last]

    @staticmethod
    def _offsets(page: Page, header_bytes: int) -> list[int]:
        pointers = page.start + header_bytes
        return [int.from_bytes(page.data[at : at + 2], "big") for at in range(pointers, pointers + 2 * page.cells, 2)]

    def keys(self, page: Page) -> list[int]:
        """The rowids of a leaf's cells, or the largest rowid of each child of an interior page but for the last one's.

        DatabaseError when they do not ascend.
        """
        found = []
        for offset in self._offsets(page, 8 if page.is_leaf else 12):
            at = _skip_varint(page.data, offset) if page.is_leaf else offset + 4
            found.append(_varint(page.data, at))
        if any(one >= other for one, other in itertools.pairwise(found)):
            raise self.damaged("has ids out of order")
        return found


def _skip_varint(data: bytes, at: int) -> int:
    """Where the next value begins."""
    for length in range(1, 9):
        if at + length > len(data) or data[at + length - 1] < 0x80:
            return at + length
    return at + 9


def _varint(data: bytes, at: int) -> int:
    """A rowid: up to nine bytes, 64 bits with a sign. Bytes beyond the page count as zeros."""
    value = 0
    for index in range(9):
        byte = data[at + index] if at + index < len(data) else 0
        if index == 8:
            value = value << 8 | byte
            break
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value
    return value - (1 << 64) if value >= 1 << 63 else value
