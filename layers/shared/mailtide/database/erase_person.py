"""Removing one person from a database so that no byte of the rows is left: deleted, and the whole file written anew."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from mailtide.database.bulk import Source, slow_rows
from mailtide.database.due import idempotency_key, iso_day
from mailtide.database.header import HEADER_BYTES, Header, read_header
from mailtide.database.import_rows import NEW_SUPPRESSIONS
from mailtide.database.read_history import read_event
from mailtide.database.schema import Schema, read_schema
from mailtide.database.untrusted import clear_errors, harden, quick_check, quoted
from mailtide.database.values import normal_email, read_integer, read_text

_CACHE_MB = 64
_ADDRESS_COLUMNS = frozenset({"email", "e_mail", "email_address", "emailaddress"})
"""By these a row is a person's own; another column may name them in the row of somebody else."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a database knows by an address. mail_keys: idempotency keys of all their mails."""

    email: str
    ids: frozenset[int]
    mail_keys: frozenset[str]


@dataclass(slots=True)
class Erased:
    """Rows that were removed, by table; and where the address still stands, as `table.column (n rows)`."""

    rows: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    changed: bool = False


def find_person(path: Path, email: str) -> Person:
    """The contacts of an address (several may have it), and the keys of their mails. Raises DatabaseError."""
    wanted = normal_email(email) or ""
    with clear_errors():
        connection, source, schema = _opened(path)
        try:
            table = schema.contacts
            rows = slow_rows(source, connection, table, [table.column("id"), table.column("email")], "1", ())
            ids = {
                number
                for _, (cell, address) in rows
                if normal_email(address) == wanted and (number := read_integer(cell)) is not None
            }
            return Person(wanted, frozenset(ids), frozenset(_mail_keys(source, connection, schema, ids)))
        finally:
            connection.close()


def _mail_keys(source: Source, connection: apsw.Connection, schema: Schema, ids: set[int]) -> Iterator[str]:
    table = schema.get("email_schedules")
    if table is None or not ids:
        return
    names = (
        "contact_id", "email_type", "event_date", "campaign_instance_id", "event_year", "event_month", "event_day",
    )  # fmt: skip
    columns = [table.column(name) for name in names]
    for _, cells in slow_rows(source, connection, table, columns, "1", ()):
        contact, kind = read_integer(cells[0]), read_text(cells[1])
        if contact in ids and contact is not None and kind is not None:
            event = iso_day(read_event(cells[2], *cells[4:]))
            yield idempotency_key(contact, kind, event, read_integer(cells[3]) or 0)


def erase(path: Path, person: Person, *, suppress: bool, ledger: dict[tuple[str, str], str]) -> Erased:
    """Delete every row of any table that has the person's contact_id, or the address in a column for it.

    suppress: keep the address among the suppressions, so that it never gets mail again. ledger: (file, ETag) of feedback files
    that were rewritten -> their new ETag. Nobody else may use the file. Raises DatabaseError.
    """
    erased = Erased()
    with clear_errors():
        connection, source, schema = _opened(path)
        try:
            connection.pragma("secure_delete", True)
            connection.execute("BEGIN IMMEDIATE")
            for table, columns in _tables(connection):
                _delete(connection, source.header.codec, person, table, columns, erased)
            if suppress:
                _suppress(connection, schema, person, erased)
            _note_files(connection, schema, ledger, erased)
            connection.execute("COMMIT")
            if erased.changed:
                _write_anew(connection)
            erased.left = _left(connection, source.header.codec, person.email)
        finally:
            connection.close()
    return erased


def _opened(path: Path) -> tuple[apsw.Connection, Source, Schema]:
    with path.open("rb") as file:
        header: Header = read_header(file.read(HEADER_BYTES), path.stat().st_size)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_EXRESCODE)
    harden(connection, cache_mb=_CACHE_MB)
    schema = read_schema(connection)
    quick_check(connection, [table.name for table in schema.tables.values()])
    return connection, Source(path, header), schema


def _tables(connection: apsw.Connection) -> list[tuple[str, list[str]]]:
    """Every ordinary table and its stored columns."""
    names: list[Any] = connection.execute(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    ).fetchall()
    return [
        (name, [column for _, column, *_, hidden in _columns(connection, name) if hidden in (0, None)])
        for (name,) in names
    ]


