"""Writing feedback into the tables, in one transaction: mails move on, clicks, answers and suppressions are added, each once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import apsw

from mailtide.database.bulk import Source, slow_rows
from mailtide.database.contact_lookup import FindContact, contact_finder
from mailtide.database.feedback_mails import RANKS, Mail, MailFinder, know_contacts
from mailtide.database.import_rows import NEW_SUPPRESSIONS
from mailtide.database.locked import LockedFile
from mailtide.database.read_contacts import read_suppressions
from mailtide.database.schema import Schema, Table, read_schema
from mailtide.database.untrusted import clear_errors, one_line, quoted
from mailtide.database.values import Cell, is_email, normal_email, read_integer, read_text
from mailtide.database.write import timestamp
from mailtide.errors import DatabaseError

type Outcome = Literal["applied", "unchanged"]
type Values = dict[str, str | int | None]

_NEW_TABLES = {
    "suppressions": NEW_SUPPRESSIONS,
    "tracking_clicks": (
        "CREATE TABLE tracking_clicks (id INTEGER PRIMARY KEY, contact_id INTEGER NOT NULL, clicked_at TEXT NOT NULL)"
    ),
    "contact_events": (
        "CREATE TABLE contact_events (id INTEGER PRIMARY KEY, contact_id INTEGER NOT NULL, event_type TEXT NOT NULL, "
        "created_at TEXT NOT NULL, metadata TEXT)"
    ),
    "scheduler_feedback": (
        "CREATE TABLE scheduler_feedback (file TEXT NOT NULL, etag TEXT NOT NULL, lines INTEGER, applied INTEGER, "
        "unchanged INTEGER, refused INTEGER, run_id TEXT, applied_at TEXT, PRIMARY KEY (file, etag))"
    ),
}
_CACHE_MB = 64


class RefusedRow(Exception):  # noqa: N818 - no error of the run: an outcome of one line
    """Why a table does not take a line; a phrase that shows no address."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """One file's row in scheduler_feedback."""

    file: str
    etag: str
    lines: int
    applied: int
    unchanged: int
    refused: int


