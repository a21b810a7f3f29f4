"""`mailtide orgs erase`: one person out of everything."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mailtide.cli.cloud import check_org, cloud_command

if TYPE_CHECKING:
    from mailtide.privacy.erase import Erasure


@click.command()
@click.argument("org")
@click.option("--contact", "email", required=True, metavar="EMAIL", help="The person's e-mail address.")
@click.option(
    "--suppress", is_flag=True, help="Keep the address among the suppressions, so that it never gets mail again."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def erase(org: str, email: str, *, suppress: bool, dry_run: bool, as_json: bool) -> None:
    """Remove a person from everything that organisation ORG has in the bucket, and say what was removed.

    From the database go the contacts of the address, their mails, clicks, events and campaigns, and every row of any other
    table that has their contact_id, or the address in a column email; the file is written anew, so that no byte is left.
    Their lines go from the feedback files. Databases, schedules and changesets that runs left are deleted, and so are all
    older versions. The new database gets a run. Nothing happens while a run is at work; when something is replaced
    meanwhile, or after any other error, call it again. What still names the address is listed, and the exit code is 1.

    Needs MAILTIDE_BUCKET and AWS credentials that may delete versions of objects.
    """
    from mailtide.bootstrap import services, versioned_bucket
    from mailtide.privacy.erase import erase_person

    def say(step: str) -> None:
        click.echo(f"mailtide: {step} …", err=True)

    done = erase_person(
        services(), versioned_bucket(), check_org(org), email, suppress=suppress, dry_run=dry_run,
        say=say if sys.stderr.isatty() else lambda _: None,
    )  # fmt: skip
    if as_json:
        click.echo(json.dumps(asdict(done) | {"org": org, "dry_run": dry_run}))
    else:
        _print(done, dry_run=dry_run)
    if done.left:
        sys.exit(1)


def _print(done: "Erasure", *, dry_run: bool) -> None:
    words = "would be removed" if dry_run else "removed"
    click.echo(f"contacts of {done.email}: {done.contacts:,}")
    for table, count in sorted(done.rows.items()):
        click.echo(f"rows of {table} {words}: {count:,}")
    click.echo(f"feedback lines {words}: {done.feedback_lines:,} in {done.feedback_files:,} files")
    for kind, count in sorted(done.objects.items()):
        click.echo(f"{kind} {words}: {count:,}")
    for sentence in done.left:
        click.echo(f"mailtide: {sentence}", err=True)