def _columns(connection: apsw.Connection, table: str) -> list[Any]:
    return connection.execute(f"PRAGMA main.table_xinfo({quoted(table)})").fetchall()


def _delete(
    connection: apsw.Connection, codec: str, person: Person, table: str, columns: list[str], erased: Erased
) -> None:
    def is_address(*cells: object) -> bool:
        cell = cells[0]
        return isinstance(cell, bytes) and normal_email(cell.decode(codec, "replace")) == person.email

    connection.create_scalar_function("mailtide_is_address", is_address, 1, deterministic=True)
    ids = {"contacts": "id"}.get(table.lower(), "contact_id")
    conditions = [
        f"(typeof({name}) = 'text' AND octet_length({name}) >= {len(person.email)} AND mailtide_is_address(CAST({name} AS BLOB)))"
        for name in (quoted(column) for column in columns if column.lower() in _ADDRESS_COLUMNS)
    ]
    known = [column for column in columns if column.lower() == ids]
    numbers = ", ".join(str(number) for number in sorted(person.ids))
    if known and numbers:
        conditions.append(f"CAST({quoted(known[0])} AS INTEGER) IN ({numbers})")
    if conditions:
        connection.execute(f"DELETE FROM main.{quoted(table)} WHERE {' OR '.join(conditions)}")
        if connection.changes():
            erased.rows[table], erased.changed = connection.changes(), True


def _suppress(connection: apsw.Connection, schema: Schema, person: Person, erased: Erased) -> None:
    if schema.get("suppressions") is None:
        connection.execute(NEW_SUPPRESSIONS)
    table = schema.get("suppressions")
    name = f"{table.sql_name} ({table.column('email')})" if table else "suppressions (email)"
    connection.execute(f"INSERT INTO {name} VALUES (?)", (person.email,))
    erased.changed = True


def _note_files(
    connection: apsw.Connection, schema: Schema, ledger: dict[tuple[str, str], str], erased: Erased
) -> None:
    table = schema.get("scheduler_feedback")
    if table is None:
        return
    for (file, etag), changed in ledger.items():
        connection.execute(
            f"UPDATE OR IGNORE {table.sql_name} SET {table.column('etag')} = ? "
            f"WHERE {table.column('file')} = ? AND {table.column('etag')} = ?",
            (changed, file, etag),
        )
        erased.changed = erased.changed or bool(connection.changes())


def _write_anew(connection: apsw.Connection) -> None:
    """VACUUM: no page that was freed, and no free part of a page, keeps what stood there."""
    # It works through an attached database of its own, which is forbidden to everybody else.
    connection.authorizer = None
    connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 1)
    connection.pragma("temp_store", 1)
    connection.execute("VACUUM")
    connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)


def _left(connection: apsw.Connection, codec: str, email: str) -> list[str]:
    """Columns in which the address still stands: of other people's rows, or within a text. Suppressions may hold it."""
    if connection.pragma("journal_mode") == "wal":
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    pattern = address_pattern(email)

    def holds(*cells: object) -> bool:
        cell = cells[0]
        return isinstance(cell, bytes) and pattern.search(cell.decode(codec, "replace").lower()) is not None

    connection.create_scalar_function("mailtide_holds", holds, 1, deterministic=True)
    found: list[str] = []
    for table, columns in _tables(connection):
        for column in columns if table.lower() != "suppressions" else ():
            name = quoted(column)
            long_enough = f"typeof({name}) = 'text' AND octet_length({name}) >= {len(email)}"
            statement = f"SELECT count(*) FROM main.{quoted(table)} WHERE {long_enough} AND mailtide_holds(CAST({name} AS BLOB))"
            count = connection.execute(statement).get
            if count:
                found.append(f"{table}.{column} ({count} rows)")
    return found


def address_pattern(email: str) -> re.Pattern[str]:
    """Finds a lower-cased address in lower-cased text, but not as a part of a longer one (joann@… for ann@…)."""
    return re.compile(rf"(?<![a-z0-9.!#$%&'*+/=?^_`{{|}}~-]){re.escape(email)}(?!-?\.?[a-z0-9])")
