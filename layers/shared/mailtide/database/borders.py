"""Where to cut the ids of a remote table so that each range holds as many rows: from interior pages and sampled leaves.

The b-tree is read from the top. Of each level some pages are read, and more of them where neighbours differ; what lies between
two read pages is taken to change evenly from one to the other. So each known subtree gets an estimate of its rows. A border is
then looked for from the root down along the sums, reading the pages on its way, to one id in one leaf. No numpy.
"""

import heapq
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from mailtide.database.btree import MAX_DEPTH, Page, TreeReader
from mailtide.database.estimate import DatabaseFacts
from mailtide.database.header import HEADER_BYTES, read_header
from mailtide.database.ranged import BlockCache, RangeReader

MAX_REQUESTS = 384
MAX_BYTES = 24 << 20
_INTERIOR_REQUESTS = 64
"""For each level; pages that lie near each other come in one request."""
_LEAF_REQUESTS = 120
_REFINEMENTS = 48
_SMALL_DOUBT = 0.002
"""Of all rows: less may be hidden between two read pages."""
_ALIKE = 0.6
_BORDER_ROUNDS = 3
LARGEST_ID = (1 << 63) - 1


@dataclass(slots=True)
class _Node:
    """A subtree. last: no id in it is larger; None for the last subtree of the table."""

    number: int
    last: int | None
    page: Page | None = None
    children: list["_Node"] = field(default_factory=list)
    rows: float = 0.0

    @property
    def weight(self) -> float:
        """What a read page says by itself: children of an interior one, rows of a leaf."""
        return float(self.page.cells + (not self.page.is_leaf)) if self.page is not None else 0.0


def chunk_borders(
    reader: RangeReader, facts: DatabaseFacts, chunks: int, *, max_requests: int = MAX_REQUESTS
) -> list[int]:
    """The last ids of all chunks but the last, strictly ascending; fewer when there are not so many rows.

    The chunks hold equal counts within a few per cent. Raises DatabaseError, SourceChangedError, and BudgetExceededError
    after `max_requests` requests or MAX_BYTES bytes.
    """
    if chunks < 2 or not facts.ids_are_rowids:
        return []
    cache = BlockCache(reader, max_requests, MAX_BYTES)
    header = read_header(cache.read(0, HEADER_BYTES), cache.size_bytes)
    tree = _Tree(cache, TreeReader(cache, header), facts.contacts_root)
    found = [tree.border(part / chunks) for part in range(1, chunks)]
    return sorted({border for border in found if border is not None and border < LARGEST_ID})


