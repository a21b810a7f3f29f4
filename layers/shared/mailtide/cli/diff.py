"""`mailtide diff`: the planned mails of two databases."""

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from mailtide.cli.changes import show_changes
from mailtide.cli.files import naming


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON, with every day.")
def diff(old: Path, new: Path, *, as_json: bool) -> None:
    """Say which planned mails differ between the databases OLD and NEW: inserted, deleted, moved, with a new status, or
    otherwise changed (time, priority, templates, or the reason of one that stays skipped), by type and by day.

    Mails are planned while their status is pre-scheduled or skipped, and are the same mail when contact, type, event date
    and campaign are. One that was planned and has been sent since has a new status. Neither file is changed; each is read
    as it stands at one moment, from a private copy among the temporary files.

    Example: mailtide diff yesterday.db today.db
    """
    from mailtide.database.schedule_changes import compare_schedules
    from mailtide.machine.dry_run import read_file

    with naming(old):
        before = read_file(old)
    with naming(new):
        after = read_file(new)
    changes = compare_schedules(before, after)
    if as_json:
        click.echo(json.dumps(asdict(changes), indent=2))
    else:
        show_changes(changes, Console(highlight=False, soft_wrap=True))
