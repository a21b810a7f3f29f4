"""`mailtide plan`: which machine a run would get, how long it would take and what it would cost."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from mailtide.cli.files import naming
from mailtide.errors import InputError

BYTES_A_CONTACT = 100
"""Size of a database per contact before it has a schedule, for `--contacts` alone."""


@click.command()
@click.argument("db", required=False, type=click.Path(path_type=Path))
@click.option("--contacts", type=click.IntRange(min=0), help="Plan for this many contacts, without a database.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def plan(db: Path | None, contacts: int | None, as_json: bool) -> None:
    """Say which machine a run of the database DB (or of --contacts N) would get, and what time and money it would take.

    DB is not read whole: like the function in the cloud this reads its header, its schema and a sample of its pages.
    """
    from mailtide.runs.sizing import size_run
    from mailtide.settings import load_estimate_settings

    if (db is None) == (contacts is None):
        raise InputError("Name a database or give --contacts, one of the two.")
    facts: dict[str, object] = {}
    if db is not None:
        contacts, size_bytes, facts = _inspect(db)
    else:
        size_bytes = (contacts or 0) * BYTES_A_CONTACT
    sizing = size_run(load_estimate_settings(), contacts=contacts or 0, size_bytes=size_bytes)
    facts = {"contacts": contacts, "size_bytes": size_bytes} | facts
    facts |= {"machine": str(sizing.sizes[0]), "threads": sizing.threads}
    facts |= {"expected_s": sizing.expected_s, "expected_usd": sizing.expected_usd}
    _print(facts, as_json)


def _inspect(db: Path) -> tuple[int, int, dict[str, object]]:
    from mailtide.database.estimate import inspect_database
    from mailtide.database.local_reader import LocalReader

    with naming(db), LocalReader(db) as reader:
        read = inspect_database(reader)
    facts = {"contacts_are": "estimated", "inspection_requests": read.requests, "inspection_bytes": read.bytes_read}
    return read.contacts_estimate, read.size_bytes, {**facts}


def _print(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts))
        return
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    Console().print(table)
