"""`mailtide schedule`: one pass over a local database."""

import json
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table

from mailtide.cli.changes import show_changes
from mailtide.cli.files import counted, day_of, naming, rules_from
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
@click.option("--threads", type=click.IntRange(1, 32), default=2, show_default=True, help="How many threads compute.")
@click.option(
    "--profile", type=click.Choice(["highperf", "reliable"]), default="highperf", show_default=True,
    help="highperf writes a copy and puts it in the file's place at the end; reliable writes into the file through "
    "SQLite's write-ahead log. The rows are the same, and a crash leaves the old schedule or the new one.",
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
    day = day_of("--as-of", as_of) if as_of is not None else started_at.astimezone(ZoneInfo(effective.timezone)).date()
    run_id = f"local-{started_at:%Y%m%dT%H%M%S%fZ}"
    if dry:
        _dry_run(database, day, effective, run_id, started_at, threads, as_json=as_json)
        return
    from mailtide.machine.schedule_pass import run_pass

    with naming(database):
        report = run_pass(database, day, effective, run_id, started_at, threads, profile)
    if as_json:
        click.echo(report.model_dump_json(indent=2, exclude={"daily"}))
    else:
        show_report(report, Console(highlight=False, soft_wrap=True))


def _dry_run(
    database: Path, day: date, rules: "Rules", run_id: str, started_at: datetime, threads: int, *, as_json: bool
) -> None:
    from mailtide.machine.dry_run import dry_run

    with naming(database):
        report, changes = dry_run(database, day, rules, run_id, started_at, threads)
    if as_json:
        told = report.model_dump(mode="json", exclude={"daily"})
        click.echo(json.dumps({"report": told, "changes": asdict(changes)}, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    show_report(report, console)
    show_changes(changes, console)
    console.print("This was a dry run: nothing was written.")


def show_report(report: PassReport, console: Console) -> None:
    """Print a report for people: warnings, rows by type, skips, changes, seconds."""
    for warning in report.warnings:
        console.print(f"Warning: {warning}", style="yellow")
    console.print(f"Schedule as of {report.as_of}: {report.eligible:,} of {report.contacts:,} contacts are eligible")
    if report.rows:
        console.print("Mails by type:")
        console.print(_rows_table(report))
    for title, counts in (
        ("Contacts that get no mail", report.skipped_contacts),
        ("Mails skipped, by reason", report.skips),
        ("Worth a look", report.notes),
    ):
        if counts:
            console.print(f"{title}:")
            console.print(_counts_table(counts))
    changes = ", ".join(f"{getattr(report, name):,} {name}" for name in ("inserted", "updated", "deleted", "unchanged"))
    console.print(f"Changes: {changes}" + ("" if report.changed else " (nothing was written)"))
    steps = ", ".join(f"{name} {seconds:.2f}" for name, seconds in report.seconds.items() if name != "total")
    console.print(f"Seconds: {report.seconds['total']:.2f} ({steps})")
    console.print(f"Computed: {report.profile}, {counted(report.threads, 'thread')}")


def _rows_table(report: PassReport) -> Table:
    table = Table("mail type")
    for status in ("pre-scheduled", "skipped"):
        table.add_column(status, justify="right")
    for kind, counts in report.rows.items():
        table.add_row(kind, *(f"{counts.get(status, 0):,}" for status in ("pre-scheduled", "skipped")))
    return table


def _counts_table(counts: dict[str, int]) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(name, f"{count:,}")
    return table