class FeedbackTables:
    """The tables that feedback is written to, within a transaction."""

    def __init__(self, locked: LockedFile, run_id: str, moment: datetime) -> None:
        """run_id and moment: stand in the rows that are written."""
        self._locked, self._connection = locked, locked.connection
        self._run_id, self._stamp = run_id, timestamp(moment)
        self._source = Source(locked.path, locked.header)
        self._schema: Schema = locked.schema
        self._find: FindContact | None = None
        self._mails: dict[bytes, Mail] = {}
        self._suppressed: set[str] | None = None
        self._seen: dict[str, set[tuple[int, str]]] = {}

    # Before the lines.

    def is_known(self, file: str, etag: str) -> bool:
        """Whether this version of a file was folded in before."""
        table = self._schema.get("scheduler_feedback")
        if table is None:
            return False
        sql = f"SELECT 1 FROM {table.sql_name} WHERE {table.column('file')} = ? AND {table.column('etag')} = ?"
        return self._connection.execute(sql, (file, etag)).get is not None

    def look_for(self, wanted: dict[bytes, int | None], days: tuple[str, str] | None) -> None:
        """Find the mails of the lines to come. wanted: keys, each with its contact where known; days: a likely span."""
        if not wanted:
            return
        for statement in self._locked.preparation.before_rows:
            self._connection.execute(statement).fetchall()
        self._schema = read_schema(self._connection)
        finder = MailFinder(self._source, self._connection, self._table("email_schedules"))
        finder.look_for(wanted, days)
        self._mails = finder.found

    def look_at(self, contacts: set[int]) -> None:
        """The contacts of the lines to come, those of their mails included."""
        know_contacts(self._connection, contacts | {mail.contact_id for mail in self._mails.values()})

    # The lines.

    def contact_of(self, key: bytes | None, contact_id: int | None) -> int:
        """Whom a line is about. RefusedRow when nobody of the database."""
        mail = self._mails.get(key) if key is not None else None
        number = mail.contact_id if mail is not None else contact_id
        if number is None:
            raise RefusedRow("no mail of the schedule has its idempotency_key")
        if self._contact(number) is None:
            raise RefusedRow("there is no such contact")
        return number

    def move_on(
        self, key: bytes, state: Literal["sent", "delivered", "bounced"], at: str, new: Values | None
    ) -> Outcome:
        """Give a mail its new status, unless it has come further. new: the row of a mail that the plan no longer holds."""
        mail = self._mails.get(key)
        if mail is None:
            return self._insert_mail(key, state, at, new)
        if RANKS[state] <= mail.rank:
            return "unchanged"
        table = self._table("email_schedules")
        values: Values = {"status": state, "skip_reason": None, "updated_at": self._stamp}
        if mail.rank == 0 and mail.send_day is not None and at[:10] < mail.send_day:
            # It was handed out for an earlier day, and a later run had moved it.
            values["scheduled_send_date"] = at[:10]
        sets = [f"{table.column(name)} = ?" for name in values]
        actual = table.column("actual_send_datetime")
        if state != "bounced":
            sets.append(f"{actual} = coalesce(nullif(trim({actual}), ''), ?)")
        bindings = [*values.values(), *([at] if state != "bounced" else []), mail.row]
        self._execute(f"UPDATE OR ABORT {table.sql_name} SET {', '.join(sets)} WHERE {table.rowid} = ?", bindings)
        self._mails[key] = Mail(mail.row, mail.contact_id, RANKS[state], mail.send_day)
        return "applied"

    def _insert_mail(self, key: bytes, state: str, at: str, new: Values | None) -> Outcome:
        if new is None:
            raise RefusedRow(
                "no mail of the schedule has its idempotency_key; with contact_id, email_type, event_date and "
                "campaign_instance_id it would be added"
            )
        number = self.contact_of(None, int(new["contact_id"] or 0))
        table = self._table("email_schedules")
        values: Values = {
            **new, "status": state, "scheduler_run_id": self._run_id, "created_at": self._stamp,
            "updated_at": self._stamp, "actual_send_datetime": None if state == "bounced" else at,
        }  # fmt: skip
        event = str(new["event_date"])
        parts = {"event_year": event[:4], "event_month": event[5:7], "event_day": event[8:]}
        values |= {name: int(part) for name, part in parts.items() if name in table.columns}
        row = self._insert(table, values)
        self._mails[key] = Mail(row, number, RANKS[state], None)
        return "applied"

    def suppress(self, email: str | None, contact_id: int | None) -> Outcome:
        """Add an address, or that of a contact, to those that get no mail."""
        address = email
        if address is None and contact_id is not None:
            found = self._contact(contact_id)
            address = normal_email(found[0]) if found is not None and is_email(found[0]) else None
        if address is None:
            raise RefusedRow("its contact has no e-mail address to suppress")
        if self._suppressed is None:
            self._suppressed = read_suppressions(self._source, self._connection, self._schema)
        if address in self._suppressed:
            return "unchanged"
        self._insert(self._table("suppressions"), {"email": address})
        self._suppressed.add(address)
        return "applied"

    def click(self, contact_id: int, at: str) -> Outcome:
        """Add a click, unless it is there."""
        return self._add_once("tracking_clicks", "clicked_at", contact_id, at, {})

    def answer(self, contact_id: int, at: str, metadata: str | None) -> Outcome:
        """Add an answer to the questions of eligibility, unless one of this moment is there."""
        extra: Values = {"event_type": "eligibility_answered"}
        if metadata is not None:
            extra["metadata"] = metadata
        return self._add_once("contact_events", "created_at", contact_id, at, extra)

    def note(self, ledger: Ledger) -> None:
        """Remember that a file was folded in."""
        table = self._table("scheduler_feedback")
        values: Values = {
            "file": ledger.file, "etag": ledger.etag, "lines": ledger.lines, "applied": ledger.applied,
            "unchanged": ledger.unchanged, "refused": ledger.refused, "run_id": self._run_id, "applied_at": self._stamp,
        }  # fmt: skip
        self._insert(table, {name: value for name, value in values.items() if name in table.columns})

    # Inside.

    def _add_once(self, name: str, moment: str, contact_id: int, at: str, extra: Values) -> Outcome:
        table = self._table(name)
        seen = self._seen.get(name)
        if seen is None:
            seen = self._seen[name] = self._standing(table, moment, dict(extra).get("event_type"))
        if (contact_id, at) in seen:
            return "unchanged"
        self._insert(table, {"contact_id": contact_id, moment: at, **extra})
        seen.add((contact_id, at))
        return "applied"

    def _standing(self, table: Table, moment: str, kind: str | int | None) -> set[tuple[int, str]]:
        """Contacts and moments that the table holds, of the contacts in question."""
        columns = [table.column("contact_id"), table.column(moment), table.column("event_type")]
        where = f"CAST({columns[0]} AS INTEGER) IN (SELECT id FROM temp.feedback_contacts)"
        found: set[tuple[int, str]] = set()
        for _, (contact, cell, event) in slow_rows(self._source, self._connection, table, columns, where, ()):
            number, at = read_integer(contact), read_text(cell)
            if number is not None and at is not None and (kind is None or event == kind):
                found.add((number, at))
        return found

    def _contact(self, number: int) -> tuple[Cell, Cell] | None:
        if self._find is None:
            self._find = contact_finder(self._source, self._connection, self._schema.contacts)
        return self._find(number)

    def _table(self, name: str) -> Table:
        """A table, made when it is not there. RefusedRow when it cannot be written."""
        found = self._schema.get(name)
        if found is None:
            try:
                self._connection.execute(_NEW_TABLES[name])
            except apsw.SQLError as error:
                raise RefusedRow(f"the database has something else of the name {name}") from error
            self._schema = read_schema(self._connection)
            found = self._schema.tables[name]
        return found

    def _insert(self, table: Table, values: Values) -> int:
        lacking = [name for name in values if name not in table.columns]
        if lacking:
            raise RefusedRow(f"the table {table.name} has no column {lacking[0]}")
        names = ", ".join(quoted(table.columns[name].name) for name in values)
        marks = ", ".join("?" * len(values))
        self._execute(f"INSERT OR ABORT INTO {table.sql_name} ({names}) VALUES ({marks})", list(values.values()))
        return self._connection.last_insert_rowid()

    def _execute(self, sql: str, bindings: list[str | int | None]) -> None:
        try:
            self._connection.execute(sql, bindings)
        except (apsw.ConstraintError, apsw.MismatchError) as error:
            if self._connection.get_autocommit():
                raise DatabaseError("The table's own rules ended the transaction, so nothing was folded in.") from error
            raise RefusedRow(f"the table refuses it: {one_line(error)}") from None


@contextmanager
def feedback_tables(
    locked: LockedFile, run_id: str, moment: datetime
) -> Iterator[tuple[FeedbackTables, Callable[[], None]]]:
    """The tables within a transaction, and a function that says that something is worth keeping; else nothing is written.

    Raises DatabaseError, and leaves the file as it was.
    """
    connection, wanted = locked.connection, [False]

    def keep() -> None:
        wanted[0] = True

    with clear_errors():
        connection.pragma("synchronous", 2)
        connection.pragma("cache_size", -_CACHE_MB * 1024)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield FeedbackTables(locked, run_id, moment), keep
            connection.execute("COMMIT" if wanted[0] else "ROLLBACK")
        except BaseException:
            if not connection.get_autocommit():
                connection.execute("ROLLBACK")
            raise
        if locked.header.is_wal:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
