"""Contacts and suppressions into arrays (spec §2): well-formed rows in bulk, all others one by one, to the same result."""

from collections import Counter
from dataclasses import dataclass

import apsw
import numpy as np

from mailtide.database.bulk import (
    BrokenChunk,
    Chunk,
    Fields,
    Query,
    Source,
    integer_field,
    parse_dates,
    parse_integers,
    parse_small,
    scan,
    slow_rows,
    slow_rows_at,
    slow_rows_of,
)
from mailtide.database.contact_part import SLOW_STATE, STATE_BY_BYTES, ContactPart, judge_emails
from mailtide.database.id_range import EVERY_ID, IdRange
from mailtide.database.pages.file import UnusualPagesError
from mailtide.database.read_contact_pages import read_contact_pages
from mailtide.database.schema import Schema, Table
from mailtide.database.values import Cell, is_email, normal_email, read_date, read_integer, read_state, read_zip
from mailtide.errors import DatabaseError
from mailtide.rules.columns import NO_DATE, NO_STATE, Bool, Contacts, Int32, Int64, UInt8
from mailtide.rules.zip_lookup import state_of_zip

_COLUMNS = ("id", "email_valid", "suppressed", "state", "zip", "birth", "effective", "has_phone")
CONTACT_COLUMNS = ("id", "email", "state", "zip_code", "birth_date", "effective_date", "phone_number")


@dataclass(frozen=True, slots=True)
class ContactsRead:
    """The contacts, and what the report counts about them.

    rows: all rows of the table, those without a readable id included. quality: counts by what is wrong.
    """

    contacts: Contacts
    rows: int
    quality: dict[str, int]


def read_suppressions(source: Source, connection: apsw.Connection, schema: Schema) -> set[str]:
    """The suppressed addresses, trimmed and lower-cased."""
    table = schema.get("suppressions")
    if table is None:
        return set()
    rows = slow_rows(source, connection, table, [table.column("email")], "1", ())
    return {email for _, (cell,) in rows if (email := normal_email(cell)) is not None}


def read_contacts(
    source: Source, schema: Schema, suppressions: set[str], threads: int, within: IdRange = EVERY_ID
) -> ContactsRead:
    """The contacts of a range of ids, ascending by id. Raises DatabaseError, also when two contacts have one id."""
    table = schema.contacts
    columns = [table.column(name) for name in CONTACT_COLUMNS]
    query = _query(source, table, suppressions)
    rowids = within if table.rowid_alias == "id" else EVERY_ID

    def parse(connection: apsw.Connection, chunk: Chunk | BrokenChunk) -> list[ContactPart]:
        parts = []
        bad: Bool | None = None
        if isinstance(chunk, Chunk):
            bad, part = _parse(chunk, id_is_rowid=table.rowid_alias == "id")
            parts.append(part)
        slow = [cells for _, cells in slow_rows_of(source, connection, query, columns, chunk, bad)]
        return parts + ([_slow_part(slow, suppressions, within)] if slow else [])

    parts = _from_pages(source, table, columns, suppressions, threads, within)
    if parts is None:
        parts = [part for group in scan(source, query, threads, parse, rowids) for part in group]
    if rowids is not within:
        parts = [_limited(part, within) for part in parts]
    return _joined(parts)


def _limited(part: ContactPart, within: IdRange) -> ContactPart:
    """Without the ids out of range; rows without an id were judged when they were read."""
    keep = within.holds_each(part.id)
    columns = {name: getattr(part, name)[keep] for name in _COLUMNS}
    return ContactPart(**columns, quality=part.quality, rows=part.rows - int(np.count_nonzero(~keep)))


def _from_pages(
    source: Source,
    table: Table,
    columns: list[str | None],
    suppressions: set[str],
    threads: int,
    within: IdRange,
) -> list[ContactPart] | None:
    """The parts, or None where the table must be read through SQLite."""
    if source.pages is None:
        return None
    rowids = within if table.rowid_alias == "id" else EVERY_ID
    try:
        proof = source.proofs.get("contacts")
        parts, slow = read_contact_pages(source.pages, table, CONTACT_COLUMNS, suppressions, threads, rowids, proof)
    except UnusualPagesError:
        return None
    connection = source.open()
    try:
        rows = [cells for _, cells in slow_rows_at(source, connection, table, columns, slow)]
    finally:
        connection.close()
    return parts + ([_slow_part(rows, suppressions, within)] if rows else [])


