"""All rows of a table from its pages, by several threads."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mailtide.database.id_range import EVERY_ID, IdRange
from mailtide.database.pages.file import PageFile, PageReader, UnusualPagesError
from mailtide.database.pages.layout import TABLE_INTERIOR
from mailtide.database.pages.proof import TableProof
from mailtide.database.pages.records import Records, readable
from mailtide.database.pages.tree import BATCH_BYTES, Cells, Leaves, batches, check_leaves, leaf_cells, leaves_between
from mailtide.database.pages.whole import whole_tree
from mailtide.database.schema import Table
from mailtide.rules.columns import Int64


@dataclass(frozen=True, slots=True)
class _Part[T]:
    """What was made of a batch of leaves."""

    parsed: T
    rows: int
    first: int
    last: int
    is_sound: bool


def positions(table: Table, names: tuple[str, ...]) -> list[int | None]:
    """Where the named columns stand in the table's records, None for those that it lacks.

    Raises UnusualPagesError where columns and records do not go together one by one.
    """
    columns = list(table.columns)
    if table.rowid is None or any(column.is_generated for column in table.columns.values()):
        raise UnusualPagesError
    readable(len(columns))
    return [columns.index(name) if name in table.columns else None for name in names]


def scan_pages[T](
    file: PageFile,
    table: Table,
    threads: int,
    parse: Callable[[Records], T],
    within: IdRange = EVERY_ID,
    proof: TableProof | None = None,
) -> list[T]:
    """What `parse` makes of the records of one batch of pages after the other, in the order of the rowids.

    parse runs in any thread, and keeps nothing of the records' buffer. within: of other rowids no leaf is read, and no
    record parsed. proof: is made on the way, where `parse` looks at whole records of the whole table. Raises
    UnusualPagesError, and DatabaseError for a range of a tree that is none.
    """
    if not within.is_everything:
        return _scan_range(file, table, threads, parse, within)
    proof = proof or TableProof.of(file.header)
    tree = whole_tree(file, table.root_page, TABLE_INTERIOR, proof.seen)

    def read(reader: PageReader, batch: tuple[Int64, Int64]) -> _Part[T]:
        pages, upper = batch
        cells = leaf_cells(file, buffer := reader.read(pages), len(pages))
        rowid = cells.rowid
        if (rowid[1:] <= rowid[:-1]).any():
            raise UnusualPagesError
        records = Records.of(buffer, cells)
        parsed = parse(records)
        first, last = (int(rowid[0]), int(rowid[-1])) if len(rowid) else (0, 0)
        sound = cells.is_sound and records.are_sound and (len(tree.pages) == 1 or _within(cells, upper))
        return _Part(parsed, len(rowid), first, last, sound)

    uppers = batches(file, tree.upper)
    parts = _each(file, threads, read, list(zip(batches(file, tree.pages), uppers, strict=True)))
    if any(later.first <= part.last for part, later in pairwise(parts)):
        raise UnusualPagesError
    apart = all(later.first > int(upper[-1]) for later, upper in zip(parts[1:], uppers, strict=False))
    proof.rows = sum(part.rows for part in parts)
    proof.holds = apart and tree.is_sound and all(part.is_sound for part in parts)
    return [part.parsed for part in parts]


def _within(cells: Cells, upper: Int64) -> bool:
    """Whether the rowids of each leaf lie between the bounds that the pages above give; none is empty."""
    if not cells.counts.all():
        return False
    end = np.cumsum(cells.counts)
    first, last = cells.rowid[end - cells.counts], cells.rowid[end - 1]
    return bool((last <= upper).all() and (first[1:] > upper[:-1]).all())


def _scan_range[T](
    file: PageFile, table: Table, threads: int, parse: Callable[[Records], T], within: IdRange
) -> list[T]:
    def read(reader: PageReader, batch: Leaves) -> T:
        buffer = reader.read(batch.page)
        records = Records.of(buffer, leaf_cells(file, buffer, len(batch)))
        check_leaves(file, buffer, batch, records.rowid)
        return parse(records[np.flatnonzero(within.holds_each(records.rowid))])

    leaves = leaves_between(file, table.root_page, within)
    step = max(1, BATCH_BYTES // file.header.page_size)
    return _each(file, threads, read, [leaves[start : start + step] for start in range(0, len(leaves), step)])


def _each[B, T](file: PageFile, threads: int, read: Callable[[PageReader, B], T], batches_: list[B]) -> list[T]:
    """What `read` makes of each batch, in their order; each thread has a reader of its own."""
    local = threading.local()

    def work(batch: B) -> T:
        if not hasattr(local, "reader"):
            local.reader = PageReader(file)
        return read(local.reader, batch)

    if threads == 1 or len(batches_) == 1:
        return [work(batch) for batch in batches_]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, batches_))
