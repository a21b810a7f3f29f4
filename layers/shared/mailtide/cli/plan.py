"""`mailtide plan`: which machine a run would get, how long it would take and what it would cost."""

import json
from pathlib import Path
from typing import Any

import click

from mailtide.cli.files import counted, naming, size_in_words
from mailtide.errors import InputError

BYTES_A_CONTACT = 100
"""Size of a database per contact before it has a schedule, for `--contacts` alone."""


@click.command()
@click.argument("db", required=False, type=click.Path(path_type=Path))
@click.option(
    "--contacts", type=click.IntRange(0, 100_000_000), help="Plan for this many contacts, without a database."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def plan(db: Path | None, contacts: int | None, as_json: bool) -> None:
    """Say which machine a run of the database DB (or of --contacts N) would get, and what time and money it would take.

    DB is not read whole: like the function in the cloud this reads its header, its schema and a sample of its pages. Only a
    DB with a -wal file beside it is copied whole, so that what stands in the -wal counts.
    """
    from mailtide.runs.sizing import size_run
    from mailtide.settings import load_estimate_settings

    if (db is None) == (contacts is None):
        raise InputError("Name a database or give --contacts, one of the two.")
    facts: dict[str, Any] = {}
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
    from mailtide.database.inspect_local import inspect_file

    with naming(db):
        read = inspect_file(db)
    facts = {"contacts_are": "estimated", "inspection_requests": read.requests, "inspection_bytes": read.bytes_read}
    return read.contacts_estimate, read.size_bytes, {**facts}


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts))
        return
    contacts = f"{facts['contacts']:,}"
    if "contacts_are" in facts:
        read = f"{facts['inspection_bytes']:,} bytes in {counted(facts['inspection_requests'], 'read')}"
        contacts = f"about {contacts}, estimated from {read}"
    click.echo(f"contacts: {contacts}")
    click.echo(f"database: {size_in_words(facts['size_bytes'])}")
    click.echo(f"machine:  {facts['machine']}, {counted(facts['threads'], 'thread')}")
    click.echo(f"expected: {facts['expected_s']:.1f} s and ${facts['expected_usd']:.4f}")
