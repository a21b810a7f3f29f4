"""`mailtide db-info`: what is in a database."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import click

from mailtide.cli.files import counted, naming, size_in_words

UNREAD_WAL_WARNING = (
    "The database is in WAL mode; what stands only in its -wal file is not looked at here, but a pass reads it."
)


@click.command(name="db-info")
@click.argument("database", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def db_info(database: Path, *, as_json: bool) -> None:
    """Say what is in DATABASE and what is wrong with it, without changing it.

    Checks the file as a pass would before it starts, reading a sample of it only: so the number of contacts is an
    estimate for a large file. Exit code 2 and one sentence when a pass would refuse the file.

    Example: mailtide db-info contacts.db
    """
    from mailtide.database.estimate import inspect_database
    from mailtide.database.header import MISSING_WAL_WARNING
    from mailtide.database.local_reader import LocalReader

    with naming(database), LocalReader(database) as reader:
        facts = inspect_database(reader)
    wal = database.resolve().with_name(f"{database.resolve().name}-wal")
    if wal.is_file() and wal.stat().st_size > 0:
        warnings = [UNREAD_WAL_WARNING if warning == MISSING_WAL_WARNING else warning for warning in facts.warnings]
        facts = replace(facts, warnings=warnings)
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
