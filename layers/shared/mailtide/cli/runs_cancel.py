"""`mailtide runs cancel`: a person ends a run that is under way."""

import getpass
import json
from datetime import UTC, datetime

import click

from mailtide.cli.cloud import cloud_command
from mailtide.cli.which_run import named_run, run_argument
from mailtide.errors import InputError, SettingsError


@click.command()
@run_argument("[ORG] RUN")
@click.option("--reason", default=None, help="One line, kept with the run.")
@click.option("--by", default=None, help="Who cancels; the user of this computer if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def cancel(names: tuple[str, ...], reason: str | None, by: str | None, as_json: bool) -> None:
    """End RUN unpublished: its machines are destroyed, and the database stays as it is.

    A run whose outcome is decided is being published and cannot be cancelled. The first word counts; mailtide runs watch
    shows the end. Needs MAILTIDE_BUCKET, MAILTIDE_FINISH_QUEUE_URL and AWS credentials.
    """
    from mailtide.bootstrap import bucket, queues
    from mailtide.runs import cancel as use_case
    from mailtide.settings import WHERE_TO_FIND, load_settings

    who, why = _line("--by", by or _user(), 100), _line("--reason", reason, 300)
    if not load_settings().finish_queue_url:
        raise SettingsError(f"The setting MAILTIDE_FINISH_QUEUE_URL is missing; {WHERE_TO_FIND}.")
    org, run = named_run(bucket(), names)
    now = datetime.now(UTC)
    standing = use_case.cancel(bucket(), queues(), org, run, by=who or "somebody", reason=why, now=now)
    if as_json:
        click.echo(json.dumps({"org": org, "run": run, **standing.model_dump(mode="json", exclude={"token"})}))
        return
    click.echo(f"Run {run} of {org} is cancelled: it ends in a moment, and nothing is published.")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _line(option: str, text: str | None, most: int) -> str | None:
    """One line of at most so many characters, None for nothing. InputError."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text or "").split())
    if len(line) > most:
        raise InputError(f"{option} is longer than {most} characters.")
    return line or None
