"""`mailtide orgs`: who is in the bucket, and how to add one."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.cli.files import parsed_rules, rules_text
from mailtide.cli.names import org_names
from mailtide.cli.org_erase import erase
from mailtide.cli.org_versions import restore, versions
from mailtide.cli.org_webhook import webhook
from mailtide.errors import InputError, StaleWriteError


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
    """Every organisation, with its last run."""
    from mailtide.bootstrap import bucket
    from mailtide.runs import store

    rows = [{"org": org, **_latest(store.read_latest(bucket(), org).value)} for org in store.organisations(bucket())]
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table("organisation", "last run", "status", "as of")
    for row in rows:
        table.add_row(*(str(row[name] or "–") for name in ("org", "run", "status", "as_of")))
    Console().print(table)


def _latest(latest: object) -> dict[str, str | None]:
    facts = {name: getattr(latest, name) for name in ("run", "status", "as_of")}
    return {name: None if value is None else str(value) for name, value in facts.items()}
