"""All rows of a table from its pages, by several threads."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mailtide.database.id_range import EVERY_ID, IdRange
from mailtide.database.pages.file import PageFile, PageReader, UnusualPagesError
from mailtide.database.pages.records import Records, readable
from mailtide.database.pages.tree import (
    BATCH_BYTES,
    Leaves,
    batches,
    check_leaves,
    leaf_cells,
    leaf_pages,
    leaves_between,
)
from mailtide.database.schema import Table
from mailtide.rules.columns import Int64


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
    file: PageFile, table: Table, threads: int, parse: Callable[[Records], T], within: IdRange = EVERY_ID
) -> list[T]:
    """What `parse` makes of the records of one batch of pages after the other, in the order of the rowids.

    parse runs in any thread, and keeps nothing of the records' buffer. within: of other rowids no leaf is read, and no
    record parsed. Raises UnusualPagesError, and DatabaseError for a range of a tree that is none.
    """
    pages = _batches(file, table, within)
    local = threading.local()

    def read(batch: Leaves | Int64) -> tuple[int, int, T]:
        if not hasattr(local, "reader"):
            local.reader = PageReader(file)
        numbers = batch.page if isinstance(batch, Leaves) else batch
        buffer = local.reader.read(numbers)
        records = Records.of(buffer, leaf_cells(file, buffer, len(numbers)))
        rowid = records.rowid
        if (rowid[1:] <= rowid[:-1]).any():
            raise UnusualPagesError
        if isinstance(batch, Leaves):
            check_leaves(file, buffer, batch, rowid)
            records = records[np.flatnonzero(within.holds_each(rowid))]
            rowid = records.rowid
        return (int(rowid[0]), int(rowid[-1]), parse(records)) if len(rowid) else (0, 0, parse(records))

    if threads == 1 or len(pages) == 1:
        found = [read(batch) for batch in pages]
    else:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(read, pages))
    bounds = np.array([(first, last) for first, last, _ in found], np.int64)
    # The leaves of a range were each checked for themselves.
    if within.is_everything and (bounds[1:, 0] <= bounds[:-1, 1]).any():
        raise UnusualPagesError
    return [part for _, _, part in found]


def _batches(file: PageFile, table: Table, within: IdRange) -> list[Leaves] | list[Int64]:
    if within.is_everything:
        return batches(file, leaf_pages(file, table.root_page))
    leaves = leaves_between(file, table.root_page, within)
    step = max(1, BATCH_BYTES // file.header.page_size)
    return [leaves[start : start + step] for start in range(0, len(leaves), step)]
