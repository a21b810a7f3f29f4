"""The columns of a table as it declares them, and the run that wrote last. No numpy."""

from dataclasses import dataclass
from typing import Any

import apsw

from mailtide.database.untrusted import clear_errors, quoted


@dataclass(frozen=True, slots=True)
class Column:
    """A column of email_schedules; `name` as spelled."""

    name: str
    affinity: str
    has_default: bool


def columns_of(connection: apsw.Connection, table: str) -> list[Column]:
    """The columns of a table that hold values of their own, in order; none when there is no such table."""
    found: list[Any] = connection.execute(f"PRAGMA main.table_xinfo({quoted(table)})").fetchall()
    return [
        Column(name, _affinity(str(kind or "")), default is not None)
        for _, name, kind, _, default, _, hidden in found
        if not hidden
    ]


def _affinity(declared: str) -> str:
    """https://www.sqlite.org/datatype3.html, section 3.1."""
    kind = declared.upper()
    if "INT" in kind:
        return "INTEGER"
    if any(word in kind for word in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if "BLOB" in kind or not kind:
        return "BLOB"
    return "REAL" if any(word in kind for word in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


def last_run(connection: apsw.Connection, table: str) -> str | None:
    """The run that wrote last, by its row in scheduler_runs; None without one."""
    with clear_errors():
        names = {column.name.lower() for column in columns_of(connection, table)}
        if not {"run_id", "started_at"} <= names:
            return None
        order = ", ".join(f"{name} DESC" for name in ("started_at", "finished_at") if name in names)
        found = connection.execute(f"SELECT run_id FROM main.{quoted(table)} ORDER BY {order} LIMIT 1").get
    return None if found is None else str(found)
