"""`mailtide db-info`: what is in a database."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from mailtide.cli.files import counted, naming, size_in_words


@click.command(name="db-info")
@click.argument("database", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def db_info(database: Path, *, as_json: bool) -> None:
    """Say what is in DATABASE and what is wrong with it, without changing it.

    Checks the file as a pass would before it starts, reading a sample of it only: so the number of contacts is an
    estimate for a large file. What stands in a -wal file beside it counts; such a database is copied to be read. Exit
    code 2 and one sentence when a pass would refuse the file.

    Example: mailtide db-info contacts.db
    """
    from mailtide.database.inspect_local import inspect_file

    with naming(database):
        facts = inspect_file(database)
    if as_json:
        click.echo(json.dumps({"path": str(database), **asdict(facts)}, indent=2))
        return
    for warning in facts.warnings:
        click.secho(f"Warning: {warning}", fg="yellow")
    journal = "WAL" if facts.journal_mode_wal else "rollback journal"
    click.echo(
        f"{database}: {size_in_words(facts.size_bytes)}, pages of {facts.page_size} bytes, {facts.encoding}, {journal}"
    )
    click.echo(f"contacts: about {facts.contacts_estimate:,}")
    click.echo(f"tables: {', '.join(sorted(facts.tables))}")
    click.echo(f"read for this: {facts.bytes_read:,} bytes in {counted(facts.requests, 'request')}")
