"""`mailtide warmup`: how it stands, what it can carry, a simulated day, and a tick by hand."""

import gc
import json
import resource
import time
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mailtide.cli.cloud import cloud_command
from mailtide.cli.warmup_worker import worker
from mailtide.errors import InputError


@click.group()
def warmup() -> None:
    """How the warm-up stands, what it can carry, a simulated day, a tick by hand, its work without Lambda."""


warmup.add_command(worker)


@warmup.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@cloud_command
def status(as_json: bool) -> None:
    """Today's figures, from what the dispatchers left at the last tick."""
    from mailtide.planning import measure_now
    from mailtide.warmup.settings import old_names
    from mailtide.warmup.size import size_note

    found = measure_now()
    for name, note in old_names().items():
        click.echo(f"mailtide: {name}: {note}", err=True)
    if found is None:
        raise click.ClickException(
            "Today has no roster yet: no tick has come by (try `mailtide warmup trigger`), or no mailbox is to write today."
        )
    if as_json:
        click.echo(found.model_dump_json())
        return
    facts = found.model_dump(mode="json", exclude={"quota", "warnings", "at_ms"})
    facts |= {f"mailboxes {word}": count for word, count in found.quota.model_dump().items()}
    _print(facts | {"size": size_note(found.total_mailboxes)})
    for warning in found.warnings:
        click.echo(f"mailtide: {warning}", err=True)


@warmup.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def trigger(as_json: bool) -> None:
    """Queue a tick now: plans the day if that has not happened, and offers what is due."""
    from mailtide.planning import planning
    from mailtide.warmup.contracts import WarmupTick

    planning().queue.send_plan(WarmupTick())
    click.echo(json.dumps({"queued": 1}) if as_json else "A tick is queued.")


@warmup.command()
@click.option("--users", type=click.IntRange(min=1), default=1_000, show_default=True, help="Owners of mailboxes.")
@click.option("--mailboxes", type=click.IntRange(min=1), default=100, show_default=True, help="Of each user.")
@click.option("--mails", type=click.IntRange(min=1), default=30, show_default=True, help="Of each mailbox a day.")
@click.option("--send-s", type=click.FloatRange(min=0.01), default=8.0, show_default=True, help="Seconds per send.")
@click.option("--workers", type=click.IntRange(min=1), help="Also the worker mode that this replaces, with so many.")
@click.option("--interval", type=click.FloatRange(min=0.1), default=15.0, show_default=True, help="Its minutes a run.")
@click.option("--batch", type=click.IntRange(min=1), default=100, show_default=True, help="Its mails a run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def capacity(
    users: int,
    mailboxes: int,
    mails: int,
    send_s: float,
    workers: int | None,
    interval: float,
    batch: int,
    as_json: bool,
) -> None:
    """What a pool needs, whether the limits of the environment allow it, and what it costs."""
    from mailtide.warmup.capacity import capacity as answer
    from mailtide.warmup.capacity import worker_mode
    from mailtide.warmup.settings import load_warmup_settings

    found = answer(
        users=users,
        mailboxes_per_user=mailboxes,
        mails_per_mailbox=mails,
        seconds_per_send=send_s,
        settings=load_warmup_settings(),
    )
    facts = found.model_dump(mode="json")
    if workers is not None:
        old = worker_mode(interval_minutes=interval, batch_size=batch, workers=workers, mails_per_mailbox=mails)
        facts |= {f"worker_mode_{name}": value for name, value in old.model_dump().items()}
    if as_json:
        click.echo(json.dumps(facts))
        return
    refusals = facts.pop("refusals")
    dollars = facts.pop("dollars_a_day")
    _print(facts | {f"dollars a day, {name}": value for name, value in dollars.items()})
    for refusal in refusals:
        click.echo(f"mailtide: {refusal}", err=True)


@warmup.command()
@click.option("--users", type=click.IntRange(min=1), default=1_000, show_default=True, help="Owners of mailboxes.")
@click.option("--mailboxes", type=click.IntRange(min=1), default=100, show_default=True, help="Of each user.")
@click.option("--mails", type=click.IntRange(min=1, max=999), default=30, show_default=True, help="Of each mailbox.")
@click.option("--send-s", type=click.FloatRange(min=0.1), default=8.0, show_default=True, help="Seconds per send.")
@click.option(
    "--transient", type=click.FloatRange(0, 1), default=0.02, show_default=True, help="Share refused for now."
)
@click.option(
    "--permanent", type=click.FloatRange(0, 1), default=0.005, show_default=True, help="Share refused for good."
)
@click.option("--outage", default="10:00-10:30", show_default=True, help="When nothing runs; empty for never.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same day.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def simulate(
    users: int,
    mailboxes: int,
    mails: int,
    send_s: float,
    transient: float,
    permanent: float,
    outage: str,
    seed: int,
    as_json: bool,
) -> None:
    """Live through a whole day on a virtual clock, with the limits of the environment.

    The code of planning, dispatch, ledger and limits is the real one; the mail servers are modelled. Exit code 1 when a
    quota was missed or a limit exceeded.
    """
    from mailtide.warmup.settings import load_warmup_settings
    from mailtide.warmup.simulate import Simulation, World
    from mailtide.warmup.verdict import judge, made_up_pool

    settings = load_warmup_settings()
    world = World(
        send_s=send_s,
        connect_s=min(1.0, send_s / 2),
        transient_rate=transient,
        permanent_rate=permanent,
        outages=_outages(outage),
        seed=seed,
        concurrency=int(2 * settings.global_minute_limit / 60 * send_s) + settings.max_concurrent,
    )
    # Millions of small objects that refer to nothing in a circle: looking for such circles would take half of the time.
    gc.disable()
    began_s = time.perf_counter()
    simulation = Simulation(
        made_up_pool(users, mailboxes, mails), day=datetime.now(UTC).date(), settings=settings, world=world
    )
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("minutes of the day", total=1_440)
        simulation.run(lambda minute: bar.update(task, completed=minute))
    verdict = judge(simulation)
    facts = verdict.model_dump(mode="json") | {
        "wall_s": round(time.perf_counter() - began_s, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    click.echo(json.dumps(facts)) if as_json else _print(facts)
    if verdict.faults:
        raise click.ClickException(" ".join(verdict.faults))


def _outages(text: str) -> tuple[tuple[int, int], ...]:
    if not text:
        return ()
    try:
        (start, start_min), (end, end_min) = (map(int, part.split(":")) for part in text.split("-"))
        found = (start * 60 + start_min, end * 60 + end_min)
    except ValueError:
        raise InputError(f"{text!r} is no time of the day like 10:00-10:30.") from None
    if not 0 <= found[0] < found[1] <= 1_440:
        raise InputError(f"{text!r} is no time of the day like 10:00-10:30.")
    return (found,)


def _print(facts: dict[str, object]) -> None:
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        if value in (None, "", [], {}):
            continue
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int | float) else str(value))
    Console().print(table)
