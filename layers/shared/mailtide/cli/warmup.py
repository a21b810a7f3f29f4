"""`mailtide warmup`: how it stands, what it can carry, a simulated day, and a tick by hand."""

import gc
import json
import resource
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress

from mailtide.cli.cloud import cloud_command
from mailtide.cli.warmup_worker import worker
from mailtide.errors import InputError

if TYPE_CHECKING:
    from mailtide.warmup.simulate import World
    from mailtide.warmup.verdict import Verdict
    from mailtide.warmup.worker_day import WorkerDay

USERS = click.IntRange(1, 1_000_000)
BOXES = click.IntRange(1, 1_000_000)
MAILS = click.IntRange(1, 999)
SEND_S = click.FloatRange(0.1, 120)
WORKERS = click.IntRange(1, 10_000)
INTERVAL = click.FloatRange(0.1, 1_440)
BATCH = click.IntRange(1, 1_000_000)
MOST_BOXES = 1_000_000
"""Of a simulated day: they stand in memory."""


@click.group()
def warmup() -> None:
    """How the warm-up stands, what it can carry, a simulated day, a tick by hand, its work without Lambda."""


warmup.add_command(worker)


@warmup.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@cloud_command
def status(as_json: bool) -> None:
    """Today's figures as of the last tick, and how old they are."""
    from mailtide.cli.warmup_placement import placement_lines
    from mailtide.cli.warmup_tables import show, status_lines
    from mailtide.planning import measure_now, placement_now
    from mailtide.warmup.settings import old_names

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
    show([*status_lines(found), *placement_lines(placement_now(0))])
    _warn(found.warnings)


