"""`mailtide runs`: how runs ended, and what becomes of those that are held."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.cli.colors import STATE_COLORS, list_table
from mailtide.cli.names import org_names, run_names
from mailtide.cli.runs_cancel import cancel
from mailtide.cli.runs_watch import watch
from mailtide.cli.which_run import checked_run
from mailtide.errors import InputError

if TYPE_CHECKING:
    from mailtide.contracts import Done, OpenMarker

_FILES_SHOWN = 30
_LISTED = {"org", "run", "status", "as_of", "finished_at", "reason", "changed", "tries"}


@click.group()
def runs() -> None:
    """List runs, show one, follow or cancel one that is open, retry one that failed, decide about one that is held."""


for command in (watch, cancel):
    runs.add_command(command)


@runs.command(name="list")
@click.argument("org", shell_complete=org_names)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@cloud_command
def list_runs(org: str, limit: int, as_json: bool) -> None:
    """The runs of organisation ORG: those under way, then those that have ended, newest first.

    Needs MAILTIDE_BUCKET and AWS credentials.
    """
    from mailtide.bootstrap import bucket
    from mailtide.runs.find import open_runs
    from mailtide.runs.verdicts import ended

    org = check_org(org)
    markers = open_runs(bucket(), org)
    done = {one.run: one for one in ended(bucket(), org)}
    under_way = [marker for marker in markers if marker.run not in done]
    found = list(done.values())[:limit]
    if as_json:
        opened = [{**dict.fromkeys(_LISTED), **_opened(marker)} for marker in under_way]
        click.echo(json.dumps([*opened, *(_row(one) for one in found)]))
        return
    if not found and not under_way:
        click.echo(f"No run of {org} is open or has ended yet.")
        return
    table = list_table("run", "status", "as of", "finished (UTC)", "reason")
    for marker in under_way:
        as_of = "–" if marker.as_of is None else str(marker.as_of)
        table.add_row(
            marker.run, Text("running", style="cyan"), as_of, f"opened {marker.opened_at:%Y-%m-%d %H:%M:%S}", "–"
        )
    for one in found:
        as_of = "–" if one.as_of is None else str(one.as_of)
        status = Text(one.status, style=STATE_COLORS.get(one.status, ""))
        table.add_row(one.run, status, as_of, f"{one.finished_at:%Y-%m-%d %H:%M:%S}", Text(one.reason or "–"))
    Console().print(table)


def _opened(marker: "OpenMarker") -> dict[str, object]:
    as_of = None if marker.as_of is None else str(marker.as_of)
    return {"org": marker.org, "run": marker.run, "status": "running", "as_of": as_of}


@runs.command()
@click.argument("org", shell_complete=org_names)
@click.argument("run", shell_complete=run_names)
@click.option("--json", "as_json", is_flag=True, help="Print done.json as it stands.")
@cloud_command
def show(org: str, run: str, as_json: bool) -> None:
    """How RUN of organisation ORG ended: its steps, its counts, its cost.

    Needs MAILTIDE_BUCKET and AWS credentials.
    """
    from mailtide.bootstrap import bucket
    from mailtide.runs import store

    done = store.read_done(bucket(), check_org(org), checked_run(run))
    if done is None:
        is_open = store.read_marker(bucket(), org, run) is not None
        watch_it = f"Run {run} of {org!r} has not ended yet; mailtide runs watch {run} follows it."
        raise InputError(watch_it if is_open else f"The organisation {org!r} has no ended run {run}.")
    if as_json:
        click.echo(done.model_dump_json(indent=1))
        return
    _print(done)


@runs.command()
@click.argument("org", shell_complete=org_names)
@click.argument("run", shell_complete=run_names)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def approve(org: str, run: str, as_json: bool) -> None:
    """Publish what the held RUN of organisation ORG planned: it is made again, for the same day, and goes through.

    Needs MAILTIDE_BUCKET, MAILTIDE_PLAN_QUEUE_URL and AWS credentials.
    """
    from mailtide.bootstrap import bucket, queues
    from mailtide.runs import verdicts

    request_id = verdicts.approve(bucket(), queues(), check_org(org), checked_run(run), now=datetime.now(UTC))
    facts = {"org": org, "run": run, "request_id": request_id}
    click.echo(json.dumps(facts) if as_json else f"Run {run} is approved; a run of {org} that publishes it is queued.")


@runs.command()
@click.argument("org", shell_complete=org_names)
@click.argument("run", shell_complete=run_names)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def reject(org: str, run: str, as_json: bool) -> None:
    """Note that the held RUN of organisation ORG is never to be published. The database stays as it is.

    Needs MAILTIDE_BUCKET and AWS credentials.
    """
    from mailtide.bootstrap import bucket
    from mailtide.runs import verdicts

    verdicts.reject(bucket(), check_org(org), checked_run(run), now=datetime.now(UTC))
    click.echo(json.dumps({"org": org, "run": run}) if as_json else f"Run {run} is rejected; nothing was published.")


@runs.command()
@click.argument("org", shell_complete=org_names)
@click.argument("run", shell_complete=run_names)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def retry(org: str, run: str, as_json: bool) -> None:
    """Make a run in the place of the failed RUN of organisation ORG, for today. Of several calls one counts.

    Needs MAILTIDE_BUCKET, MAILTIDE_PLAN_QUEUE_URL and AWS credentials.
    """
    from mailtide.bootstrap import bucket, queues
    from mailtide.runs.demand import retry as make_again

    request_id = make_again(bucket(), queues(), check_org(org), checked_run(run))
    facts = {"org": org, "run": run, "request_id": request_id}
    click.echo(json.dumps(facts) if as_json else f"A run of {org} in the place of {run} is queued.")


def _row(done: "Done") -> dict[str, object]:
    return done.model_dump(mode="json", include=_LISTED)


def _print(done: "Done") -> None:
    console = Console()
    console.print(f"Run {done.run} of {done.org}: {done.status}", highlight=False)
    if done.reason:
        console.print(done.reason, highlight=False, markup=False)
    warnings = (done.report or {}).get("warnings")
    for warning in warnings if isinstance(warnings, list) else ():
        console.print(f"Warning: {warning}", style="yellow", highlight=False, markup=False)
    steps = Table("step", "at (UTC)", title="Steps", title_justify="left")
    for step in done.steps:
        steps.add_row(step.name, f"{step.at:%Y-%m-%d %H:%M:%S.%f}"[:-3])
    console.print(steps)
    names = ("contacts", "eligible", "inserted", "updated", "deleted", "unchanged")
    counts = {name: done.report[name] for name in names if name in done.report} if done.report else {}
    if counts:
        table = Table("what", "count", title="What the pass planned", title_justify="left")
        for name, count in counts.items():
            table.add_row(name, f"{count:,}")
        console.print(table)
    _print_feedback(console, (done.report or {}).get("feedback"))
    if done.machines:
        console.print(_machines_table(done))
    if done.cost is not None:
        cost = done.cost
        console.print(
            f"Tries: {done.tries}; machine {cost.machine_s:g} s; about ${cost.total_usd:.6f}: machines "
            f"${cost.machine_usd:.6f}, transfer ${cost.egress_usd:.6f}, requests ${cost.requests_usd:.6f}.",
            highlight=False,
        )


def _machines_table(done: "Done") -> Table:
    table = Table("task", "try", "machine", "was", "size", title="Machines", title_justify="left")
    for name in ("seconds", "dollars"):
        table.add_column(name, justify="right")
    for use in done.machines:
        launch = use.launch
        was = "kept" if launch.kept else "new"
        cells = (launch.machine_id, was, str(launch.size), f"{use.seconds:.1f}", f"{use.usd:.6f}")
        table.add_row(use.task, str(use.attempt), *cells)
    return table


def _print_feedback(console: Console, told: object) -> None:
    if told is None:
        return
    from mailtide.contracts import FeedbackReport

    report = FeedbackReport.model_validate(told)
    table = Table("feedback", "lines", "applied", "known", "refused", title="Feedback", title_justify="left")
    for file in report.files[:_FILES_SHOWN]:
        table.add_row(file.name, *(f"{count:,}" for count in (file.lines, file.applied, file.unchanged, file.refused)))
    if report.files:
        console.print(table)
    notes = {
        "more files folded in": len(report.files) - _FILES_SHOWN,
        "files that the database had": report.known,
        "files replaced meanwhile, left for the next run": len(report.left),
        "files waiting for the next run": report.waiting,
    }
    for note, count in notes.items():
        if count > 0:
            console.print(f"{count:,} {note}", highlight=False)
    for problem in report.problems:
        console.print(problem, highlight=False, markup=False)
    if report.refused > len(report.problems):
        console.print(f"and {report.refused - len(report.problems):,} more refused lines", highlight=False)
