"""The campaigns for everybody, counted before anything of a database is downloaded. No numpy.

It reads as `mailtide.database.read_campaigns` reads, and counts as `mailtide.rules.sources` does.
"""

from collections.abc import Iterator

import apsw

from mailtide.database.ranged import BlockCache, RangeReader, open_ranged
from mailtide.database.schema import Schema, read_schema
from mailtide.database.values import Cell, decode_cell, read_date, read_flag, read_integer, read_text


def count_for_everybody(reader: RangeReader, codec: str, as_of: int) -> int:
    """Campaign instances that count on a day and ask for a mail to every eligible contact.

    codec: Python's name of the database's encoding. as_of: days since 1970-01-01. Raises DatabaseError, SourceChangedError
    and BudgetExceededError.
    """
    with open_ranged(BlockCache(reader)) as connection:
        schema = read_schema(connection)
        kinds = set(_kinds(connection, schema, codec))
        return sum(
            _counts(cells, kinds, as_of) for cells in _cells(connection, schema, codec, "campaign_instances", _DATES)
        )


_TYPE = ("name", "target_all_contacts", "active")
_DATES = ("id", "campaign_type", "active_start_date", "active_end_date")


def _kinds(connection: apsw.Connection, schema: Schema, codec: str) -> Iterator[str]:
    for name, for_everybody, active in _cells(connection, schema, codec, "campaign_types", _TYPE):
        kind = read_text(name)
        if kind is not None and read_flag(for_everybody, default=False) and read_flag(active, default=True):
            yield kind


def _counts(cells: list[Cell], kinds: set[str], as_of: int) -> bool:
    start, end = read_date(cells[2]), read_date(cells[3])
    runs = start is not None and start <= as_of and (cells[3] is None or (end is not None and as_of <= end))
    return runs and read_integer(cells[0]) is not None and read_text(cells[1]) in kinds


def _cells(
    connection: apsw.Connection, schema: Schema, codec: str, table: str, names: tuple[str, ...]
) -> Iterator[list[Cell]]:
    found = schema.get(table)
    if found is None:
        return
    columns = [found.column(name) for name in names]
    wanted = ", ".join(
        f"typeof({c}), CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END" if c else "'null', NULL"
        for c in columns
    )
    for row in connection.execute(f"SELECT {wanted} FROM {found.sql_name} NOT INDEXED"):
        yield [decode_cell(row[at], row[at + 1], codec) for at in range(0, len(row), 2)]
