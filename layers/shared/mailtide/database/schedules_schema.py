"""What must be done to email_schedules and scheduler_runs before rows can be written (spec §9, §10). No numpy."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from mailtide.database.ddl import without_unique
from mailtide.database.schema import Schema, Table
from mailtide.database.untrusted import clear_errors, harden, one_line, quoted
from mailtide.errors import DatabaseError

KEY_INDEX, DUE_INDEX = "email_schedules_planned_key", "email_schedules_due"
_REBUILT = "email_schedules_rebuilt_by_mailtide"
_PROBE_DEADLINE_S = 5.0

SCHEDULE_COLUMNS: dict[str, str] = {
    "contact_id": "INTEGER",
    "email_type": "TEXT",
    "event_date": "DATE",
    "scheduled_send_date": "DATE",
    "scheduled_send_time": "TIME",
    "status": "TEXT",
    "skip_reason": "TEXT",
    "priority": "INTEGER",
    "campaign_instance_id": "INTEGER DEFAULT 0",
    "email_template": "TEXT",
    "sms_template": "TEXT",
    "scheduler_run_id": "TEXT",
    "created_at": "TEXT",
    "updated_at": "TEXT",
    "actual_send_datetime": "TEXT",
}
"""Every column but id, as it is added to an older table."""

RUN_COLUMNS: dict[str, str] = {
    "run_id": "TEXT",
    "as_of": "DATE",
    "rules_sha256": "TEXT",
    "contacts": "INTEGER",
    "eligible": "INTEGER",
    "skipped_contacts": "TEXT",
    "inserted": "INTEGER",
    "updated": "INTEGER",
    "deleted": "INTEGER",
    "unchanged": "INTEGER",
    "seconds": "REAL",
    "started_at": "TEXT",
    "finished_at": "TEXT",
    "status": "TEXT",
}

_CREATE_SCHEDULES = """CREATE TABLE main.email_schedules (
    id INTEGER PRIMARY KEY,
    contact_id INTEGER NOT NULL,
    email_type TEXT NOT NULL,
    event_date DATE NOT NULL,
    scheduled_send_date DATE NOT NULL,
    scheduled_send_time TIME NOT NULL,
    status TEXT NOT NULL,
    skip_reason TEXT,
    priority INTEGER NOT NULL,
    campaign_instance_id INTEGER NOT NULL DEFAULT 0,
    email_template TEXT,
    sms_template TEXT,
    scheduler_run_id TEXT,
    created_at TEXT,
    updated_at TEXT,
    actual_send_datetime TEXT
)"""
_CREATE_RUNS = "CREATE TABLE main.scheduler_runs ({})".format(
    ", ".join(f"{name} {kind}{' PRIMARY KEY' if name == 'run_id' else ''}" for name, kind in RUN_COLUMNS.items())
)
_SAMPLE_TYPES: dict[str, tuple[str, str]] = {
    "birthday": ("2026-12-15", "2026-12-01"),
    "effective_date": ("2026-12-31", "2026-12-01"),
    "aep": ("2026-09-15", "2026-09-15"),
    "post_window": ("2026-12-15", "2026-12-16"),
    "followup_1_cold": ("2026-12-01", "2026-12-03"),
    "followup_2_clicked_no_hq": ("2026-12-01", "2026-12-03"),
    "followup_3_hq_no_yes": ("2026-12-01", "2026-12-03"),
    "followup_4_hq_with_yes": ("2026-12-01", "2026-12-03"),
}
"""Event date and send date of a likely mail of each type."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """The statements that bring the tables into shape; empty lists when they are already."""

    before_rows: list[str] = field(default_factory=list)
    after_rows: list[str] = field(default_factory=list)
    """Indexes: made after the rows where that is faster, and rows of equal keys are gone by then."""
    schedules: str = "email_schedules"
    """The table's name as it is spelled, and the run table's."""
    runs: str = "scheduler_runs"


def plan_preparation(connection: apsw.Connection, schema: Schema) -> Preparation:
    """What the pass will have to do to the tables that it writes.

    Raises DatabaseError when it cannot be done, or when the tables would refuse the pass's rows.
    """
    with clear_errors():
        schedules, runs = schema.get("email_schedules"), schema.get("scheduler_runs")
        before = [_CREATE_SCHEDULES] if schedules is None else _mend(connection, schedules, SCHEDULE_COLUMNS)
        before += [_CREATE_RUNS] if runs is None else _missing(runs, RUN_COLUMNS)
        name = schedules.name if schedules else "email_schedules"
        dropped, after = _indexes(connection, name, rebuilt=any(_REBUILT in statement for statement in before))
        before += dropped
        if schedules is not None:
            _probe_schedules(schedules, before)
        if runs is not None:
            _probe_runs(runs)
        return Preparation(before, after, name, runs.name if runs else "scheduler_runs")


def is_prepared(connection: apsw.Connection, schema: Schema) -> bool:
    """Whether the tables and indexes that the pass writes stand as it leaves them. Raises DatabaseError."""
    with clear_errors():
        schedules, runs = schema.get("email_schedules"), schema.get("scheduler_runs")
        if schedules is None or runs is None:
            return False
        lacking = _mend(connection, schedules, SCHEDULE_COLUMNS) + _missing(runs, RUN_COLUMNS)
        dropped, made = _indexes(connection, schedules.name, rebuilt=False)
        return not (lacking or dropped or made)


def _missing(table: Table, wanted: dict[str, str]) -> list[str]:
    for name in wanted:
        if name in table.columns and table.columns[name].is_generated:
            raise DatabaseError(f"{table.name}.{name} is a generated column; it must be an ordinary one.")
    return [
        f"ALTER TABLE {table.sql_name} ADD COLUMN {name} {kind}"
        for name, kind in wanted.items()
        if name not in table.columns
    ]


def _mend(connection: apsw.Connection, table: Table, wanted: dict[str, str]) -> list[str]:
    """Statements that drop foreign UNIQUE indexes, rebuild the table if constraints demand it, and add columns."""
    indexes: list[Any] = connection.execute(f"PRAGMA main.index_list({quoted(table.name)})").fetchall()
    foreign = [(name, origin) for _, name, unique, origin, _ in indexes if unique and name.lower() != KEY_INDEX]
    statements = [f"DROP INDEX main.{quoted(name)}" for name, origin in foreign if origin == "c"]
    if any(origin != "c" for _, origin in foreign) or table.rowid_alias != "id":
        statements += _rebuild(connection, table, {name for name, origin in foreign if origin == "c"})
    return statements + _missing(table, wanted)


def _rebuild(connection: apsw.Connection, table: Table, dropped: set[str]) -> list[str]:
    """SQLite's own recipe (lang_altertable.html, section 7), with indexes and triggers made again from their text."""
    try:
        create = without_unique(table.sql, f"main.{_REBUILT}", "id")
    except ValueError as error:
        raise DatabaseError(f"{table.name} cannot be rebuilt without its UNIQUE constraints: {error}.") from error
    columns = ", ".join(quoted(column.name) for column in table.columns.values() if not column.is_generated)
    statements = [
        create,
        f"INSERT INTO main.{_REBUILT} ({columns}) SELECT {columns} FROM {table.sql_name} ORDER BY {table.rowid}",
        f"DROP TABLE {table.sql_name}",
        f"ALTER TABLE main.{_REBUILT} RENAME TO {quoted(table.name)}",
    ]
    kept: list[Any] = connection.execute(
        "SELECT name, sql FROM main.sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL "
        "AND lower(tbl_name) = ? ORDER BY type, rowid",
        (table.name.lower(),),
    ).fetchall()
    return statements + [sql for name, sql in kept if name not in dropped and name.lower() != KEY_INDEX]


