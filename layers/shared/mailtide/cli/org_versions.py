"""`mailtide orgs versions` and `restore`: what the bucket keeps of an organisation's database."""

import json

import click
from rich.console import Console
from rich.table import Table

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.cli.files import size_in_words


@click.command()
@click.argument("org")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@cloud_command
def versions(org: str, as_json: bool) -> None:
    """The versions of organisation ORG's database that the bucket keeps, newest first.

    Replaced versions stay for 7 days. Needs MAILTIDE_BUCKET and AWS credentials.
    """
    from mailtide.bootstrap import versioned_bucket
    from mailtide.runs.versions import list_versions

    found = list_versions(versioned_bucket(), check_org(org))
    if as_json:
        rows = [
            {
                "version": kept.version.version_id,
                "stored_at": kept.version.last_modified.isoformat(),
                "size_bytes": kept.version.size_bytes,
                "etag": kept.version.etag,
                "present": kept.version.is_latest,
                "published_by": kept.run,
            }
            for kept in found
        ]
        click.echo(json.dumps(rows))
        return
    if not found:
        click.echo(f"The bucket keeps no version of the database of {org}.")
        return
    table = Table("version", "stored (UTC)", "size", "what")
    for kept in found:
        version = kept.version
        what = f"published by run {kept.run}" if kept.run else "uploaded"
        what += ", the present one" if version.is_latest else ""
        stored = f"{version.last_modified:%Y-%m-%d %H:%M:%S}"
        table.add_row(version.version_id, stored, size_in_words(version.size_bytes), what)
    Console().print(table)


@click.command()
@click.argument("org")
@click.option("--version", "wanted", required=True, help="Its id, or the beginning of it (at least 4 characters).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def restore(org: str, wanted: str, as_json: bool) -> None:
    """Put an older version of organisation ORG's database back, as a new upload: its run brings the schedule up to date.

    What was there stays as a kept version. A run at work on it ends as superseded. Feedback that the older version lacks is
    folded in again. When somebody replaces the database in the same moment, nothing is done.

    Needs MAILTIDE_BUCKET and AWS credentials.
    """
    from mailtide.bootstrap import versioned_bucket
    from mailtide.runs import versions as kept

    version, gets_run = kept.restore(versioned_bucket(), check_org(org), wanted)
    facts = {"org": org, "version": version.version_id, "size_bytes": version.size_bytes, "gets_run": gets_run}
    then = "its run starts now" if gets_run else "it is what was published last, and its next run comes at its hour"
    text = f"Restored the version of {version.last_modified:%Y-%m-%d %H:%M:%S} UTC; {then}."
    click.echo(json.dumps(facts) if as_json else text)
