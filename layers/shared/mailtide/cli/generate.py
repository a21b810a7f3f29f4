"""`mailtide generate`: a database of invented contacts."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from mailtide.cli.files import counted, size_in_words
from mailtide.errors import SettingsError


@click.command()
@click.argument("out", metavar="OUT.db", type=click.Path(path_type=Path))
@click.option("--contacts", type=click.IntRange(0, 100_000_000), required=True, help="How many contacts to invent.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Equal seeds give equal contacts.")
@click.option(
    "--bad-fraction", type=click.FloatRange(0, 1), default=0.01, show_default=True,
    help="The share of contacts with something wrong or unusual, evenly of every kind.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace OUT.db if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def generate(out: Path, contacts: int, seed: int, bad_fraction: float, *, force: bool, as_json: bool) -> None:
    """Make a database OUT.db of realistic, invented contacts, to try things out with.

    States are weighted by population, with real ZIP codes; birth dates are mostly of people of 64 to 90, policies
    mostly start on the first of a month. E-mail domains and telephone numbers are reserved ones: nobody gets mail.

    Example: mailtide generate --contacts 10000 demo.db
    """
    from mailtide.database.invented import invent_database

    if out.exists() and not (force and out.is_file()):
        raise SettingsError(f"{out} exists already; give another name, or --force to replace it.")
    if not out.absolute().parent.is_dir():
        raise SettingsError(f"There is no folder {out.absolute().parent}.")
    made = invent_database(out, contacts, seed, bad_fraction)
    if as_json:
        click.echo(json.dumps({"path": str(out), "seed": seed, **asdict(made)}))
        return
    click.echo(
        f"{out}: {made.contacts:,} contacts ({made.bad_contacts:,} with something wrong or unusual), "
        f"{counted(made.suppressions, 'suppression')}, {size_in_words(made.size_bytes)}"
    )
    click.echo(f"Now try: mailtide schedule {out} --as-of 2026-11-21")
