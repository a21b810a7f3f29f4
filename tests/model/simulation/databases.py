"""Small real SQLite databases that say where they come from.

A blob in the file holds a serial number, the day that its schedule was made for (0: none), and the MD5 of the file that the
schedule was computed from. So the output of a pass is a function of its source, and tells which version that was.
"""

import sqlite3
import struct
from datetime import date
from functools import cache

from tests.support.memory_bucket import md5

_MARK = b"\xabmailtide-test-mark"
_FIELDS = struct.Struct(">II16s")


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


def schedule(source: bytes, as_of: date) -> bytes:
    """The source with its schedule of that day; the very same bytes when it has that already."""
    _, serial, day, _ = _parts(source)
    if day == as_of.toordinal():
        return source
    return _with(source, serial, as_of.toordinal(), bytes.fromhex(md5(source)))


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