def _query(source: Source, table: Table, suppressions: set[str]) -> Query:
    fields = Fields(is_utf16=source.is_utf16)
    email, phone = table.column("email"), table.column("phone_number")
    wanted = {
        "state": _state_field(fields, table.column("state")),
        "zip": _zip_field(fields, table.column("zip_code")),
        "birth": fields.date(table.column("birth_date")),
        "effective": fields.date(table.column("effective_date")),
        "phone": _phone_field(fields, phone),
        "suppressed": ("'0'", 1),
    }
    if table.rowid_alias != "id":
        column = table.column("id")
        wanted["id_kind"] = (f"CASE typeof({column}) WHEN 'integer' THEN 'i' ELSE '!' END", 1)
        wanted["id"] = integer_field(f"CASE typeof({column}) WHEN 'integer' THEN {column} END")
    if suppressions:
        wanted["suppressed"] = (
            f"CASE WHEN octet_length({email}) < 1000 AND lower({email}) IN (SELECT email FROM temp.suppressed) "
            "THEN '1' ELSE '0' END",
            1,
        )
    return Query(table, wanted, {"email": fields.line(email)}, prepare=lambda c: _prepare(c, suppressions))


def _prepare(connection: apsw.Connection, suppressions: set[str]) -> None:
    if suppressions:
        connection.execute("CREATE TEMP TABLE suppressed (email TEXT PRIMARY KEY) WITHOUT ROWID")
        ascii_only = tuple(sorted(email for email in suppressions if email.isascii() and "\0" not in email))
        if ascii_only:
            connection.execute("INSERT INTO temp.suppressed SELECT value FROM carray(?)", (apsw.carray(ascii_only),))


def _state_field(fields: Fields, column: str | None) -> tuple[str, int]:
    """Two bytes: the text; blank for NULL; `--` for plain text that is no state's code; `!!` for the slow path."""
    if column is None:
        return "'  '", 2
    return (
        f"CASE WHEN {fields.is_text(column, 2, 2)} THEN {column} WHEN {column} IS NULL THEN '  ' "
        f"WHEN {fields.is_text(column, 3, 60)} AND {column} GLOB '[A-Za-z][A-Za-z]*[A-Za-z]' "
        f"AND {fields.is_plain(column)} THEN '--' ELSE '!!' END"
    ), 2


def _zip_field(fields: Fields, column: str | None) -> tuple[str, int]:
    """Five bytes: the digits; blank for none; `!` and blanks for the slow path."""
    if column is None:
        return "'     '", 5
    return (
        f"CASE typeof({column}) WHEN 'null' THEN '     ' "
        f"WHEN 'integer' THEN CASE WHEN {column} BETWEEN 100 AND 99999 THEN printf('%05d', {column}) "
        f"WHEN {column} < 100 THEN '     ' ELSE '!    ' END "
        f"WHEN 'real' THEN CASE WHEN {column} BETWEEN 100 AND 99999 AND {column} = CAST({column} AS INTEGER) "
        f"THEN printf('%05d', {column}) ELSE '!    ' END "
        f"ELSE CASE WHEN {fields.is_text(column, 5, 5)} THEN {column} "
        f"WHEN {fields.is_text(column, 6, 10)} AND {column} GLOB '[0-9][0-9][0-9][0-9][0-9]*' "
        f"AND {fields.is_plain(column)} THEN substr({column}, 1, 5) ELSE '!    ' END END"
    ), 5


def _phone_field(fields: Fields, column: str | None) -> tuple[str, int]:
    """One byte: 1 when there is a number, 0 when there is none, `!` for the slow path."""
    if column is None:
        return "'0'", 1
    return (
        f"CASE typeof({column}) WHEN 'null' THEN '0' WHEN 'text' THEN CASE WHEN octet_length({column}) <= 60 AND "
        f"{column} GLOB '[!-~]*' AND {fields.is_plain(column)} THEN '1' ELSE '!' END ELSE '1' END"
    ), 1


