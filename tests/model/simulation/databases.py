"""Small real SQLite databases that say where they come from.

A blob in the file holds a serial number, the day that its schedule was made for (0: none), and the MD5 of the file that the
schedule was computed from. So the output of a pass is a function of its source, and tells which version that was. It has the
tables that a pass leaves, with the run's own row, a mail that it plans, and one that was sent long ago.
"""

import sqlite3
import struct
from datetime import date
from functools import cache, lru_cache

import apsw

from mailtide.database.schedules_schema import RUN_COLUMNS, plan_preparation
from mailtide.database.schema import read_schema
from tests.support.memory_bucket import md5

_MARK = b"\xabmailtide-test-mark"
_FIELDS = struct.Struct(">II16s")
_NEWEST = 1_000_000
"""Id of the planned mail: as many rows might stand before it as any report counts."""


@cache
def _template() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("PRAGMA page_size=1024")
        connection.execute(
            "CREATE TABLE contacts(id INTEGER PRIMARY KEY, email TEXT NOT NULL, zip_code TEXT, state TEXT, birth_date TEXT, "
            "effective_date TEXT, phone_number TEXT)"
        )
        connection.executemany(
            "INSERT INTO contacts(email, state, birth_date) VALUES(?, 'CA', '1960-02-29')",
            [(f"{name}@example.com",) for name in ("ann", "bob", "cat")],
        )
        connection.execute("CREATE TABLE mark(body BLOB)")
        connection.execute("INSERT INTO mark VALUES(?)", (_MARK + bytes(_FIELDS.size),))
        connection.commit()
        return connection.serialize()


def _with(body: bytes, serial: int, day: int, parent: bytes) -> bytes:
    at = body.index(_MARK) + len(_MARK)
    return body[:at] + _FIELDS.pack(serial, day, parent) + body[at + _FIELDS.size :]


def database(serial: int) -> bytes:
    """A customer's database, without a schedule."""
    return _with(_template(), serial, 0, bytes(16))


def schedule(source: bytes, as_of: date, run: str, report: dict[str, object]) -> bytes:
    """The source with its schedule of that day; the very same bytes when it has that already."""
    _, serial, day, _ = _parts(source)
    if day == as_of.toordinal():
        return source
    counts = tuple((name, value) for name, value in report.items() if name in RUN_COLUMNS and isinstance(value, int))
    body = _scheduled(source, as_of.isoformat(), run, counts)
    return _with(body, serial, as_of.toordinal(), bytes.fromhex(md5(source)))


@lru_cache(64)
def _scheduled(source: bytes, as_of: str, run: str, counts: tuple[tuple[str, int], ...]) -> bytes:
    with apsw.Connection(":memory:") as connection:
        connection.deserialize("main", source)
        preparation = plan_preparation(connection, read_schema(connection))
        for statement in (*preparation.before_rows, *preparation.after_rows, "DELETE FROM email_schedules"):
            connection.execute(statement)
        mails = ((1, "sent", "2025-01-10", "earlier"), (_NEWEST, "pre-scheduled", as_of, run))
        for number, status, day, by in mails:
            connection.execute(
                "INSERT INTO email_schedules (id, contact_id, email_type, event_date, scheduled_send_date, "
                "scheduled_send_time, status, priority, scheduler_run_id) VALUES (?, 1, 'aep', ?3, ?3, '08:30:00', ?2, 10, ?4)",
                (number, status, day, by),
            )
        row: dict[str, str | int] = {"run_id": run, "as_of": as_of, **dict(counts)}
        connection.execute(
            f"INSERT OR REPLACE INTO scheduler_runs ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",
            row,
        )
    body = connection.serialize("main")
    connection.close()
    return body


def computed_from(body: bytes) -> str | None:
    """MD5 of the version that a schedule was computed from; None when the body is no output of a pass."""
    if _MARK not in body:
        return None
    _, _, day, parent = _parts(body)
    return parent.hex() if day else None


def _parts(body: bytes) -> tuple[int, int, int, bytes]:
    at = body.index(_MARK) + len(_MARK)
    serial, day, parent = _FIELDS.unpack_from(body, at)
    return at, serial, day, parent
