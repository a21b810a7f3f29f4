"""How many contacts a remote database holds, from its header, its schema and a sample of one b-tree. No numpy.

The file format: https://www.sqlite.org/fileformat2.html. A table's b-tree is walked level by level. A level of few pages
is read whole; of a larger one, runs of neighbouring children are sampled, spread evenly, because neighbours lie side by
side in the file and come in one request. The estimate of a level is the mean of its sampled pages times their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from mailtide.database.header import HEADER_BYTES, MISSING_WAL_WARNING, Header, read_header
from mailtide.database.ranged import BLOCK_BYTES, BlockCache, RangeReader, open_ranged
from mailtide.database.schedules_schema import plan_preparation
from mailtide.database.schema import read_schema
from mailtide.errors import DatabaseError

_INTERIOR_TABLE, _LEAF_TABLE = b"\x05", b"\x0d"
_MAX_DEPTH = 20
_INTERIOR_SAMPLES = 16
_LEAF_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What planning knows of a database that it has not downloaded."""

    contacts_estimate: int
    page_size: int
    size_bytes: int
    encoding: str
    journal_mode_wal: bool
    tables: list[str]
    warnings: list[str]
    requests: int
    bytes_read: int


def inspect_database(reader: RangeReader) -> DatabaseFacts:
    """Check header and schema as the pass does, and estimate the rows of contacts, by a few dozen ranged reads.

    Raises DatabaseError for a file that the pass would refuse by its header or schema, SourceChangedError, and
    BudgetExceededError.
    """
    cache = BlockCache(reader)
    header = read_header(cache.read(0, HEADER_BYTES), cache.size_bytes)
    with open_ranged(cache) as connection:
        schema = read_schema(connection)
        plan_preparation(connection, schema)
        root = schema.contacts.root_page
        warnings = list(schema.warnings)
    if header.is_wal:
        warnings.insert(0, MISSING_WAL_WARNING)
    return DatabaseFacts(
        contacts_estimate=_Tree(cache, header).estimate(root),
        page_size=header.page_size,
        size_bytes=cache.size_bytes,
        encoding=header.codec,
        journal_mode_wal=header.is_wal,
        tables=schema.names,
        warnings=warnings,
        requests=cache.requests,
        bytes_read=cache.bytes_read,
    )


@dataclass(frozen=True, slots=True)
class _Page:
    """One page of a table's b-tree: its cells, and the children of an interior one."""

    cells: int
    children: list[int]

    @property
    def is_leaf(self) -> bool:
        return not self.children


class _Tree:
    """Reads pages of a table's b-tree, trusting none of them."""

    def __init__(self, cache: BlockCache, header: Header) -> None:
        self._cache, self._header = cache, header

    def estimate(self, root: int) -> int:
        """Rows of the table whose b-tree starts at page `root`."""
        level, pages = [self._page(root)], 1.0
        for _ in range(_MAX_DEPTH):
            leaves = [page for page in level if page.is_leaf]
            if len(leaves) == len(level):
                return round(fmean(page.cells for page in level) * pages)
            if leaves:
                raise DatabaseError("The database is damaged: the b-tree of contacts is not of even depth.")
            level, pages = self._next_level(level, pages)
        raise DatabaseError("The database is damaged: the b-tree of contacts has no end.")

    def _next_level(self, level: list[_Page], pages: float) -> tuple[list[_Page], float]:
        """Sampled pages of the level below, and the estimated number of all of its pages."""
        below = fmean(len(page.children) for page in level) * pages
        children = [child for page in level for child in page.children]
        known = frozenset(children)
        wanted = _LEAF_SAMPLES if self._page(children[0]).is_leaf else _INTERIOR_SAMPLES
        sample: dict[int, _Page] = {}
        for child in _spread(children, wanted):
            sample[child] = self._page(child)
            if sample[child].is_leaf:
                sample |= {other: self._page(other) for other in self._block_mates(child) if other in known}
        return list(sample.values()), below

    def _block_mates(self, number: int) -> range:
        """The pages in the block of one that was just fetched, which cost no request."""
        per_block = max(1, BLOCK_BYTES // self._header.page_size)
        start = (number - 1) // per_block * per_block + 1
        return range(start, start + per_block)

    def _page(self, number: int) -> _Page:
        size = self._header.page_size
        if not 1 <= number <= self._header.page_count:
            raise DatabaseError(
                f"The database is damaged: the b-tree of contacts names page {number}, which is not there."
            )
        data = self._cache.read((number - 1) * size, size)
        start = HEADER_BYTES if number == 1 else 0
        kind, cells = data[start : start + 1], int.from_bytes(data[start + 3 : start + 5], "big")
        if kind not in (_INTERIOR_TABLE, _LEAF_TABLE) or len(data) < size:
            raise DatabaseError(f"The database is damaged: page {number} of contacts is not a page of a table.")
        pointers = start + (12 if kind == _INTERIOR_TABLE else 8)
        if pointers + 2 * cells > self._header.usable_size:
            raise DatabaseError(f"The database is damaged: page {number} of contacts counts {cells} cells.")
        children = self._children(data, start, pointers, cells, number) if kind == _INTERIOR_TABLE else []
        return _Page(cells, children)

    def _children(self, data: bytes, start: int, pointers: int, cells: int, number: int) -> list[int]:
        offsets = [int.from_bytes(data[at : at + 2], "big") for at in range(pointers, pointers + 2 * cells, 2)]
        if any(not pointers <= offset <= self._header.usable_size - 5 for offset in offsets):
            raise DatabaseError(f"The database is damaged: page {number} of contacts has a cell outside of it.")
        children = [int.from_bytes(data[offset : offset + 4], "big") for offset in offsets]
        return [*children, int.from_bytes(data[start + 8 : start + 12], "big")]


def _spread(items: Sequence[int], wanted: int) -> list[int]:
    """At most `wanted` items, evenly spread; none twice."""
    if len(items) <= wanted:
        return list(items)
    return [items[(2 * index + 1) * len(items) // (2 * wanted)] for index in range(wanted)]
