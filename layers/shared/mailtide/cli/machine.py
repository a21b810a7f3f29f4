"""`mailtide machine`: the entry point of the machine image."""

import sys

import click

from mailtide.machine.work import work


@click.command()
@click.option("--task-url", envvar="MAILTIDE_TASK_URL", required=True, help="Presigned URL of the task document.")
@click.option("--machine-id", envvar="FLY_MACHINE_ID", help="Name of this machine, for the record.")
def machine(task_url: str, machine_id: str | None) -> None:
    """Do one task of a run: fetch the database, bring its schedule up to date, deliver it.

    This is what the image starts; a person has no need to. It holds no credentials but the URLs of its task. Exit code 1
    when the task failed, with the reason in the task's error.json.
    """
    ended = work(task_url, machine_id=machine_id, say=click.echo)
    click.echo(ended.sentence)
    sys.exit(0 if ended.delivered else 1)
