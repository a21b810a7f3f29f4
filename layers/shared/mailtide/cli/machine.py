"""`mailtide machine`: the entry point of the machine image."""

import json
import sys
from pathlib import Path

import click
import httpx
import stamina

from mailtide.errors import MailtideError, SettingsError
from mailtide.machine.memory import keep_freed_memory
from mailtide.machine.work import Ended, work


@click.command()
@click.option("--task-url", envvar="MAILTIDE_TASK_URL", required=True, help="Presigned URL of the task document.")
@click.option("--machine-id", envvar="FLY_MACHINE_ID", help="Name of this machine, for the record.")
@click.option(
    "--cache-dir",
    envvar="MAILTIDE_CACHE_DIR",
    type=click.Path(path_type=Path),
    help="Folder that outlasts the task, where the database is kept for this machine's next one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end instead of text.")
def machine(task_url: str, machine_id: str | None, cache_dir: Path | None, as_json: bool) -> None:
    """Do one task of a run: fetch the database, bring its schedule up to date, deliver it.

    This is what the image starts; a person has no need to. It holds no credentials but the URLs of its task. Exit code 1
    when the task failed, with the reason in the task's error.json.
    """
    _check_url(task_url)

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    stamina.instrumentation.set_on_retry_hooks(
        [lambda retry: say(f"again in {retry.wait_for:.1f} s: {retry.caused_by}")]
    )
    keep_freed_memory()
    try:
        ended = work(task_url, machine_id=machine_id, say=say, cache_dir=cache_dir)
    except MailtideError as error:
        ended = Ended(ok=False, sentence=f"The machine cannot report to the bucket: {error}.")
    facts = {"ok": ended.ok, "sentence": ended.sentence}
    click.echo(json.dumps(facts) if as_json else ended.sentence)
    sys.exit(0 if ended.ok else 1)


def _check_url(url: str) -> None:
    """SettingsError, without the URL itself in it: it is a credential."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise SettingsError("The task's URL (--task-url or MAILTIDE_TASK_URL) is not a web address.")