class _Tree:
    """The sampled b-tree."""

    def __init__(self, cache: BlockCache, reader: TreeReader, root: int) -> None:
        self._cache, self._reader = cache, reader
        self._levels: list[list[_Node]] = [[_Node(root, None)]]
        """Of each level the nodes whose parents are read, ascending by id."""
        for _ in range(MAX_DEPTH):
            if not self._sample_level():
                break
        else:
            raise reader.damaged("has no end")
        self._count()
        for depth in range(len(self._levels) - 2, 0, -1):
            self._refine(depth)
        self._settle_leaves()

    def _sample_level(self) -> bool:
        """Read some pages of the lowest level; False when they are leaves."""
        nodes = self._levels[-1]
        is_leaf = self._read(nodes[0]).is_leaf
        self._sample(nodes, _LEAF_REQUESTS if is_leaf else _INTERIOR_REQUESTS)
        if not is_leaf:
            self._levels.append([child for node in nodes for child in node.children])
        return not is_leaf

    def _sample(self, nodes: Sequence[_Node], requests: int) -> None:
        """Evenly at first; then ever the middle of the stretch in which the most may be hidden."""
        by_number = {node.number: node for node in nodes}
        most = self._cache.requests + requests
        steps = min(len(nodes) - 1, requests * 2 // 3)
        stops = sorted({round(step * (len(nodes) - 1) / max(1, steps)) for step in range(steps + 1)})
        for index in stops:
            self._read_beside(nodes[index], by_number)
        gaps = [_gap(nodes, first, last) for first, last in pairwise(stops)]
        heapq.heapify(gaps)
        while gaps and self._cache.requests < most:
            _, first, last = heapq.heappop(gaps)
            middle = (first + last) // 2
            if middle == first:
                continue
            self._read_beside(nodes[middle], by_number)
            heapq.heappush(gaps, _gap(nodes, first, middle))
            heapq.heappush(gaps, _gap(nodes, middle, last))

    def _read_beside(self, node: _Node, by_number: dict[int, _Node]) -> None:
        """Read a page, and those nodes that came with it in one request."""
        self._read(node)
        for number in self._reader.block_mates(node.number):
            if number in by_number:
                self._read(by_number[number])

    def _read(self, node: _Node) -> Page:
        if node.page is None:
            page = self._reader.page(node.number)
            node.page = page
            if not page.is_leaf:
                lasts: list[int | None] = [*self._reader.keys(page), node.last]
                node.children = [_Node(child, last) for child, last in zip(page.children, lasts, strict=True)]
                if node.last is not None and any(last is not None and last > node.last for last in lasts):
                    raise self._reader.damaged("has ids out of order")
        return node.page

    def _count(self) -> None:
        """Estimate the rows of every known subtree, from the leaves up."""
        for level in reversed(self._levels):
            _estimate(level)

    def _refine(self, depth: int) -> None:
        """Read more subtrees of a level where neighbours differ in what was found below them."""
        for _ in range(_REFINEMENTS):
            level = self._levels[depth]
            gaps = _doubtful(level, _SMALL_DOUBT * sum(node.rows for node in self._levels[0]))
            if not gaps:
                return
            _, first, last = max(gaps)
            node = level[(first + last) // 2]
            while not self._read(node).is_leaf:
                node = node.children[len(node.children) // 2]
            self._relevel()
            self._count()

    def _settle_leaves(self) -> None:
        """Read more leaves where their neighbours differ, widest differences first."""
        leaves = self._levels[-1]
        least = _SMALL_DOUBT / 4 * sum(node.rows for node in self._levels[0])
        gaps = [(-doubt, first, last) for doubt, first, last in _doubtful(leaves, least)]
        heapq.heapify(gaps)
        most = self._cache.requests + _LEAF_REQUESTS
        while gaps and self._cache.requests < most:
            _, first, last = heapq.heappop(gaps)
            middle = (first + last) // 2
            self._read(leaves[middle])
            for one, other in ((first, middle), (middle, last)):
                doubt = _doubt(leaves, one, other)
                if doubt > least:
                    heapq.heappush(gaps, (-doubt, one, other))
        self._count()

    def _relevel(self) -> None:
        for depth in range(1, len(self._levels)):
            self._levels[depth] = [child for node in self._levels[depth - 1] for child in node.children]

    def border(self, share: float) -> int | None:
        """The id up to which this share of all rows stands; None when that is all of them, or none."""
        for _ in range(_BORDER_ROUNDS):
            before = sum(node.rows for node in self._levels[0])
            border = self._descend(share * before)
            # The pages on the way were read, perhaps for the first time: what they say counts.
            self._count()
            after = sum(node.rows for node in self._levels[0])
            if abs(after - before) * 1000 < before:
                break
        return border

    def _descend(self, wanted: float) -> int | None:
        """The id after about so many rows."""
        node = self._levels[0][0]
        for depth in range(MAX_DEPTH):
            if self._read(node).is_leaf:
                return self._id_in(node, self._read(node), wanted)
            if depth + 1 >= len(self._levels):
                raise self._reader.damaged("is not of even depth")
            self._admit(node)
            sums = list(accumulate(child.rows for child in node.children))
            index = min(bisect_left(sums, wanted), len(sums) - 1)
            wanted -= sums[index - 1] if index else 0.0
            node = node.children[index]
        raise self._reader.damaged("has no end")

    def _admit(self, node: _Node) -> None:
        """See to it that the children of a node that was just read have estimates that sum up to its own."""
        if any(child.rows for child in node.children):
            return
        for child in node.children:
            child.rows = node.rows / len(node.children)
        self._relevel()

    def _id_in(self, leaf: _Node, page: Page, wanted: float) -> int | None:
        ids = self._reader.keys(page)
        if leaf.last is not None and (not ids or wanted >= len(ids)):
            return leaf.last
        index = min(round(wanted), len(ids)) - 1
        if index >= 0:
            return ids[index]
        return ids[0] - 1 if ids and ids[0] > -LARGEST_ID - 1 else None


def _gap(nodes: Sequence[_Node], first: int, last: int) -> tuple[float, int, int]:
    """A stretch of unread nodes between two that are read, the most uncertain first in a heap."""
    one, other = nodes[first].weight, nodes[last].weight
    doubt = (last - first) * (abs(one - other) + 0.1 * (one + other))
    return -doubt, first, last


def _doubtful(level: Sequence[_Node], least: float) -> list[tuple[float, int, int]]:
    """The stretches of unread nodes whose ends differ so that more than `least` rows may be elsewhere than supposed."""
    read = [index for index, node in enumerate(level) if node.page is not None]
    found = [(_doubt(level, one, other), one, other) for one, other in pairwise(read)]
    return [gap for gap in found if gap[0] > least]


def _doubt(level: Sequence[_Node], one: int, other: int) -> float:
    """Rows that may be elsewhere than supposed between two read nodes; 0 where they differ by chance only."""
    fewer, more = sorted(level[index].rows or level[index].weight for index in (one, other))
    return 0.0 if fewer >= _ALIKE * more else (more - fewer) * (other - one - 1) / 2


def _estimate(level: Sequence[_Node]) -> None:
    """Rows of each node of a level: of read ones as they or their children say, of others between the nearest read ones."""
    read = [index for index, node in enumerate(level) if node.page is not None]
    for index in read:
        node = level[index]
        node.rows = sum(child.rows for child in node.children) if node.children else node.weight
    for one, other in pairwise(read):
        for index in range(one + 1, other):
            share = (index - one) / (other - one)
            level[index].rows = (1 - share) * level[one].rows + share * level[other].rows
