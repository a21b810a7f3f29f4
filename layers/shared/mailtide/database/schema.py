"""The tables and columns of an organisation's database, found and checked (spec §2, §10). No numpy.

Works on any connection: a local file, a locked one, or one over ranged reads. Nothing but the schema is read.
"""

from dataclasses import dataclass, field

import apsw

from mailtide.database.untrusted import clear_errors, quoted
from mailtide.errors import DatabaseError

REQUIRED: dict[str, tuple[str, ...]] = {
    "contacts": ("id", "email"),
    "campaign_types": ("name",),
    "campaign_instances": ("id", "campaign_type", "instance_name"),
    "contact_campaigns": ("contact_id", "campaign_instance_id"),
    "suppressions": ("email",),
    "tracking_clicks": ("contact_id", "clicked_at"),
    "contact_events": ("contact_id", "event_type", "created_at"),
    "email_schedules": ("id",),
    "scheduler_runs": (),
    "scheduler_feedback": ("file", "etag"),
}
"""Tables that the pass uses, and the columns that each must have when it is there."""

OPTIONAL: dict[str, tuple[str, ...]] = {
    "contacts": ("zip_code", "state", "birth_date", "effective_date", "phone_number"),
    "campaign_types": (
        "respect_exclusion_windows",
        "enable_followups",
        "days_before_event",
        "target_all_contacts",
        "priority",
        "active",
    ),
    "campaign_instances": ("email_template", "sms_template", "active_start_date", "active_end_date"),
    "contact_campaigns": ("trigger_date", "status"),
    "contact_events": ("metadata",),
}
WRITTEN = ("email_schedules", "scheduler_runs", "scheduler_feedback")
_MAX_SCHEMA_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `name` as the table spells it."""

    name: str
    is_generated: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One ordinary table. `columns` is keyed by lower-cased name."""

    name: str
    sql: str
    root_page: int
    columns: dict[str, Column]
    rowid: str | None
    """A name under which the rowid can be read; None for a WITHOUT ROWID table."""
    rowid_alias: str | None
    """Lower-cased name of the INTEGER PRIMARY KEY column."""

    def column(self, name: str) -> str | None:
        """The quoted name of a column, None when the table lacks it."""
        found = self.columns.get(name)
        return quoted(found.name) if found else None

    @property
    def sql_name(self) -> str:
        """The quoted name, of the main schema."""
        return f"main.{quoted(self.name)}"


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of REQUIRED that are there, by lower-cased name, and what the report should warn of."""

    tables: dict[str, Table]
    names: list[str]
    """Names of all tables in the file, as spelled."""
    warnings: list[str] = field(default_factory=list)

    @property
    def contacts(self) -> Table:
        """The one table that must be there."""
        return self.tables["contacts"]

    def get(self, name: str) -> Table | None:
        """A table by its lower-cased name."""
        return self.tables.get(name)


def read_schema(connection: apsw.Connection) -> Schema:
    """Find and check all tables that the pass reads or writes.

    Raises DatabaseError naming the missing table or column, or what stands in the way of the pass.
    """
    with clear_errors():
        found = _schema_rows(connection)
        names = [name for kind, name, _, _ in found.values() if kind == "table"]
        warnings: list[str] = []
        tables: dict[str, Table] = {}
        for wanted in REQUIRED:
            if wanted in found and (table := _read_table(connection, wanted, found[wanted], warnings)):
                tables[wanted] = table
        if "contacts" not in tables:
            raise DatabaseError("The database has no table contacts.")
        _check_contacts(tables["contacts"])
        return Schema(tables, names, warnings)


def _schema_rows(connection: apsw.Connection) -> dict[str, tuple[str, str, int, str]]:
    """Kind, name, root page and SQL of tables and views, by lower-cased name."""
    rows = connection.execute(
        "SELECT type, name, rootpage, sql FROM main.sqlite_schema WHERE type IN ('table', 'view') LIMIT ?",
        (_MAX_SCHEMA_ROWS + 1,),
    ).fetchall()
    if len(rows) > _MAX_SCHEMA_ROWS:
        raise DatabaseError(f"The database has more than {_MAX_SCHEMA_ROWS:,} tables and views.")
    found: dict[str, tuple[str, str, int, str]] = {}
    for kind, name, root, sql in rows:
        if not isinstance(name, str) or not isinstance(root, int | None) or not isinstance(sql, str | None):
            raise DatabaseError("The database's schema is damaged.")
        found[name.lower()] = (str(kind), name, root or 0, sql or "")
    return found


def _read_table(
    connection: apsw.Connection, wanted: str, row: tuple[str, str, int, str], warnings: list[str]
) -> Table | None:
    kind, name, root, sql = row
    if not _is_ordinary(wanted, kind, name, root):
        warnings.append(f"{name} is a view, and was read as absent.")
        return None
    columns: dict[str, Column] = {}
    key: list[tuple[str, str]] = []
    for _, column, declared, _, _, primary, hidden in connection.execute(f"PRAGMA main.table_xinfo({quoted(name)})"):
        columns[column.lower()] = Column(column, is_generated=hidden in (2, 3))
        if primary:
            key.append((column.lower(), str(declared)))
    for column in REQUIRED[wanted]:
        if column not in columns:
            raise DatabaseError(f"{name} has no column {column}.")
    rowid = _rowid_name(connection, name, columns)
    alias = key[0][0] if len(key) == 1 and rowid and _is_alias(connection, name, key[0]) else None
    table = Table(name, sql, root, columns, rowid, alias)
    if rowid is None and wanted in (*WRITTEN, "contacts"):
        raise DatabaseError(f"{name} is a WITHOUT ROWID table; it must be an ordinary one.")
    return table


def _is_ordinary(wanted: str, kind: str, name: str, root: int) -> bool:
    """False for a view that reads as absent; raises for what must be a table."""
    if kind == "view" and wanted in (*WRITTEN, "contacts"):
        raise DatabaseError(f"{name} is a view; it must be a table.")
    if kind != "view" and root == 0:
        raise DatabaseError(f"{name} is a virtual table; it must be an ordinary one.")
    return kind != "view"


def _rowid_name(connection: apsw.Connection, name: str, columns: dict[str, Column]) -> str | None:
    for candidate in ("rowid", "_rowid_", "oid"):
        if candidate not in columns:
            try:
                connection.execute(f"SELECT {candidate} FROM main.{quoted(name)} LIMIT 0").fetchall()
            except apsw.SQLError:
                return None
            return candidate
    raise DatabaseError(f"{name} has columns named rowid, _rowid_ and oid, so that its rows cannot be told apart.")


def _is_alias(connection: apsw.Connection, name: str, key: tuple[str, str]) -> bool:
    """Whether the one key column is the rowid itself: declared INTEGER, and without an index of its own.

    `INTEGER PRIMARY KEY DESC` as a column constraint is not the rowid, and has one.
    """
    if key[1].upper() != "INTEGER":
        return False
    indexes = connection.execute(f"PRAGMA main.index_list({quoted(name)})").fetchall()
    return not any(origin == "pk" for _, _, _, origin, _ in indexes)


def _check_contacts(contacts: Table) -> None:
    if "zip_code" not in contacts.columns and "state" not in contacts.columns:
        raise DatabaseError(f"{contacts.name} has neither a column zip_code nor a column state.")
