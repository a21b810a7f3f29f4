"""What a run leaves as it is in the database that it is given, so that its result can be told from any other file. No numpy.

The pass, and feedback before it, write to tables of their own. Every other table keeps its definition, and its pages stay where
they are, byte for byte, unless the file is one whose pages SQLite moves by itself (auto_vacuum).
"""

import hashlib
from collections.abc import Sequence

import apsw

from mailtide.contracts import Likeness, PageDigest
from mailtide.database.btree import Page
from mailtide.database.header import Header
from mailtide.database.schema import WRITTEN

_PAGES = 3
_CHANGING = (*WRITTEN, "suppressions", "tracking_clicks", "contact_events")
"""Tables that a run may make or change; the last three for feedback."""


def likeness_of(connection: apsw.Connection, header: Header, size_bytes: int, leaves: Sequence[Page]) -> Likeness:
    """The likeness of a database, of whose contacts some leaves are read already."""
    ordered = [] if header.auto_vacuum else sorted(leaves, key=lambda page: page.number)
    chosen = {index * (len(ordered) - 1) // (_PAGES - 1): None for index in range(_PAGES)} if ordered else {}
    return Likeness(
        page_size_bytes=header.page_size,
        encoding=header.codec,
        is_wal=header.is_wal,
        surplus_bytes=surplus_bytes(header, size_bytes),
        tables_sha256=tables_digest(connection),
        contact_pages=tuple(
            PageDigest(page=ordered[index].number, sha256=page_digest(ordered[index].data)) for index in chosen
        ),
    )


def surplus_bytes(header: Header, size_bytes: int) -> int:
    """Bytes behind the last page that the header counts."""
    return size_bytes - header.page_count * header.page_size


def page_digest(data: bytes) -> str:
    """SHA-256 of a page."""
    return hashlib.sha256(data).hexdigest()


def tables_digest(connection: apsw.Connection) -> str:
    """SHA-256 over the names and definitions of the tables that no run writes to."""
    marks = ", ".join("?" for _ in _CHANGING)
    rows = connection.execute(
        "SELECT name, coalesce(sql, '') FROM main.sqlite_schema WHERE type = 'table' "
        f"AND lower(name) NOT IN ({marks}) AND substr(lower(name), 1, 7) <> 'sqlite_' ORDER BY 1, 2",
        _CHANGING,
    )
    digest = hashlib.sha256()
    for name, sql in rows:
        for text in (str(name), str(sql)):
            body = text.encode("utf-8", "surrogatepass")
            digest.update(len(body).to_bytes(8, "big") + body)
    return digest.hexdigest()
