"""What the tables hold beside the columns of the rules: past runs, and the names of campaigns. No numpy."""

from dataclasses import dataclass
from math import isfinite

import apsw

from mailtide.database.bulk import Source, slow_rows
from mailtide.database.schema import Schema
from mailtide.database.untrusted import clear_errors
from mailtide.database.values import Cell, read_integer, shown_text

MAX_RUNS = 60
_TEXTS = ("run_id", "as_of", "status", "started_at")
_NUMBERS = ("contacts", "eligible", "inserted", "updated", "deleted", "unchanged")
_MAX_TEXT = 120


@dataclass(frozen=True, slots=True)
class Run:
    """One row of scheduler_runs, as text where it is no number."""

    run_id: str
    as_of: str
    status: str
    started_at: str
    contacts: int | None
    eligible: int | None
    inserted: int | None
    updated: int | None
    deleted: int | None
    unchanged: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Runs:
    """The run history: the latest runs first, at most a bounded number of them."""

    shown: list[Run]
    total: int
    table_exists: bool


def read_runs(source: Source, schema: Schema) -> Runs:
    """The latest rows of scheduler_runs, by their start. A run that changed nothing left no row (spec §9)."""
    table = schema.get("scheduler_runs")
    if table is None:
        return Runs([], 0, table_exists=False)
    columns = [table.column(name) for name in (*_TEXTS, *_NUMBERS, "seconds")]
    started = table.column("started_at") or table.rowid
    with clear_errors():
        connection = source.open()
        try:
            total = connection.execute(f"SELECT count(*) FROM {table.sql_name}").get
            where = f"1 ORDER BY {started} DESC, {table.rowid} DESC LIMIT {MAX_RUNS}"
            shown = [_run(cells) for _, cells in slow_rows(source, connection, table, columns, where, ())]
        finally:
            connection.close()
    return Runs(shown, read_integer(total) or 0 if isinstance(total, int) else 0, table_exists=True)


def follows(connection: apsw.Connection, schema: Schema, rules_sha256: str) -> bool:
    """Whether the latest run that changed anything was by these rules; False also where that cannot be read."""
    table = schema.get("scheduler_runs")
    rules = table.column("rules_sha256") if table else None
    if table is None or rules is None or table.rowid is None:
        return False
    try:
        latest = connection.execute(f"SELECT {rules} FROM {table.sql_name} ORDER BY {table.rowid} DESC LIMIT 1").get
    except apsw.Error:
        return False
    return bool(latest == rules_sha256)


def _run(cells: list[Cell]) -> Run:
    run_id, as_of, status, started_at = ((shown_text(cell) or "–")[:_MAX_TEXT] for cell in cells[: len(_TEXTS)])
    contacts, eligible, inserted, updated, deleted, unchanged = (read_integer(cell) for cell in cells[len(_TEXTS) : -1])
    seconds = float(cells[-1]) if isinstance(cells[-1], int | float) and isfinite(cells[-1]) else None
    return Run(
        run_id, as_of, status, started_at, contacts, eligible, inserted, updated, deleted, unchanged, seconds
    )  # fmt: skip


def read_campaign_names(source: Source, schema: Schema) -> dict[int, str]:
    """Instance names by instance id."""
    table = schema.get("campaign_instances")
    if table is None:
        return {}
    columns = [table.column("id"), table.column("instance_name")]
    with clear_errors():
        connection = source.open()
        try:
            rows = slow_rows(source, connection, table, columns, "1", ())
            return {
                number: (shown_text(name) or "–")[:_MAX_TEXT]
                for _, (cell, name) in rows
                if (number := read_integer(cell)) is not None
            }
        finally:
            connection.close()
