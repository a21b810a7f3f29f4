"""Where to cut the ids of a remote table so that each range holds as many rows: from interior pages and sampled leaves.

The b-tree is sampled until the rows of its subtrees are known well enough. A border is then looked for from the root down
along the sums, reading the pages on its way, to one id in one leaf. No numpy.
"""

from bisect import bisect_left
from itertools import accumulate

from mailtide.database.btree import Page, TreeReader
from mailtide.database.estimate import DatabaseFacts
from mailtide.database.header import HEADER_BYTES, read_header
from mailtide.database.ranged import BlockCache, RangeReader
from mailtide.database.sampled_tree import Node, SampledTree

MAX_REQUESTS = 384
MAX_BYTES = 24 << 20
_REQUESTS_A_BORDER = 3
_ROUNDS = 3
LARGEST_ID = (1 << 63) - 1


def chunk_borders(
    reader: RangeReader, facts: DatabaseFacts, chunks: int, *, max_requests: int = MAX_REQUESTS
) -> list[int]:
    """The last ids of all chunks but the last, strictly ascending; fewer when there are not so many rows.

    The chunks hold equal counts within a few per cent. Raises DatabaseError, SourceChangedError, and BudgetExceededError
    where `max_requests` requests or MAX_BYTES bytes are not enough for a first sample.
    """
    if chunks < 2 or not facts.ids_are_rowids:
        return []
    cache = BlockCache(reader, max_requests, MAX_BYTES)
    header = read_header(cache.read(0, HEADER_BYTES), cache.size_bytes)
    most = max_requests - min(_REQUESTS_A_BORDER * chunks, max_requests // 2)
    tree = SampledTree(cache, TreeReader(cache, header), facts.contacts_root, chunks=chunks, most=most)
    if tree.is_empty:
        return []
    for _ in range(_ROUNDS):
        before = cache.requests
        found = [_border(tree, part / chunks * tree.root.rows, cache, max_requests) for part in range(1, chunks)]
        if cache.requests == before:
            break
        # The pages on the way were read, perhaps for the first time: what they say counts.
        tree.measure()
    return sorted({border for border in found if tree.root.low < border < tree.root.last})


def _border(tree: SampledTree, wanted: float, cache: BlockCache, max_requests: int) -> int:
    """The id after about so many rows; one at the edge of a page where no request is left to read it."""
    node = tree.root
    while node.known or cache.requests < max_requests:
        page = tree.read(node)
        if page.is_leaf:
            return _id_in(tree, node, page, wanted)
        if not any(child.rows for child in node.children):
            for child in node.children:
                child.rows = node.rows / len(node.children)
        sums = list(accumulate(child.rows for child in node.children))
        index = min(bisect_left(sums, wanted), len(sums) - 1)
        wanted -= sums[index - 1] if index else 0.0
        node = node.children[index]
    return node.last


def _id_in(tree: SampledTree, leaf: Node, page: Page, wanted: float) -> int:
    ids = tree.reader.keys(page)
    if not ids or wanted >= len(ids):
        return leaf.last
    index = round(wanted) - 1
    return ids[index] if index >= 0 else leaf.low
