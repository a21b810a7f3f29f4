"""The check of the tables beside the work: proven from the pages that are read anyway, or SQLite's quick_check.

Reading a table's pages proves most of what quick_check looks at (`pages.proof`); what is not proven, SQLite checks.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial

import apsw

from mailtide.database.bulk import Source
from mailtide.database.pages.file import PageFile
from mailtide.database.pages.proof import TableProof, index_holds
from mailtide.database.schema import Schema, Table
from mailtide.database.untrusted import clear_errors, quick_check, quoted

_READ_FROM_PAGES = ("contacts", "email_schedules")


class Check:
    """The verdict on the tables of a file, in the making."""

    def __init__(self, source: Source, connection: apsw.Connection, schema: Schema, pool: Executor | None) -> None:
        """connection: to the file, for nothing else meanwhile. pool: of one thread; without it all is done at once."""
        self._source, self._connection, self._pool = source, connection, pool
        self._tables = schema.tables
        self._verdicts: list[Future[None]] = []
        self._passed = False
        provable = {name: TableProof.of(source.header) for name in _READ_FROM_PAGES if self._is_provable(name)}
        source.proofs.update(provable)
        others = [table.name for name, table in self._tables.items() if name not in provable]
        self._do(partial(quick_check, connection, others))

    def _is_provable(self, name: str) -> bool:
        table, source = self._tables.get(name), self._source
        if table is None or source.pages is None or source.header.auto_vacuum:
            return False
        # quick_check evaluates constraints, and what they compute may fail.
        return re.search("check|generated", table.sql, re.IGNORECASE) is None

    def _do(self, work: Callable[[], None]) -> None:
        if self._pool is None:
            work()
        else:
            self._verdicts.append(self._pool.submit(work))

    def go_on(self) -> None:
        """Check what reading alone has not proven. To be called once, when all is read."""
        for name, proof in self._source.proofs.items():
            self._do(partial(self._settle, self._tables[name], proof))

    def _settle(self, table: Table, proof: TableProof) -> None:
        pages = self._source.pages
        if pages is None or not proof.holds or not self._indexes_hold(pages, table, proof):
            quick_check(self._connection, [table.name])

    def _indexes_hold(self, pages: PageFile, table: Table, proof: TableProof) -> bool:
        with clear_errors():
            listed = self._connection.execute(f"PRAGMA main.index_list({quoted(table.name)})").fetchall()
            sql = "SELECT rootpage FROM main.sqlite_schema WHERE type = 'index' AND name = ?"
            roots = [self._connection.execute(sql, (name,)).get for _, name, *_ in listed]
        return all(
            isinstance(root, int) and index_holds(pages, root, proof, is_partial=bool(partial))
            for root, (*_, partial) in zip(roots, listed, strict=True)
        )

    def afterwards(self, work: Callable[[], None]) -> None:
        """Do something beside once no page is looked at any more; nobody waits for it but the end."""
        if self._pool is not None:
            self._pool.submit(work)

    def wait(self) -> None:
        """Wait for the verdict. Raises DatabaseError when the file is damaged. Nothing of the file may be written before."""
        for verdict in self._verdicts:
            verdict.result()
        self._passed = True

    def explain(self) -> None:
        """After any other error: raises DatabaseError when the file is damaged, for that explains the error better."""
        if self._passed:
            # From then on the file may be written, and half of what a WAL holds looks like damage.
            return
        self.wait()
        quick_check(self._connection, [table.name for table in self._tables.values()])


@contextmanager
def checked_beside(source: Source, schema: Schema, threads: int) -> Iterator[Check]:
    """Check the pages of a schema's tables while the caller reads them, in a thread of its own where there are several.

    Leaving by an error of a damaged file raises DatabaseError, which says so.
    """
    with closing(source.open()) as connection, ThreadPoolExecutor(1) as pool:
        check = Check(source, connection, schema, pool if threads > 1 else None)
        try:
            yield check
        except Exception:
            check.explain()
            raise
        except BaseException:
            connection.interrupt()
            raise
