"""`mailtide schedule`: one pass over a local database."""

import json
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailtide.cli.files import day_of, naming, rules_from
from mailtide.cli.pass_report import lines_of, printable
from mailtide.cli.quick_imports import quick_imports
from mailtide.machine.report import PassReport, Profile

if TYPE_CHECKING:
    from mailtide.rules.config import Rules


@click.command()
@click.argument("database", type=click.Path(path_type=Path))
@click.option("--as-of", metavar="YYYY-MM-DD", help="The day of the run; today in the rules' time zone when left out.")
@click.option(
    "--rules", default="default", show_default=True, metavar="FILE|default|origin",
    help="A YAML file of rules, or a packaged set: the default, or the windows of the older system.",
)  # fmt: skip
@click.option(
    "--threads",
    type=click.IntRange(1, 32),
    default=2,
    show_default=True,
    help="How many threads compute; two a core at most.",
)
@click.option(
    "--profile", type=click.Choice(["highperf", "reliable"]), default="highperf", show_default=True,
    help="highperf puts a finished copy in the file's place where much changes, and writes into the file where little "
    "does; reliable always writes into the file, through SQLite's write-ahead log. The rows are the same, and a crash "
    "leaves the old schedule or the new one.",
)  # fmt: skip
@click.option(
    "--dry-run", "dry", is_flag=True,
    help="Only say what would change, by type and by day, from a private copy among the temporary files; DATABASE stays "
    "byte for byte as it is.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def schedule(
    database: Path, as_of: str | None, rules: str, threads: int, profile: Profile, *, dry: bool, as_json: bool
) -> None:
    """Bring the mail schedule of DATABASE up to date, in place, and say what changed.

    DATABASE is an SQLite file with a table `contacts` (id, email, zip_code or state, birth_date, effective_date,
    phone_number). The schedule is its table `email_schedules`, made if it is not there. Nothing is sent. The file is
    locked meanwhile; bad input leaves it exactly as it was and exits with code 2. A second run of the same day writes
    nothing.

    Example: mailtide schedule contacts.db --as-of 2026-11-21
    """
    effective = rules_from(rules)
    started_at = datetime.now(UTC)
    day = _today(effective, started_at) if as_of is None else day_of("--as-of", as_of)
    run_id = f"local-{started_at:%Y%m%dT%H%M%S%fZ}"
    if dry:
        _dry_run(database, day, effective, run_id, started_at, threads, as_json=as_json)
        return
    with quick_imports():
        from mailtide.machine.memory import keep_freed_memory
        from mailtide.machine.schedule_pass import run_pass
    keep_freed_memory()
    with naming(database):
        report = run_pass(database, day, effective, run_id, started_at, threads, profile)
    if as_json:
        click.echo(_json(_told(report)))
    else:
        _show(report)


def _today(rules: "Rules", now: datetime) -> date:
    from zoneinfo import ZoneInfo

    return now.astimezone(ZoneInfo(rules.timezone)).date()


def _dry_run(
    database: Path, day: date, rules: "Rules", run_id: str, started_at: datetime, threads: int, *, as_json: bool
) -> None:
    from mailtide.machine.dry_run import dry_run

    with naming(database):
        report, changes = dry_run(database, day, rules, run_id, started_at, threads)
    if as_json:
        click.echo(_json({"report": _told(report), "changes": asdict(changes)}))
        return
    from rich.console import Console

    from mailtide.cli.changes import show_changes

    _show(report)
    show_changes(changes, Console(highlight=False, soft_wrap=True))
    click.echo("This was a dry run: nothing was written.")


def _told(report: PassReport) -> dict[str, object]:
    return {name: value for name, value in report.plain().items() if name != "daily"}


def _json(values: dict[str, object]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False)


def _show(report: PassReport) -> None:
    for warning in report.warnings:
        click.secho(f"Warning: {printable(warning)}", fg="yellow")
    for line in lines_of(report):
        click.echo(line)
