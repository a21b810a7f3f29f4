"""The b-tree of a remote table, read in part: a first sample of every level, then where the most may be wrong. No numpy.

Always the same pages for the same file. What comes in a block that was fetched for another page is taken too: rows that were
inserted in order lie side by side, and of rows in random order a block is a sample of leaves from everywhere.
"""

from collections.abc import Sequence
from itertools import pairwise

from mailtide.database.btree import MAX_DEPTH, Page, TreeReader
from mailtide.database.ranged import BlockCache
from mailtide.database.row_estimate import Gap, estimate_rows
from mailtide.errors import BudgetExceededError

_ALL_OF_A_LEVEL = 0.9
_SOME_OF_A_LEVEL = 0.4
"""Parts of the requests left: a level of interior pages is read whole for so many, else sampled for as many."""
_FIRST_LEAVES = 64
_LEAST_AT_ONCE, _MOST_AT_ONCE = 8, 32
_GOLDEN = 0.6180339887498949
"""Moves the stops of a sample out of step with whatever returns regularly in the table."""
_ERROR = 0.05 / 3.3
"""Standard error of a chunk's rows that is aimed at: 5 % are seldom exceeded then in any chunk."""
_MOST_NODES = 400_000
"""Known pages: a guard of memory; four times what was met with 3,000,000 rows."""


class Node:
    """A subtree: ids above `low` up to `last`. rows: counted when `known`, else estimated."""

    __slots__ = ("children", "depth", "known", "last", "low", "number", "rows")

    def __init__(self, number: int, depth: int, low: int, last: int) -> None:
        self.number, self.depth, self.low, self.last = number, depth, low, last
        self.known, self.rows = False, 0.0
        self.children: list[Node] = []

    @property
    def span(self) -> int:
        """Ids between its bounds, at least 1."""
        return self.last - self.low


class SampledTree:
    """root: the b-tree's first page. chunks: rows are to be known well enough for so many. most: requests for all but borders.

    Raises DatabaseError, SourceChangedError and BudgetExceededError.
    """

    def __init__(self, cache: BlockCache, reader: TreeReader, root: int, *, chunks: int, most: int) -> None:
        self._cache, self.reader, self._chunks, self._most = cache, reader, chunks, most
        first, self._leaf_depth = self._edge(root, 0)
        last, depth = self._edge(root, -1)
        if depth != self._leaf_depth:
            raise reader.damaged("is not of even depth")
        self.is_empty = first is None or last is None
        self._levels = [[Node(root, 0, (first or 0) - 1, max(first or 0, last or 0))]]
        self._gaps: list[list[Gap]] = []
        if not self.is_empty:
            self._sample_levels()
            self._refine()

    @property
    def root(self) -> Node:
        """The whole table."""
        return self._levels[0][0]

    def _edge(self, number: int, side: int) -> tuple[int | None, int]:
        """The first (side 0) or the last (-1) id, and the depth of its leaf."""
        for depth in range(MAX_DEPTH):
            page = self.reader.page(number)
            if page.is_leaf:
                ids = self.reader.keys(page)
                return (ids[side] if ids else None), depth
            number = page.children[side]
        raise self.reader.damaged("has no end")

    def read(self, node: Node) -> Page:
        """The page of a subtree, which is known from then on."""
        page = self.reader.page(node.number)
        if page.is_leaf is not (node.depth == self._leaf_depth):
            raise self.reader.damaged("is not of even depth")
        if not node.known:
            node.known = True
            if page.is_leaf:
                node.rows = float(page.cells)
            else:
                node.children = self._children(node, page)
        return page

    def _children(self, node: Node, page: Page) -> list[Node]:
        bounds = [node.low, *self.reader.keys(page), node.last]
        if any(low >= last for low, last in pairwise(bounds)):
            raise self.reader.damaged("has ids out of order")
        steps = zip(page.children, pairwise(bounds), strict=True)
        return [Node(number, node.depth + 1, low, last) for number, (low, last) in steps]

    def _sample_levels(self) -> None:
        for depth in range(self._leaf_depth + 1):
            self._take_what_is_here()
            level = self._levels[depth]
            for index in self._stops(level, is_leaf=depth == self._leaf_depth):
                if self._cache.requests < self._most:
                    self.read(level[index])
            if depth < self._leaf_depth:
                self._levels.append([])
        self.measure()

    def _stops(self, level: Sequence[Node], *, is_leaf: bool) -> Sequence[int]:
        """Indices of the pages to read first: all, or some from everywhere."""
        left = self._most - self._cache.requests
        unread = sum(not node.known for node in level)
        if is_leaf:
            wanted = min(left // 3, _FIRST_LEAVES)
        else:
            wanted = unread if unread <= _ALL_OF_A_LEVEL * left else int(_SOME_OF_A_LEVEL * left)
        if wanted >= unread:
            return range(len(level))
        return [int((step + step * _GOLDEN % 1) * len(level) / wanted) for step in range(wanted)]

    def _take_what_is_here(self) -> None:
        """Know every page whose block was fetched already, from the root down."""
        for depth, level in enumerate(self._levels):
            for node in level:
                if not node.known and self.reader.is_here(node.number):
                    self.read(node)
            if depth + 1 < len(self._levels):
                self._levels[depth + 1] = [child for node in level for child in node.children]
        if sum(len(level) for level in self._levels) > _MOST_NODES:
            raise BudgetExceededError(f"The b-tree of contacts has more than {_MOST_NODES} pages in its interior ones.")

    def measure(self) -> None:
        """Estimate the rows of every known subtree, from the leaves up."""
        self._take_what_is_here()
        self._gaps = []
        for level in reversed(self._levels):
            for node in level:
                if node.children:
                    node.rows = sum([child.rows for child in node.children])
            self._gaps.insert(0, estimate_rows(level))

    def _refine(self) -> None:
        """Read the middles of the gaps in which the most may be wrong, until that is little enough or no request is left."""
        while self._cache.requests < self._most:
            before = self._cache.requests
            at_once = max(_LEAST_AT_ONCE, min(_MOST_AT_ONCE, (self._most - before) // 5))
            for node in self._doubtful()[:at_once]:
                self._read_to_a_leaf(node)
            if self._cache.requests == before:
                return
            self.measure()

    def _read_to_a_leaf(self, node: Node) -> None:
        while self._cache.requests < self._most:
            self.read(node)
            if not node.children:
                return
            node = node.children[len(node.children) // 2]

    def _doubtful(self) -> list[Node]:
        """The middles of gaps in chunks that are not known well enough, the widest variance first."""
        variances = [0.0] * self._chunks
        found = []
        for level, gaps in zip(self._levels, self._gaps, strict=True):
            # What is known of some subtrees stands for the unread ones beside them.
            rows = sum(node.rows for node in level)
            times = (self.root.rows / rows) ** 2 if rows else 1.0
            for gap in gaps:
                chunk = min(self._chunks - 1, int(gap.share * self._chunks))
                variances[chunk] += gap.variance * times
                found.append((gap.variance * times, chunk, level[(gap.first + gap.last) // 2]))
        aim = (_ERROR * self.root.rows / self._chunks) ** 2
        wanting = [(variance, node) for variance, chunk, node in found if variances[chunk] > aim]
        return [node for _, node in sorted(wanting, key=lambda item: -item[0])]
