"""`mailtide run`: a run on demand."""

import json
import secrets

import click

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.contracts import PlanMessage
from mailtide.errors import InputError


@click.command()
@click.argument("org")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def run(org: str, as_json: bool) -> None:
    """Start a run for organisation ORG now, without an upload and whatever its cadence.

    Needs MAILTIDE_BUCKET, MAILTIDE_PLAN_QUEUE_URL and AWS credentials.
    """
    from mailtide.bootstrap import bucket, queues
    from mailtide.runs import keys

    check_org(org)
    if bucket().head(keys.source(org)) is None:
        raise InputError(f"The organisation {org!r} has no database in the bucket; upload one first.")
    request_id = secrets.token_hex(8)
    queues().send(PlanMessage(org=org, trigger="demand", request_id=request_id))
    click.echo(json.dumps({"org": org, "request_id": request_id}) if as_json else f"A run of {org} is queued.")
