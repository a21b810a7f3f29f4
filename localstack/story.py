"""What happened in a run and what came of it, for a person: tables from done.json and from the published database."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mailtide.contracts import Done

type Row = tuple[object, ...]


def tell(console: Console, done: Done, database: Path) -> None:
    """Print the whole story of a published run. database: the published file."""
    _steps(console, done)
    _machine(console, done)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        _mails(console, connection)
        _skips(console, connection)
        _one_contact(console, connection)


def make_table(title: str, *columns: str, numbers: tuple[str, ...] = ()) -> Table:
    """A table of text with a bold title; `numbers` are the columns that stand to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def _steps(console: Console, done: Done) -> None:
    table = make_table(
        "The run, step by step", "step", "at (UTC)", "seconds since the upload", numbers=("seconds since the upload",)
    )
    began = done.steps[0].at
    for step in done.steps:
        # S3 gives the time of an upload in whole seconds, so what follows at once may seem to come before it.
        since_s = max(0.0, (step.at - began).total_seconds())
        table.add_row(step.name, f"{step.at:%H:%M:%S}.{step.at.microsecond // 100_000}", f"{since_s:.1f}")
    console.print(table)


def _machine(console: Console, done: Done) -> None:
    table = make_table("Machine and cost", "what", "value")
    if len(done.machines) > 1:
        for use in done.machines:
            what = f"{use.launch.machine_id} ({use.launch.size}), {use.seconds:.1f} s, ${use.usd:.6f}"
            table.add_row(f"{use.task}, try {use.attempt}", what)
    elif done.machine is not None:
        table.add_row("machine", f"{done.machine.machine_id} ({done.machine.size}), {done.tries} try")
    if done.cost is not None:
        table.add_row("machine time", f"{done.cost.machine_s:.1f} s, ${done.cost.machine_usd:.6f}")
        table.add_row("transfer and requests", f"${done.cost.egress_usd + done.cost.requests_usd:.6f}")
        table.add_row("in all", f"${done.cost.total_usd:.6f} at Fly's and AWS's prices; here it was free")
    console.print(table)


def _mails(console: Console, connection: sqlite3.Connection) -> None:
    rows = _all(
        connection,
        "SELECT email_type, status, count(*), min(scheduled_send_date), max(scheduled_send_date)"
        " FROM email_schedules GROUP BY 1, 2 ORDER BY 1, 2",
    )
    table = make_table(
        "Mails by type and status", "type", "status", "mails", "first day", "last day", numbers=("mails",)
    )
    for kind, status, count, first, last in rows:
        table.add_row(str(kind), str(status), f"{count:,}", str(first), str(last))
    console.print(table)


def _skips(console: Console, connection: sqlite3.Connection) -> None:
    table = make_table("Skipped, and why", "what", "reason", "count", numbers=("count",))
    rows = _all(
        connection,
        "SELECT skip_reason, count(*) FROM email_schedules WHERE status = 'skipped' GROUP BY 1 ORDER BY 2 DESC, 1",
    )
    for reason, count in rows[:10]:
        table.add_row("mails", str(reason), f"{count:,}")
    if len(rows) > 10:
        table.add_row("mails", f"{len(rows) - 10} other reasons", f"{sum(int(str(row[1])) for row in rows[10:]):,}")
    last = _all(connection, "SELECT skipped_contacts FROM scheduler_runs ORDER BY finished_at DESC LIMIT 1")
    for reason, number in sorted(json.loads(str(last[0][0])).items() if last else ()):
        table.add_row("contacts", reason, f"{number:,}")
    console.print(table)


def _one_contact(console: Console, connection: sqlite3.Connection) -> None:
    """The contact with the most planned mails, and a skipped one where there is such: it shows the most."""
    chosen = _all(
        connection,
        "SELECT contact_id FROM email_schedules GROUP BY 1"
        " ORDER BY sum(status = 'pre-scheduled') DESC, count(DISTINCT status) DESC, contact_id LIMIT 1",
    )
    if not chosen:
        return
    who = _all(connection, "SELECT id, email, state, birth_date, effective_date FROM contacts WHERE id = ?", chosen[0])[
        0
    ]
    title = f"The first mails of contact {who[0]}: {who[1]}, {who[2]}, born {who[3]}, policy effective {who[4]}"
    table = make_table(title, "send on", "at", "type", "for the event of", "status", "why")
    rows = _all(
        connection,
        "SELECT scheduled_send_date, scheduled_send_time, email_type, event_date, status, skip_reason FROM email_schedules"
        " WHERE contact_id = ? ORDER BY 1, 3 LIMIT 8",
        chosen[0],
    )
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    console.print(table)


def _all(connection: sqlite3.Connection, query: str, values: Row = ()) -> list[Row]:
    return connection.execute(query, values).fetchall()
