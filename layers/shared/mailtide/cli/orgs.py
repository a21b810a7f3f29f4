"""`mailtide orgs`: who is in the bucket, and how to add one."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.cli.colors import STATE_COLORS, list_table
from mailtide.cli.files import parsed_rules, rules_text
from mailtide.cli.names import org_names
from mailtide.cli.org_erase import erase
from mailtide.cli.org_versions import restore, versions
from mailtide.cli.org_webhook import webhook
from mailtide.errors import InputError, StaleWriteError

if TYPE_CHECKING:
    from rich.table import Table

    from mailtide.ports import Bucket

_READERS = 10
_WIDE = 110
"""Columns of a terminal that whole moments need."""


@click.group()
def orgs() -> None:
    """Add organisations, list them, and see to what belongs to one: its webhook, its versions, its people."""


for command in (versions, restore, webhook, erase):
    orgs.add_command(command)


@orgs.command()
@click.argument("org", shell_complete=org_names)
@click.option(
    "--rules", "rules_file", type=click.Path(path_type=Path), help="Its rules file; the packaged rules if left out."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def add(org: str, rules_file: Path | None, as_json: bool) -> None:
    """Add organisation ORG: check its rules and put them into the bucket.

    Its runs then start with each upload (`mailtide upload ORG FILE`), and daily at its hour. An organisation whose rules
    stand in the bucket already is not changed.
    """
    from mailtide.bootstrap import bucket
    from mailtide.rules.config import load_rules
    from mailtide.runs import keys

    check_org(org)
    text = rules_text(rules_file) if rules_file else None
    rules = parsed_rules(text, rules_file) if rules_file and text is not None else load_rules(None)
    try:
        bucket().create(keys.rules(org), (text or "{}\n").encode())
    except StaleWriteError:
        raise InputError(f"The organisation {org!r} has rules in the bucket already.") from None
    facts = {"org": org, "timezone": rules.timezone, "cadence": rules.cadence, "run_at_hour": rules.run_at_hour}
    line = f"Added {org}: {rules.cadence} runs from {rules.run_at_hour:02d}:00, {rules.timezone}."
    click.echo(json.dumps(facts) if as_json else line)


@orgs.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@cloud_command
def list_orgs(as_json: bool) -> None:
    """Every organisation: its state, its last run, and when the next one is due.

    The state is that of an open run, else how the last one ended. Needs MAILTIDE_BUCKET and AWS credentials.
    """
    from mailtide.bootstrap import bucket
    from mailtide.runs import store

    now = datetime.now(UTC)
    with ThreadPoolExecutor(_READERS) as readers:
        lines = list(readers.map(lambda org: org_line(bucket(), org, now), store.organisations(bucket())))
    if as_json:
        click.echo(json.dumps(lines))
        return
    console = Console(highlight=False, markup=False)
    console.print(_table_of(lines, is_narrow=console.width < _WIDE))


def _table_of(lines: "list[dict[str, object]]", *, is_narrow: bool) -> "Table":
    """Where it is narrow, moments come without their year, and the day of the run is left to `runs list`."""
    left_out = {"as of"} if is_narrow else set()
    names = [
        name
        for name in ("organisation", "state", "run", "as of", "finished (UTC)", "next run (UTC)", "rules")
        if name not in left_out
    ]
    table = list_table(*names)
    for line in lines:
        state, rules = str(line["state"] or "–"), str(line["rules"])
        cells: dict[str, str | Text] = {
            "organisation": str(line["org"]),
            "state": Text(state, style=STATE_COLORS.get(state, "")),
            "run": str(line["run"] or "–"),
            "as of": str(line["as_of"] or "–"),
            "finished (UTC)": _moment(line["finished_at"], is_narrow=is_narrow),
            "next run (UTC)": _moment(line["next_run_at"], is_narrow=is_narrow),
            "rules": Text(rules, style="bold red" if rules == "unusable" else ""),
        }
        table.add_row(*(cells[name] for name in names))
    return table


def _moment(text: object, *, is_narrow: bool) -> str:
    """2026-11-22 08:49 of an ISO moment, or 11-22 08:49."""
    return "–" if text is None else str(text)[5 if is_narrow else 0 : 16].replace("T", " ")


def org_line(bucket: "Bucket", org: str, now: datetime) -> dict[str, object]:
    """What the list says of one organisation. state: of the open run, else the last one's end; None before the first."""
    from mailtide.api.org_view import line_of as line_of_org
    from mailtide.api.org_view import rules_of
    from mailtide.api.run_view import line_of as line_of_run
    from mailtide.runs import find, keys, store

    latest = store.read_latest(bucket, org).value
    done = store.read_done(bucket, org, latest.run) if latest.run else None
    open_run = find.open_run(bucket, org)
    has_database = bucket.head(keys.source(org)) is not None
    last = line_of_run(done) if done else None
    line = line_of_org(org, rules_of(bucket, org), last, now, has_database=has_database)
    return {
        "org": org,
        "state": "running" if open_run else latest.status,
        "open_run": open_run,
        "run": latest.run,
        "status": latest.status,
        "as_of": str(latest.as_of) if latest.as_of else None,
        "finished_at": done.finished_at.isoformat() if done else None,
        "reason": done.reason if done else None,
        "next_run_at": line.next_run_at.isoformat() if line.next_run_at else None,
        "rules": line.rules,
        "rules_problem": line.rules_problem,
    }
