"""`mailtide explain`: why each mail of a contact stands where it stands."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from mailtide.cli.changes import printable
from mailtide.cli.files import day_of, naming, rules_from


@click.command()
@click.argument("database", metavar="DB", type=click.Path(path_type=Path))
@click.option(
    "--contact", type=click.IntRange(-(2**63), 2**63 - 1), required=True, metavar="ID", help="The contact's id."
)
@click.option("--as-of", metavar="YYYY-MM-DD", help="The day of the run; today in the rules' time zone when left out.")
@click.option(
    "--rules", default="default", show_default=True, metavar="FILE|default|origin",
    help="A YAML file of rules, or a packaged set: the default, or the windows of the older system.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def explain(database: Path, contact: int, as_of: str | None, rules: str, *, as_json: bool) -> None:
    """Say step by step why each mail of a contact of DB goes out when it does, was moved, or is skipped.

    Also says which mails of the past and which cancelled ones stand against new ones, and why a campaign does not count.
    This is what a run of that day would plan; DB is not changed. The rules run on the whole database, because the daily
    cap needs every contact.

    Example: mailtide explain contacts.db --contact 17 --as-of 2026-11-21
    """
    from mailtide.machine.explain import explain as explained

    effective = rules_from(rules)
    today = datetime.now(UTC).astimezone(ZoneInfo(effective.timezone)).date()
    day = today if as_of is None else day_of("--as-of", as_of)
    with naming(database):
        found = explained(database, contact, day, effective)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
        return
    lines = [f"Contact {found.contact_id} ({found.state or 'no state'}) as of {found.as_of}:"]
    lines += [*found.history, *found.held, *found.campaigns]
    if found.not_eligible:
        lines.append(f"The contact gets no mail: {found.not_eligible}.")
    elif not found.mails:
        lines.append("No mail is planned for the contact.")
    for mail in found.mails:
        campaign = f" (campaign {mail.campaign_instance_id})" if mail.campaign_instance_id else ""
        lines.append(f"{mail.email_type}{campaign}, {mail.send_date}, {mail.status}:")
        lines += [f"  {step}" for step in mail.steps]
    for line in lines:
        click.echo(printable(line, 500).plain)
