"""Finding single contacts by id."""

from collections.abc import Callable

import apsw

from mailtide.database.bulk import Source, slow_rows
from mailtide.database.schema import Table
from mailtide.database.values import Cell, read_integer

type FindContact = Callable[[int], tuple[Cell, Cell] | None]
"""Contact id -> e-mail and telephone cells."""


def contact_finder(source: Source, connection: apsw.Connection, table: Table) -> FindContact:
    """Finds contacts by id: by the rowid where that is the id, else through a temporary table of our own."""
    columns = [table.column("email"), table.column("phone_number")]
    if table.rowid_alias != "id":
        connection.execute("CREATE TEMP TABLE contact_rows (id INTEGER PRIMARY KEY, contact_row INTEGER)")
        ids = slow_rows(source, connection, table, [table.column("id")], "1", ())
        known = ((number, row) for row, (cell,) in ids if (number := read_integer(cell)) is not None)
        connection.executemany("INSERT OR IGNORE INTO temp.contact_rows VALUES (?, ?)", known)
    by_id = "?" if table.rowid_alias == "id" else "(SELECT contact_row FROM temp.contact_rows WHERE id = ?)"

    def find(contact_id: int) -> tuple[Cell, Cell] | None:
        for _, (email, phone) in slow_rows(
            source, connection, table, columns, f"{table.rowid} = {by_id}", (contact_id,)
        ):
            return email, phone
        return None

    return find