@warmup.command()
@click.option("--user", help="Only this user's mailboxes, as they are now; the whole pool if left out.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Mailboxes that are held back, at most."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@cloud_command
def placement(user: str | None, limit: int, as_json: bool) -> None:
    """Where mails landed in the seven days to the last night, by the recipient's provider, and who is held back and why."""
    from mailtide.cli.warmup_placement import show_placement
    from mailtide.planning import mailboxes, placement_now
    from mailtide.warmup.reading.shown import of_user

    found = of_user(user, list(mailboxes().of_user(user)), limit=limit) if user else placement_now(limit)
    if as_json:
        click.echo(found.model_dump_json())
        return
    show_placement(found)
    _warn(found.warnings)


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
@click.option("--users", type=USERS, default=1_000, show_default=True, help="Owners of mailboxes.")
@click.option("--mailboxes", type=BOXES, default=100, show_default=True, help="Mailboxes of each user.")
@click.option("--mails", type=MAILS, default=30, show_default=True, help="Mails of each mailbox a day.")
@click.option("--send-s", type=SEND_S, default=8.0, show_default=True, help="Seconds that a send takes.")
@click.option(
    "--read",
    type=click.IntRange(0, 1_000_000),
    default=0,
    show_default=True,
    help="Of these, those with an IMAP server.",
)
@click.option("--visit-s", type=SEND_S, default=3.0, show_default=True, help="Seconds that a visit to one takes.")
@click.option("--workers", type=WORKERS, help="Also the worker mode that this replaces, with so many workers.")
@click.option(
    "--interval", type=INTERVAL, default=15.0, show_default=True, help="Minutes between two runs of a worker."
)
@click.option("--batch", type=BATCH, default=100, show_default=True, help="Mails of a worker's run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def capacity(
    users: int,
    mailboxes: int,
    mails: int,
    send_s: float,
    read: int,
    visit_s: float,
    workers: int | None,
    interval: float,
    batch: int,
    as_json: bool,
) -> None:
    """What a pool needs, whether the limits of the environment allow it, and what it costs.

    The limits are those of the shell (WARMUP_GLOBAL_MINUTE_LIMIT and others), the defaults where it has none. What visits to
    mailboxes cost comes on top, as often as WARMUP_READ_MINUTES says.
    """
    from mailtide.cli.warmup_tables import capacity_lines, show, visit_lines
    from mailtide.warmup.capacity import capacity as answer
    from mailtide.warmup.capacity import worker_mode
    from mailtide.warmup.reading.capacity import visit_capacity
    from mailtide.warmup.settings import load_warmup_settings

    settings = load_warmup_settings()
    if read > mailboxes:
        raise InputError(f"--read: a user has {mailboxes:,} mailboxes; {read:,} of them cannot have an IMAP server.")
    found = answer(
        users=users,
        mailboxes_per_user=mailboxes,
        mails_per_mailbox=mails,
        seconds_per_send=send_s,
        settings=settings,
    )
    visits = visit_capacity(
        mailboxes=users * read, users=users, mails_per_mailbox=mails, seconds_per_visit=visit_s, settings=settings
    )
    old = None
    if workers is not None:
        old = worker_mode(interval_minutes=interval, batch_size=batch, workers=workers, mails_per_mailbox=mails)
    if as_json:
        of_workers = {f"worker_mode_{name}": value for name, value in old.model_dump().items()} if old else {}
        click.echo(json.dumps(found.model_dump(mode="json") | {"visits": visits.model_dump()} | of_workers))
        return
    show([*capacity_lines(found, old), *(visit_lines(visits) if read else ())])
    _warn((*found.refusals, *found.warnings))


@warmup.command()
@click.option("--users", type=USERS, default=1_000, show_default=True, help="Owners of mailboxes.")
@click.option("--mailboxes", type=BOXES, default=100, show_default=True, help="Mailboxes of each user.")
@click.option("--mails", type=MAILS, default=30, show_default=True, help="Mails of each mailbox in the day.")
@click.option("--send-s", type=SEND_S, default=8.0, show_default=True, help="Seconds that a send takes.")
@click.option(
    "--transient", type=click.FloatRange(0, 1), default=0.02, show_default=True, help="Share of mails refused for now."
)
@click.option(
    "--permanent", type=click.FloatRange(0, 1), default=0.005, show_default=True, help="Share refused for good."
)
@click.option(
    "--outage", default="10:00-10:30", show_default=True, help="When nothing runs, in UTC; empty ('') for never."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same day.")
@click.option(
    "--workers", type=WORKERS, help="Live the day in the worker mode that this replaces, with so many workers."
)
@click.option(
    "--interval", type=INTERVAL, default=15.0, show_default=True, help="Minutes between two runs of a worker."
)
@click.option("--batch", type=BATCH, default=100, show_default=True, help="Mails of a worker's run.")
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
    workers: int | None,
    interval: float,
    batch: int,
    as_json: bool,
) -> None:
    """Live through a whole day on a virtual clock, with the limits of the environment.

    The code of planning, dispatch, ledger and limits is the real one; the mail servers are modelled. With --workers it is the
    worker mode instead, as its settings were: no limits, no refusals, no outage. Exit code 1 when a quota was missed or a limit
    exceeded.
    """
    from mailtide.cli.warmup_tables import day_lines, show, worker_day_lines
    from mailtide.warmup.settings import load_warmup_settings
    from mailtide.warmup.simulate import World
    from mailtide.warmup.worker_day import WorkerSettings, live_worker_day

    settings = load_warmup_settings()
    if users * mailboxes > MOST_BOXES:
        raise InputError(
            f"{users * mailboxes:,} mailboxes are more than the {MOST_BOXES:,} that a day can be lived with."
        )
    began_s = time.perf_counter()
    found: Verdict | WorkerDay
    if workers is not None:
        mode = WorkerSettings(
            workers=workers,
            interval_minutes=interval,
            batch_size=batch,
            lanes=settings.max_concurrent,
            send_s=send_s,
        )
        found = live_worker_day(users * mailboxes, mails, mode)
        lines = worker_day_lines(found)
    else:
        world = World(
            send_s=send_s,
            connect_s=min(1.0, send_s / 2),
            transient_rate=transient,
            permanent_rate=permanent,
            outages=_outages(outage),
            seed=seed,
            concurrency=int(2 * settings.global_minute_limit / 60 * send_s) + settings.max_concurrent,
        )
        found = _live(users, mailboxes, mails, world)
        lines = day_lines(found)
    took_s = round(time.perf_counter() - began_s, 1)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if as_json:
        click.echo(json.dumps(found.model_dump(mode="json") | {"wall_s": took_s, "peak_memory_mb": peak_mb}))
    else:
        show([*lines, ("took", f"{took_s:,} s, {peak_mb:,} MB")])
    if found.faults:
        raise click.ClickException(" ".join(found.faults))


def _live(users: int, mailboxes: int, mails: int, world: "World") -> "Verdict":
    """A day of a made-up pool, with a bar while it lasts."""
    from mailtide.warmup.settings import load_warmup_settings
    from mailtide.warmup.simulate import Simulation
    from mailtide.warmup.verdict import judge, made_up_pool

    # What is asked for is what each mailbox is to write: the quota must not lift it.
    settings = load_warmup_settings()
    settings = settings.model_copy(update={"min_daily_quota": min(mails, settings.min_daily_quota)})
    # Millions of small objects that refer to nothing in a circle: looking for such circles would take half of the time.
    gc.disable()
    simulation = Simulation(
        made_up_pool(users, mailboxes, mails), day=datetime.now(UTC).date(), settings=settings, world=world
    )
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("minutes of the day", total=1_440)
        simulation.run(lambda minute: bar.update(task, completed=minute))
    return judge(simulation)


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


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        click.echo(f"mailtide: {sentence}", err=True)
