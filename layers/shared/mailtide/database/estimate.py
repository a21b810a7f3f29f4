"""How many contacts a remote database holds, from its header, its schema and a sample of one b-tree. No numpy.

The file format: https://www.sqlite.org/fileformat2.html. A table's b-tree is walked level by level. A level of few pages
is read whole; of a larger one, runs of neighbouring children are sampled, spread evenly, because neighbours lie side by
side in the file and come in one request. The estimate of a level is the mean of its sampled pages times their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from mailtide.contracts import Likeness
from mailtide.database.btree import MAX_DEPTH, Page, TreeReader
from mailtide.database.header import HEADER_BYTES, MISSING_WAL_WARNING, Header, read_header
from mailtide.database.likeness import likeness_of
from mailtide.database.ranged import BlockCache, RangeReader, open_ranged
from mailtide.database.schedules_schema import plan_preparation
from mailtide.database.schema import Schema, read_schema
from mailtide.errors import DatabaseError

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
    contacts_root: int = 0
    """First page of the b-tree of contacts."""
    ids_are_rowids: bool = False
    """Whether that b-tree is in the order of the contacts' ids."""
    instances_estimate: int = 0
    """Rows of campaign_instances."""


def inspect_database(reader: RangeReader) -> DatabaseFacts:
    """Check header and schema as the pass does, and estimate the rows of contacts, by a few dozen ranged reads.

    Raises DatabaseError for a file that the pass would refuse by its header or schema, SourceChangedError, and
    BudgetExceededError.
    """
    return inspect_and_compare(reader)[0]


def inspect_and_compare(reader: RangeReader) -> tuple[DatabaseFacts, Likeness]:
    """The same, and what the result of a run must have in common with the database, for no request more."""
    cache = BlockCache(reader)
    header = read_header(cache.read(0, HEADER_BYTES), cache.size_bytes)
    tree = _Tree(cache, header)
    with open_ranged(cache) as connection:
        schema = read_schema(connection)
        plan_preparation(connection, schema)
        root = schema.contacts.root_page
        warnings = list(schema.warnings)
        contacts = tree.estimate(root)
        likeness = likeness_of(connection, header, cache.size_bytes, tree.leaves)
    if header.is_wal:
        warnings.insert(0, MISSING_WAL_WARNING)
    facts = DatabaseFacts(
        contacts_estimate=contacts,
        page_size=header.page_size,
        size_bytes=cache.size_bytes,
        encoding=header.codec,
        journal_mode_wal=header.is_wal,
        tables=schema.names,
        warnings=warnings,
        requests=cache.requests,
        bytes_read=cache.bytes_read,
        contacts_root=root,
        ids_are_rowids=schema.contacts.rowid_alias == "id",
        instances_estimate=_instances(cache, header, schema),
    )
    return facts, likeness


def _instances(cache: BlockCache, header: Header, schema: Schema) -> int:
    """Damage is told by whoever reads the rows."""
    table = schema.get("campaign_instances")
    try:
        return _Tree(cache, header).estimate(table.root_page) if table else 0
    except DatabaseError:
        return 0


class _Tree:
    """The b-tree of one table."""

    def __init__(self, cache: BlockCache, header: Header) -> None:
        self._reader = TreeReader(cache, header)
        self.leaves: list[Page] = []
        """Those that were read."""

    def estimate(self, root: int) -> int:
        """Rows of the table whose b-tree starts at page `root`."""
        level, pages = [self._reader.page(root)], 1.0
        for _ in range(MAX_DEPTH):
            leaves = [page for page in level if page.is_leaf]
            if len(leaves) == len(level):
                self.leaves = leaves
                return round(fmean(page.cells for page in level) * pages)
            if leaves:
                raise self._reader.damaged("is not of even depth")
            level, pages = self._next_level(level, pages)
        raise self._reader.damaged("has no end")

    def _next_level(self, level: list[Page], pages: float) -> tuple[list[Page], float]:
        """Sampled pages of the level below, and the estimated number of all of its pages."""
        below = fmean(len(page.children) for page in level) * pages
        children = [child for page in level for child in page.children]
        known = frozenset(children)
        wanted = _LEAF_SAMPLES if self._reader.page(children[0]).is_leaf else _INTERIOR_SAMPLES
        sample: dict[int, Page] = {}
        for child in _spread(children, wanted):
            sample[child] = self._reader.page(child)
            if sample[child].is_leaf:
                mates = self._reader.block_mates(child)
                sample |= {other: self._reader.page(other) for other in mates if other in known}
        return list(sample.values()), below


def _spread(items: Sequence[int], wanted: int) -> list[int]:
    """At most `wanted` items, evenly spread; none twice."""
    if len(items) <= wanted:
        return list(items)
    return [items[(2 * index + 1) * len(items) // (2 * wanted)] for index in range(wanted)]