def _indexes(connection: apsw.Connection, table: str, *, rebuilt: bool) -> tuple[list[str], list[str]]:
    """Statements that drop our two indexes where they are not what they should be, and that make them where missing."""
    key = (
        f"ON {quoted(table)} (contact_id, email_type, event_date, campaign_instance_id)"
        " WHERE status IN ('pre-scheduled', 'skipped')"
    )
    due = f"ON {quoted(table)} (status, scheduled_send_date)"
    found = {
        name.lower(): (str(owner), sql or "")
        for name, owner, sql in connection.execute(
            "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'index'"
        )
    }
    dropped: list[str] = []
    made: list[str] = []
    for name, unique, definition in ((KEY_INDEX, "UNIQUE ", key), (DUE_INDEX, "", due)):
        owner, sql = found.get(name, ("", ""))
        create = f"CREATE {unique}INDEX {name} {definition}"
        if owner and owner.lower() != table.lower():
            raise DatabaseError(f"The table {owner} has an index named {name}, a name that the schedule needs.")
        right = bool(owner) and _squeezed(sql) == _squeezed(create)
        if owner and not right and not (rebuilt and name == KEY_INDEX):
            dropped.append(f"DROP INDEX main.{name}")
        if not right or (rebuilt and name == KEY_INDEX):
            made.append(create.replace(f"INDEX {name}", f"INDEX main.{name}"))
    return dropped, made


def _squeezed(sql: str) -> str:
    return "".join(sql.lower().replace('"', "").replace("main.", "").split())


def _probe_schedules(table: Table, before: list[str]) -> None:
    """Try sample rows on an empty table of the same definition: finds a NOT NULL or CHECK that refuses every pass."""
    names = ["id", *SCHEDULE_COLUMNS]
    rows: list[tuple[Any, ...]] = [
        (number, 1, kind, event, send, "08:30:00", status, reason, 10, 0, "a", None, "r", "t", "t", None)
        for number, (kind, (event, send), status, reason) in enumerate(
            (kind, days, status, reason)
            for kind, days in _SAMPLE_TYPES.items()
            for status, reason in (("pre-scheduled", None), ("skipped", "frequency_limit"))
        )
    ]
    # An older table's parts of the event date are written too.
    parts = [(name, 12) for name in ("event_year", "event_month", "event_day") if name in table.columns]
    names += [name for name, _ in parts]
    rows = [(*row, *(value for _, value in parts)) for row in rows]
    rebuild = [sql for sql in before if _REBUILT in sql and sql.startswith("CREATE")]
    added = [sql for sql in before if sql.startswith("ALTER") and _REBUILT not in sql]
    make = rebuild[0].replace(_REBUILT, quoted(table.name)) if rebuild else table.sql
    _probe(table.name, [make, *added], names, rows)


def _probe_runs(table: Table) -> None:
    added = _missing(table, RUN_COLUMNS)
    row = ("r", "2026-12-01", "0" * 64, 1, 1, "{}", 1, 0, 0, 0, 1.5, "t", "t", "done")
    _probe(table.name, [table.sql, *added], list(RUN_COLUMNS), [row])


def _probe(table: str, statements: list[str], names: list[str], rows: Sequence[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" for _ in names)
    memory = apsw.Connection(":memory:")
    try:
        harden(memory, deadline_s=_PROBE_DEADLINE_S)
        for statement in statements:
            memory.execute(statement).fetchall()
        memory.executemany(f"INSERT INTO {quoted(table)} ({', '.join(names)}) VALUES ({marks})", rows)
    except (apsw.ConstraintError, apsw.MismatchError) as error:
        raise DatabaseError(f"{table} refuses the rows of the schedule: {one_line(error)}.") from error
    finally:
        memory.close()
