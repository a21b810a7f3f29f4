"""All rows of a table from its pages, by several threads."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mailtide.database.pages.file import PageFile, PageReader, UnusualPagesError
from mailtide.database.pages.records import Records, readable
from mailtide.database.pages.tree import batches, leaf_cells, leaf_pages
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


def scan_pages[T](file: PageFile, table: Table, threads: int, parse: Callable[[Records], T]) -> list[T]:
    """What `parse` makes of the records of one batch of pages after the other, in the order of the rowids.

    parse runs in any thread, and keeps nothing of the records' buffer. Raises UnusualPagesError.
    """
    pages = batches(file, leaf_pages(file, table.root_page))
    local = threading.local()

    def read(batch: Int64) -> tuple[int, int, T]:
        if not hasattr(local, "reader"):
            local.reader = PageReader(file)
        records = Records.of(buffer := local.reader.read(batch), leaf_cells(file, buffer, len(batch)))
        rowid = records.rowid
        if (rowid[1:] <= rowid[:-1]).any():
            raise UnusualPagesError
        return (int(rowid[0]), int(rowid[-1]), parse(records)) if len(rowid) else (0, 0, parse(records))

    if threads == 1 or len(pages) == 1:
        found = [read(batch) for batch in pages]
    else:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(read, pages))
    bounds = np.array([(first, last) for first, last, _ in found], np.int64)
    if (bounds[1:, 0] <= bounds[:-1, 1]).any():
        raise UnusualPagesError
    return [part for _, _, part in found]
