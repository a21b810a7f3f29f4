"""Lines of an import, in a temporary database until all are read: memory stays bounded, the real one untouched. No numpy."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

type Staged = tuple[int, int | None, str | None, *tuple[str | None, ...]]
"""Line, contact id, address key, values."""


class Staging:
    """Lines that go in, by line; lines that are refused; and where the contacts stand that there are."""

    def __init__(self, connection: apsw.Connection, width: int) -> None:
        self._connection = connection
        connection.pragma("journal_mode", "off")
        connection.pragma("synchronous", 0)
        connection.pragma("temp_store", 1)
        values = "".join(f", v{place}" for place in range(width))
        connection.execute(f"CREATE TABLE staged (line INTEGER PRIMARY KEY, id INTEGER, email_key TEXT{values})")
        connection.execute("CREATE UNIQUE INDEX by_id ON staged (id) WHERE id IS NOT NULL")
        connection.execute("CREATE UNIQUE INDEX by_email ON staged (email_key) WHERE id IS NULL")
        connection.execute("CREATE TABLE refused (line INTEGER, reason TEXT)")
        connection.execute("CREATE TABLE standing_id (id INTEGER PRIMARY KEY, contact_row INTEGER)")
        connection.execute("CREATE TABLE standing_email (email_key TEXT, contact_row INTEGER)")
        connection.execute("BEGIN")
        self._insert = f"INSERT OR IGNORE INTO staged VALUES ({', '.join('?' * (3 + width))})"

    def add(self, line: int, contact_id: int | None, email_key: str | None, values: list[str | None]) -> None:
        """Keep a line; one whose id (without an id: whose address) stands in an earlier line is refused."""
        self._connection.execute(self._insert, (line, contact_id, email_key, *values))
        if self._connection.changes():
            return
        where = "email_key = ? AND id IS NULL" if contact_id is None else "id = ?"
        earlier = self._connection.execute(
            f"SELECT line FROM staged WHERE {where}", (email_key if contact_id is None else contact_id,)
        ).get
        what = "its e-mail address" if contact_id is None else f"id {contact_id}"
        self.refuse(line, f"{what} stands in line {earlier} already")

    def refuse(self, line: int, reason: str) -> None:
        """Note a line that does not go in."""
        self._connection.execute("INSERT INTO refused VALUES (?, ?)", (line, reason))

    def count(self, table: str) -> int:
        """Rows of `staged` or `refused`."""
        found = self._connection.execute(f"SELECT count(*) FROM {table}").get
        return found if isinstance(found, int) else 0

    def refused(self, limit: int = -1) -> Iterator[tuple[int, str]]:
        """The refused lines with reasons, by line; -1 is all."""
        for line, reason in self._connection.execute(
            "SELECT line, reason FROM refused ORDER BY line LIMIT ?", (limit,)
        ):
            yield int(str(line)), str(reason)

    def lines(self, *, with_id: bool) -> Iterator[Staged]:
        """The lines that have an id, or those that have none, in order."""
        condition = "id IS NOT NULL" if with_id else "id IS NULL"
        # The rows are read while others are written to; a cursor of its own keeps its place.
        yield from self._connection.execute(f"SELECT * FROM staged WHERE {condition} ORDER BY line")

    def know_ids(self, rows: Iterable[tuple[int, int]]) -> None:
        """Keep which contact id stands in which row; of equal ids the first."""
        self._connection.executemany("INSERT OR IGNORE INTO standing_id VALUES (?, ?)", rows)

    def know_emails(self, rows: Iterable[tuple[str, int]]) -> None:
        """Keep which address stands in which rows."""
        self._connection.executemany("INSERT INTO standing_email VALUES (?, ?)", rows)
        self._connection.execute("CREATE INDEX standing ON standing_email (email_key)")

    def row_of_id(self, contact_id: int) -> int | None:
        """The row of an id."""
        found = self._connection.execute("SELECT contact_row FROM standing_id WHERE id = ?", (contact_id,)).get
        return found if isinstance(found, int) else None

    def highest_id(self) -> int:
        """The highest id known, 0 when none is above."""
        found = self._connection.execute("SELECT max(id) FROM standing_id").get
        return max(found, 0) if isinstance(found, int) else 0

    def rows_of_email(self, email_key: str | None) -> list[int]:
        """Up to two rows that have an address."""
        sql = "SELECT contact_row FROM standing_email WHERE email_key = ? LIMIT 2"
        return [int(str(row)) for (row,) in self._connection.execute(sql, (email_key,))]


@contextmanager
def staging(width: int) -> Iterator[Staging]:
    """An empty staging for lines of `width` values, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="mailtide-") as folder:
        connection = apsw.Connection(str(Path(folder) / "staging.db"))
        try:
            yield Staging(connection, width)
        finally:
            connection.close()
