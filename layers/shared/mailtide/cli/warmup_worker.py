"""`mailtide warmup worker`: the warm-up without Lambda."""

import json
import logging
import signal
import sys
from typing import TYPE_CHECKING, cast

import click

from mailtide.cli.cloud import cloud_command

if TYPE_CHECKING:
    from mailtide.working import Role


@click.command()
@click.argument("role", type=click.Choice(["plan", "dispatch", "send", "read"]))
@click.option(
    "--health-port", type=click.IntRange(1, 65_535), help="Answer probes on this port; without it there is none."
)
@click.option("--json", "as_json", is_flag=True, help="Say that it has begun as one JSON object.")
@cloud_command
def worker(role: str, health_port: int | None, as_json: bool) -> None:
    """Do the work of one of the warm-up's functions in this process, until SIGTERM or Ctrl-C: ROLE is plan, dispatch, send or
    read.

    plan makes the ticks and the day's roster, dispatch queues what is due, send sends it, read visits mailboxes; each polls its
    queue. Any number of each may run. SIGTERM finishes the mails that are claimed and the visits that have begun, puts the other
    mails back and ends within two minutes. Its log goes to standard output, one JSON object a line.
    """
    from mailtide.adapters.environment import stand_in_for_lambda

    stand_in_for_lambda()
    from mailtide.warmup.settings import load_warmup_settings, old_names
    from mailtide.working import make_poller, serve_health, stop

    for name, note in old_names().items():
        click.echo(f"mailtide: {name}: {note}", err=True)
    load_warmup_settings()
    logging.basicConfig(stream=sys.stderr, format="mailtide: %(message)s", level=logging.WARNING)
    poller = make_poller(cast("Role", role))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop(poller))
    close = serve_health(poller, health_port) if health_port else None
    click.echo(json.dumps({"role": role}) if as_json else f"The {role} worker has begun.")
    sys.stdout.flush()
    poller.run()
    if close is not None:
        close()
    click.echo(f"The {role} worker has ended after {poller.batches} batches.", err=True)
