"""`mailtide runs watch`: a run as it goes, from the objects of the bucket alone."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.cli.which_run import is_run, named_run, run_argument
from mailtide.errors import InputError, TransientError

if TYPE_CHECKING:
    from mailtide.api.run_facts import RunFacts, RunReader
    from mailtide.cli.run_events import Event
    from mailtide.ports import Bucket

PATIENCE_S = 120.0
"""How long the bucket may give no answer."""
_STATES = {
    "planning": "The database is being looked at.",
    "launching": "A machine is being created.",
    "working": "The machine is at work.",
    "finishing": "The outcome is being carried out.",
}


@click.command()
@run_argument("RUN|ORG")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0, max=3600), default=30.0, show_default=True, metavar="SECONDS",
    help="How long to wait for a run of ORG to open when its database is one that no run has handled.",
)  # fmt: skip
@click.option(
    "--interval", "interval_s", type=click.FloatRange(min=0.2, max=60), default=1.0, show_default=True,
    metavar="SECONDS", help="How often to look.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, one for each thing that happens.")
@cloud_command
def watch(names: tuple[str, ...], wait_s: float, interval_s: float, as_json: bool) -> None:
    """Follow RUN until it ends, or the run that ORG is at; the last one when none is open.

    The exit code is 0 when the run is published, 1 when it ends otherwise. Ctrl-C stops looking, not the run. Needs
    MAILTIDE_BUCKET and AWS credentials.
    """
    from mailtide.api.kept import KeptObjects
    from mailtide.api.run_facts import RunReader
    from mailtide.bootstrap import bucket

    org, run = _chosen(bucket(), names, wait_s, interval_s)
    console = Console(highlight=False, markup=False)
    live = console.is_terminal and not as_json
    if not as_json:
        console.print(f"Run {run} of {org}")
    with console.status("") if live else nullcontext() as status:
        for facts, fresh in _follow(RunReader(bucket(), KeptObjects()), org, run, interval_s):
            for event in fresh:
                _tell(console, facts, event, as_json)
            if status is not None:
                status.update(_state_line(facts))
    sys.stdout.flush()
    sys.exit(0 if facts.done is not None and facts.done.status == "published" else 1)


def _chosen(bucket: "Bucket", names: tuple[str, ...], wait_s: float, interval_s: float) -> tuple[str, str]:
    """(org, run). InputError when the organisation has no run."""
    from mailtide.runs import find

    if len(names) > 1 or is_run(names[0]):
        return named_run(bucket, names)
    org = check_org(names[0])
    ends_at_s = time.monotonic() + wait_s
    run = find.open_run(bucket, org)
    while run is None and find.is_expected(bucket, org) and time.monotonic() < ends_at_s:
        time.sleep(interval_s)
        run = find.open_run(bucket, org)
    run = run or find.last_run(bucket, org)
    if run is None:
        raise InputError(f"The organisation {org!r} has no run; mailtide upload or mailtide run starts one.")
    return org, run


def _follow(reader: "RunReader", org: str, run: str, interval_s: float) -> "Iterator[tuple[RunFacts, list[Event]]]":
    """The run as it stands, and what is new, until it has ended. InputError when there is no such run."""
    from mailtide.cli.run_events import events_of

    told: set[tuple[str, str]] = set()
    answered_at_s = time.monotonic()
    while True:
        try:
            facts = reader.facts(org, run)
        except TransientError:
            if time.monotonic() - answered_at_s > PATIENCE_S:
                raise
            time.sleep(interval_s)
            continue
        answered_at_s = time.monotonic()
        if facts is None:
            raise InputError(f"The organisation {org!r} has no run {run}.")
        fresh = [event for event in events_of(facts) if (event.place, event.name) not in told]
        told |= {(event.place, event.name) for event in fresh}
        yield facts, fresh
        if facts.done is not None:
            return
        time.sleep(interval_s)


def _opened_at(facts: "RunFacts") -> datetime | None:
    return facts.plan.opened_at if facts.plan else facts.marker.opened_at if facts.marker else None


def _tell(console: Console, facts: "RunFacts", event: "Event", as_json: bool) -> None:
    from mailtide.cli.run_events import LEVELS, shown

    opened = _opened_at(facts)
    seconds = None if opened is None else round((event.at - opened).total_seconds(), 3)
    if as_json:
        line = {"at": event.at.isoformat(), "seconds": seconds, "event": event.name, "place": event.place}
        click.echo(json.dumps({"org": facts.org, "run": facts.run, **line, "level": event.level, "text": event.text}))
        return
    since = "" if seconds is None else f"+{max(0.0, seconds):.1f} s"
    where = "" if event.place == "bucket" else f"{event.place}  "
    head = f"{event.at:%H:%M:%S} {since:>9}  {event.name:<10} "
    console.print(Text(f"{head}{where}{shown(event.text)}".rstrip(), style=LEVELS[event.level]), soft_wrap=True)


def _state_line(facts: "RunFacts") -> str:
    from mailtide.api.run_view import open_line

    opened = _opened_at(facts)
    if facts.done is not None or opened is None:
        return ""
    plan = facts.plan
    expected = f", about {plan.expected_s:.0f} s expected" if plan and plan.expected_s else ""
    return f"{_STATES[open_line(facts).state]} {max(0.0, (datetime.now(UTC) - opened).total_seconds()):.0f} s{expected}"