def _parse(chunk: Chunk, *, id_is_rowid: bool) -> tuple[Bool, ContactPart]:
    """The rows to be read again, and the part of all others."""
    email_bad, email_valid = judge_emails(chunk.texts["email"], len(chunk))
    state_bad, state = _states(chunk.column("state"))
    zip_bad, zips = _zips(chunk.column("zip"))
    birth, birth_bad = parse_dates(chunk.column("birth"))
    effective, effective_bad = parse_dates(chunk.column("effective"))
    phone = chunk.column("phone")[:, 0]
    bad = email_bad | state_bad | zip_bad | birth_bad | effective_bad | ((phone != ord("0")) & (phone != ord("1")))
    ids = chunk.rowid if id_is_rowid else parse_integers(chunk.column("id"))
    if not id_is_rowid:
        bad |= chunk.column("id_kind")[:, 0] != ord("i")
    good = ~bad
    part = ContactPart(
        id=ids[good],
        email_valid=email_valid[good],
        suppressed=chunk.column("suppressed")[good, 0] == ord("1"),
        state=state[good],
        zip=zips[good],
        birth=birth[good],
        effective=effective[good],
        has_phone=phone[good] == ord("1"),
        quality=Counter(),
        rows=int(good.sum()),
    )
    return bad, part


def _states(field: UInt8) -> tuple[Bool, UInt8]:
    codes = STATE_BY_BYTES[field[:, 0].astype(np.int32) << 8 | field[:, 1]]
    return codes == SLOW_STATE, codes


def _zips(field: UInt8) -> tuple[Bool, Int32]:
    zips = parse_small(field)
    return (zips < 0) & (field != ord(" ")).any(axis=1), zips


def _slow_part(rows: list[list[Cell]], suppressions: set[str], within: IdRange = EVERY_ID) -> ContactPart:
    if not within.is_everything:
        rows = [cells for cells in rows if within.holds(read_integer(cells[0]))]
    quality: Counter[str] = Counter()
    read = []
    for cells in rows:
        contact, email, state, zip_code, birth, effective, phone = cells
        number = read_integer(contact)
        if number is None:
            quality["invalid_id"] += 1
            continue
        born, began = read_date(birth), read_date(effective)
        quality["invalid_birth_date"] += birth is not None and born is None
        quality["invalid_effective_date"] += effective is not None and began is None
        read.append((number, is_email(email), normal_email(email) in suppressions, read_state(state), read_zip(zip_code),
                     born, began, phone is not None))  # fmt: skip
    columns = list(zip(*read, strict=True)) or [()] * 8
    return ContactPart(
        id=np.array(columns[0], np.int64),
        email_valid=np.array(columns[1], np.bool_),
        suppressed=np.array(columns[2], np.bool_),
        state=np.array([NO_STATE if code is None else code for code in columns[3]], np.uint8),
        zip=np.array(columns[4], np.int32),
        birth=np.array([NO_DATE if day is None else day for day in columns[5]], np.int32),
        effective=np.array([NO_DATE if day is None else day for day in columns[6]], np.int32),
        has_phone=np.array(columns[7], np.bool_),
        quality=quality,
        rows=len(rows),
    )


def _joined(parts: list[ContactPart]) -> ContactsRead:
    parts = parts or [_slow_part([], set())]
    ids = np.concatenate([part.id for part in parts])
    order: Int64 | slice = slice(None)
    if (ids[1:] <= ids[:-1]).any():
        order = np.argsort(ids, kind="stable")
    ids = ids[order]
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        raise DatabaseError(f"Two contacts have the id {ids[twice[0]]}.")
    quality: Counter[str] = Counter()
    for part in parts:
        quality.update(part.quality)
    contacts = Contacts(
        id=ids,
        email_valid=np.concatenate([part.email_valid for part in parts])[order],
        suppressed=np.concatenate([part.suppressed for part in parts])[order],
        state=np.concatenate([part.state for part in parts])[order],
        zip_state=state_of_zip(np.concatenate([part.zip for part in parts])[order]),
        birth=np.concatenate([part.birth for part in parts])[order],
        effective=np.concatenate([part.effective for part in parts])[order],
        has_phone=np.concatenate([part.has_phone for part in parts])[order],
    )
    quality = Counter({name: count for name, count in quality.items() if count})
    return ContactsRead(contacts, sum(part.rows for part in parts), dict(sorted(quality.items())))
