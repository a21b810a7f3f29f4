"""Which rows of email_schedules feedback means: found by the key that `mailtide due` hands out."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apsw

from mailtide.database.bulk import Source, slow_rows
from mailtide.database.due import idempotency_key, iso_day
from mailtide.database.read_history import PLANNED_STATUSES, read_event
from mailtide.database.schema import Table
from mailtide.database.values import Cell, read_date, read_integer, read_status, read_text

_KEY = ("contact_id", "email_type", "event_date", "campaign_instance_id")
_ROWS_A_LOOK = 5_000
_READ = (
    "contact_id", "email_type", "event_date", "campaign_instance_id", "status", "scheduled_send_date", "event_year",
    "event_month", "event_day",
)  # fmt: skip
RANKS = {
    **dict.fromkeys(PLANNED_STATUSES, 0), "scheduled": 1, "processing": 1, "sent": 2, "delivered": 3, "bounced": 4,
}  # fmt: skip
"""How far a mail has come, by status; feedback only ever moves it on. Any other status is final."""
FINAL = 4


@dataclass(frozen=True, slots=True)
class Mail:
    """One row of the schedule."""

    row: int
    contact_id: int
    rank: int
    send_day: str | None


class MailFinder:
    """Finds the rows of keys, of several with one key the one that has come furthest.

    A key is a digest of a row's parts, so rows are read and digested until every key is found: those of named contacts
    first, then those about the days in question, then all.
    """

    def __init__(self, source: Source, connection: apsw.Connection, table: Table) -> None:
        self._source, self._connection, self._table = source, connection, table
        self.found: dict[bytes, Mail] = {}

    def look_for(self, wanted: dict[bytes, int | None], days: tuple[str, str] | None) -> None:
        """wanted: keys, each with its contact where that is known. days: between which send dates to look first."""
        contact, send = self._table.column("contact_id"), self._table.column("scheduled_send_date")
        named = {number for number in wanted.values() if number is not None}
        if named:
            know_contacts(self._connection, named)
            self._scan(wanted, f"CAST({contact} AS INTEGER) IN (SELECT id FROM temp.feedback_contacts)", ())
        left = {key for key, number in wanted.items() if number is None} - self.found.keys()
        if left and days:
            self._scan(left, f"substr({send}, 1, 10) BETWEEN ? AND ?", days)
        if left - self.found.keys():
            self._scan(left, "1", ())

    def _scan(self, wanted: Iterable[bytes], where: str, bindings: tuple[str, ...]) -> None:
        keys = set(wanted)
        plain = self._plain()
        rows = list(self._matching(keys, f"({where}) AND {plain}", bindings))
        for start in range(0, len(rows), _ROWS_A_LOOK):
            chosen = ", ".join(map(str, rows[start : start + _ROWS_A_LOOK]))
            self._take(keys, f"{self._table.rowid} IN ({chosen})", ())
        self._take(keys, f"({where}) AND NOT {plain}", bindings)

    def _plain(self) -> str:
        """SQL: whether a row's key is the digest of its columns as they are stored."""
        contact, kind, event, campaign = (self._table.column(name) for name in _KEY)
        return (
            f"(typeof({contact}) = 'integer' AND typeof({kind}) = 'text' AND typeof({event}) = 'text' "
            f"AND substr({event}, 1, 4) BETWEEN '1900' AND '2100' AND date({event}) IS {event} "
            f"AND typeof({campaign}) IN ('integer', 'null'))"
        )

    def _matching(self, keys: set[bytes], where: str, bindings: tuple[str, ...]) -> Iterator[int]:
        """The rowids of plain rows that have one of the keys. Digests are made of the stored bytes: millions of rows are read."""
        contact, kind, event, campaign = (self._table.column(name) for name in _KEY)
        statement = (
            f"SELECT {self._table.rowid}, {contact}, CAST({kind} AS BLOB), {event}, coalesce({campaign}, 0) "
            f"FROM {self._table.sql_name} NOT INDEXED WHERE {where}"
        )
        codec = self._source.header.codec
        rows: Any = self._connection.execute(statement, bindings)
        for row, number, text, day, place in rows:
            name = text if codec == "utf-8" else bytes(text).decode(codec, "replace").encode()
            key = hashlib.sha256(b"mailtide-due-1\n%d\n%b\n%b\n%d" % (number, name, day.encode(), place)).digest()
            if key in keys:
                yield row

    def _take(self, keys: set[bytes], where: str, bindings: tuple[str, ...]) -> None:
        """Read rows exactly, and keep those that have one of the keys."""
        columns = [self._table.column(name) for name in _READ]
        for row, cells in slow_rows(self._source, self._connection, self._table, columns, where, bindings):
            found = _mail(row, cells)
            if found is None or found[0] not in keys:
                continue
            key, mail = found
            standing = self.found.get(key)
            if standing is None or (mail.rank, -mail.row) > (standing.rank, -standing.row):
                self.found[key] = mail


def know_contacts(connection: apsw.Connection, numbers: Iterable[int]) -> None:
    """Keep ids of contacts where statements can use them."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS feedback_contacts (id INTEGER PRIMARY KEY)")
    connection.executemany("INSERT OR IGNORE INTO temp.feedback_contacts VALUES (?)", ((number,) for number in numbers))


def _mail(row: int, cells: list[Cell]) -> tuple[bytes, Mail] | None:
    contact_id, email_type, status = read_integer(cells[0]), read_text(cells[1]), read_status(cells[4])
    if contact_id is None or email_type is None:
        return None
    event = iso_day(read_event(cells[2], *cells[6:]))
    key = idempotency_key(contact_id, email_type, event, read_integer(cells[3]) or 0)
    rank = RANKS.get(status or "", FINAL)
    return bytes.fromhex(key), Mail(row, contact_id, rank, iso_day(read_date(cells[5])))
