"""`mailtide run`: a run on demand."""

import json
import secrets

import click

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.cli.names import org_names


@click.command()
@click.argument("org", shell_complete=org_names)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def run(org: str, as_json: bool) -> None:
    """Start a run for organisation ORG now, without an upload and whatever its cadence.

    Needs MAILTIDE_BUCKET, MAILTIDE_PLAN_QUEUE_URL and AWS credentials.
    """
    from mailtide.bootstrap import bucket, queues
    from mailtide.runs.demand import run_now

    request_id = secrets.token_hex(8)
    run_now(bucket(), queues(), check_org(org), request_id=request_id)
    click.echo(json.dumps({"org": org, "request_id": request_id}) if as_json else f"A run of {org} is queued.")
