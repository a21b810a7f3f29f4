"""Putting staged lines into contacts or suppressions, in one transaction. No numpy."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from mailtide.database.bulk import Source, slow_rows
from mailtide.database.locked import LockedFile, locked_file
from mailtide.database.schema import Column, Table
from mailtide.database.staging import Staged, Staging
from mailtide.database.untrusted import clear_errors, one_line, quoted
from mailtide.database.values import normal_email, read_integer
from mailtide.errors import DatabaseError

NEW_CONTACTS = (
    "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT NOT NULL, zip_code TEXT, state TEXT, birth_date TEXT, "
    "effective_date TEXT, phone_number TEXT)"
)
NEW_SUPPRESSIONS = "CREATE TABLE suppressions (email TEXT NOT NULL)"
_MAX_ID = 2**63 - 1
_SAY_EVERY = 10_000
_CACHE_MB = 64

type Progress = Callable[[int], None]
type Apply = Callable[["Target", Staging, list[str], Progress], None]


@dataclass(slots=True)
class Target:
    """A table that lines go into, on a connection within a transaction; and what became of the lines."""

    connection: apsw.Connection
    source: Source
    table: Table
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def execute(self, staging: Staging, line: int, sql: str, values: list[str | int | None]) -> int | None:
        """Rows changed by a statement; None, and the line refused, when a constraint of the table forbids it."""
        try:
            self.connection.execute(sql, values)
        except (apsw.ConstraintError, apsw.MismatchError) as error:
            if self.connection.get_autocommit():
                raise DatabaseError("The table's own rules ended the transaction, so nothing was imported.") from error
            staging.refuse(line, f"the table refuses it: {one_line(error)}")
            return None
        return self.connection.changes()


def put_contacts(target: Target, staging: Staging, columns: list[str], progress: Progress) -> None:
    """Insert or update a contact for each staged line: by its id, or for a line without one by its address.

    Lines with an id come first, so that a new contact is never given an id that the file itself names.
    """
    writer = _ContactWriter(target, staging, columns)
    writer.learn_ids()
    done = 0
    for with_id in (True, False):
        if not with_id:
            writer.learn_emails()
        for staged in staging.lines(with_id=with_id):
            writer.put(staged)
            done += 1
            if done % _SAY_EVERY == 0:
                progress(done)


class _ContactWriter:
    def __init__(self, target: Target, staging: Staging, columns: list[str]) -> None:
        self._target, self._staging, self._columns = target, staging, columns
        table = target.table
        self._id_is_rowid = table.rowid_alias == "id"
        self._next_id = 0
        names = [quoted(table.columns[name].name) for name in columns]
        self._email_at = columns.index("email") if "email" in columns else None
        marks = ", ".join("?" * (len(names) + 1))
        self._insert = (
            f"INSERT OR ABORT INTO {table.sql_name} ({', '.join([table.column('id') or '', *names])}) VALUES ({marks})"
        )
        self._update = (
            f"UPDATE OR ABORT {table.sql_name} SET {', '.join(f'{name} = ?' for name in names)} "
            f"WHERE {table.rowid} = ? AND ({' OR '.join(f'{name} IS NOT ?' for name in names)})"
        )

    def learn_ids(self) -> None:
        """Where ids are not the rowid, note where each stands."""
        if not self._id_is_rowid:
            self._staging.know_ids(
                (number, row) for row, cell in self._cells("id") if (number := read_integer(cell)) is not None
            )

    def learn_emails(self) -> None:
        """Note where each address stands, those of the lines with an id included."""
        if self._email_at is not None:
            self._staging.know_emails(
                (key, row) for row, cell in self._cells("email") if (key := normal_email(cell)) is not None
            )

    def _cells(self, name: str) -> Iterator[tuple[int, int | float | str | bytes | None]]:
        target = self._target
        for row, (cell,) in slow_rows(
            target.source, target.connection, target.table, [target.table.column(name)], "1", ()
        ):
            yield row, cell

    def put(self, staged: Staged) -> None:
        line, contact_id, email_key, *values = staged
        rows = self._rows(contact_id, email_key)
        if len(rows) > 1:
            self._staging.refuse(line, "several contacts have its e-mail address; give the id")
        elif rows:
            self._change(line, rows[0], values)
        elif self._email_at is None:
            self._staging.refuse(line, f"there is no contact {contact_id}, and the file has no addresses to make one")
        else:
            self._add(line, contact_id, values)

    def _rows(self, contact_id: int | None, email_key: str | None) -> list[int]:
        if contact_id is None:
            return self._staging.rows_of_email(email_key)
        if not self._id_is_rowid:
            row = self._staging.row_of_id(contact_id)
            return [] if row is None else [row]
        sql = f"SELECT 1 FROM {self._target.table.sql_name} WHERE {self._target.table.rowid} = ?"
        return [contact_id] if self._target.connection.execute(sql, (contact_id,)).get else []

    def _change(self, line: int, row: int, values: list[str | None]) -> None:
        if not values:
            self._target.unchanged += 1
            return
        changed = self._target.execute(self._staging, line, self._update, [*values, row, *values])
        if changed is not None:
            self._target.updated += changed
            self._target.unchanged += 1 - changed

    def _add(self, line: int, contact_id: int | None, values: list[str | None]) -> None:
        number = contact_id
        if number is None and not self._id_is_rowid:
            self._next_id = max(self._next_id, self._staging.highest_id()) + 1
            number = self._next_id
            if number > _MAX_ID:
                self._staging.refuse(line, "no id is left for a new contact")
                return
        if self._target.execute(self._staging, line, self._insert, [number, *values]) is None:
            return
        self._target.inserted += 1
        if not self._id_is_rowid and number is not None:
            self._staging.know_ids([(number, self._target.connection.last_insert_rowid())])


def put_suppressions(target: Target, staging: Staging, columns: list[str], progress: Progress) -> None:
    """Insert the addresses that are not suppressed yet; what stands stays as it is."""
    table = target.table
    email = [table.column("email")]
    standing = slow_rows(target.source, target.connection, table, email, "1", ())
    staging.know_emails((key, row) for row, (cell,) in standing if (key := normal_email(cell)) is not None)
    names = ", ".join(quoted(table.columns[name].name) for name in columns)
    insert = f"INSERT OR ABORT INTO {table.sql_name} ({names}) VALUES ({', '.join('?' * len(columns))})"
    for done, (line, _, email_key, *values) in enumerate(staging.lines(with_id=False), 1):
        if staging.rows_of_email(email_key):
            target.unchanged += 1
        elif target.execute(staging, line, insert, [*values]):
            target.inserted += 1
        if done % _SAY_EVERY == 0:
            progress(done)


@contextmanager
def locked_or_new(path: Path, *, may_make: bool) -> Iterator[LockedFile]:
    """The database, locked; where there is none and one may be made, a new one that takes its name at the end.

    Raises DatabaseError. A new file that got no contacts, or any error, leaves nothing behind.
    """
    if path.exists() or path.is_symlink() or not may_make:
        with locked_file(path) as locked:
            yield locked
        return
    check_folder(path)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    os.close(descriptor)
    try:
        connection = apsw.Connection(name)
        connection.execute(f"{NEW_CONTACTS}; {NEW_SUPPRESSIONS}")
        connection.close()
        with locked_file(Path(name)) as locked:
            yield locked
            has_contacts = bool(locked.connection.execute("SELECT 1 FROM contacts LIMIT 1").get)
        if has_contacts:
            _publish(Path(name), path)
    finally:
        Path(name).unlink(missing_ok=True)


def check_folder(path: Path) -> None:
    """Refuse a path of a file to be whose folder is not there. Raises DatabaseError."""
    if not path.parent.is_dir():
        raise DatabaseError(f"There is no folder {path.parent}.")


def _publish(made: Path, path: Path) -> None:
    """Give a new file its name. A link, unlike a renaming, replaces nothing that has come there meanwhile."""
    umask = os.umask(0)
    os.umask(umask)
    made.chmod(0o666 & ~umask)
    try:
        path.hardlink_to(made)
    except FileExistsError:
        raise DatabaseError(f"{path} has come into being meanwhile; nothing was imported.") from None


def put_rows(
    locked: LockedFile,
    name: str,
    staging: Staging,
    columns: list[str],
    apply: Apply,
    progress: Progress,
    *,
    strict: bool,
) -> Target:
    """Apply the staged lines to a table in one transaction. When nothing changes, or with `strict` a line is refused, the
    file keeps every byte.

    Raises DatabaseError.
    """
    connection = locked.connection
    with clear_errors():
        connection.pragma("synchronous", 2)
        connection.pragma("cache_size", -_CACHE_MB * 1024)
        connection.execute("BEGIN IMMEDIATE")
        try:
            if name not in locked.schema.tables:
                connection.execute(NEW_SUPPRESSIONS)
            target = Target(connection, Source(locked.path, locked.header), _table(locked, name))
            apply(target, staging, columns, progress)
            changes = target.inserted or target.updated
            is_wanted = changes and not (strict and staging.count("refused"))
            connection.execute("COMMIT" if is_wanted else "ROLLBACK")
        except BaseException:
            if not connection.get_autocommit():
                connection.execute("ROLLBACK")
            raise
        if locked.header.is_wal:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return target


def _table(locked: LockedFile, name: str) -> Table:
    return locked.schema.get(name) or Table(
        "suppressions", NEW_SUPPRESSIONS, 0, {"email": Column("email", is_generated=False)}, "rowid", None
    )
