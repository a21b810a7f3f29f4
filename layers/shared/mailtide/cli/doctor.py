"""`mailtide doctor`: is this deployment as it should be, and what is to be done?"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from mailtide.cli.cloud import cloud_command
from mailtide.cli.findings import print_findings
from mailtide.cli.stack import stack_option

if TYPE_CHECKING:
    from mailtide.doctor.facts import FlyApp
    from mailtide.ports import Bucket


@click.command()
@stack_option
@click.option(
    "--time-limit", "time_limit_s", type=click.FloatRange(min=1, max=300), default=60.0, show_default=True,
    metavar="SECONDS", help="Nobody waits for a check that takes longer.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@cloud_command
def doctor(stack: str, time_limit_s: float, as_json: bool) -> None:
    """Look at credentials, bucket, queues, tables, functions, schedules, Fly and the organisations; say what to do.

    It changes nothing and shows no secret. The exit code is 0 when nothing is broken, 1 otherwise; docs/operate.md
    explains each check, and the rights that they need.
    """
    from mailtide.adapters.aws_site import AwsSite
    from mailtide.adapters.refusals import refusals
    from mailtide.doctor.examine import Patient, examine

    patient = Patient(
        site=AwsSite(stack),
        stack_name=stack,
        bucket=_bucket_of_the_shell(),
        open_bucket=_open_bucket,
        open_fly=_open_fly,
        now=lambda: datetime.now(UTC),
        refusals=refusals,
    )
    findings = examine(patient, time_limit_s=time_limit_s)
    is_broken = any(one.verdict == "broken" for one in findings)
    if as_json:
        click.echo(json.dumps({"broken": is_broken, "findings": [asdict(one) for one in findings]}))
    else:
        print_findings(findings)
    sys.stdout.flush()
    sys.exit(1 if is_broken else 0)


def _bucket_of_the_shell() -> str | None:
    from mailtide.errors import SettingsError
    from mailtide.settings import load_settings

    try:
        return load_settings().bucket
    except SettingsError:
        return None


def _open_bucket(name: str) -> "Bucket":
    from mailtide.adapters.s3 import S3Bucket, make_client

    return S3Bucket(name, make_client(connections=16))


def _open_fly(environment: Mapping[str, str], token: str) -> "FlyApp":
    from pydantic import SecretStr

    from mailtide.adapters.fly.account import FlyAccount
    from mailtide.adapters.fly.client import BASE_URL

    app = environment.get("MAILTIDE_FLY_APP") or "mailtide"
    return FlyAccount(app, SecretStr(token), base_url=environment.get("MAILTIDE_FLY_API_URL") or BASE_URL)
