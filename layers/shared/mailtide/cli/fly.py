"""`mailtide fly`: the machines that are kept stopped in the Fly app."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps

import click
from rich.console import Console
from rich.table import Table

from mailtide.cli.cloud import cloud_command
from mailtide.errors import InputError
from mailtide.machines import MachineInfo
from mailtide.runs.pool.report import PoolReport
from mailtide.runs.pool.visit import LONGEST_MINUTES

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
_machine = click.option("--machine", "name", help="Name or id of one kept machine, as status shows it.")


def _fly_command[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """What Fly refuses is a setting that is wrong: one sentence, exit code 2."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from mailtide.adapters.fly.errors import FlyAuthError, FlyInvalidRequestError, FlyNotFoundError
        from mailtide.settings import load_estimate_settings

        app = load_estimate_settings().fly_app
        try:
            return function(*args, **kwargs)
        except FlyAuthError:
            raise InputError(f"Fly does not let this token (MAILTIDE_FLY_TOKEN) into the app {app}.") from None
        except FlyNotFoundError:
            raise InputError(f"There is no Fly app {app}, or the token may not see it: fly apps create {app}") from None
        except FlyInvalidRequestError as error:
            raise InputError(f"Fly cannot do this: {str(error).removesuffix('.')}.") from None

    return cloud_command(wrapped)


@click.group()
def fly() -> None:
    """Look after the machines that are kept stopped in the Fly app, between tasks.

    A run starts one of them where MAILTIDE_POOL_SIZE is not 0, and creates a machine where none is free. Needs
    MAILTIDE_FLY_APP and MAILTIDE_FLY_TOKEN.
    """


@fly.command(short_help="Bring the pool to what the settings say.")
@click.option(
    "--forget", metavar="ORG", help="Remove the machines that hold this organisation's database, and make new ones."
)
@_json
@_fly_command
def deploy(forget: str | None, as_json: bool) -> None:
    """Bring the pool to what the settings say: make the machines that are missing, with their volumes, and remove what is
    too much.

    MAILTIDE_POOL_SIZE, MAILTIDE_POOL_MACHINE_SIZE, MAILTIDE_POOL_VOLUME_GB and MAILTIDE_MACHINE_IMAGE must be those of the
    stack. Nothing is started, and a machine that works is left alone. With a size of 0 the pool is removed.
    """
    from mailtide.bootstrap import pool_tools
    from mailtide.runs.pool.fill import deploy as bring
    from mailtide.runs.pool.report import report_pool

    tools = pool_tools()
    done = bring(tools, forget=forget)
    report = report_pool(tools)
    if as_json:
        click.echo(json.dumps({**asdict(done), "usd_per_month": report.usd_per_month}))
        return
    told = {"Made": done.made, "Changed": done.changed, "Removed": done.removed, "At work": done.busy}
    for what, names in told.items():
        if names:
            click.echo(f"{what}: {', '.join(names)}.")
    _show(report)


@fly.command(short_help="The kept machines, and what they cost.")
@_json
@_fly_command
def status(as_json: bool) -> None:
    """The kept machines: state, size, region, last task, and what they cost while they are stopped."""
    from mailtide.bootstrap import pool_tools
    from mailtide.runs.pool.report import report_pool

    report = report_pool(pool_tools())
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        _show(report)


@fly.command(short_help="Start a kept machine without a task, for a time.")
@click.option(
    "--minutes",
    type=click.IntRange(1, LONGEST_MINUTES),
    default=15,
    show_default=True,
    help="After so long the machine stops by itself.",
)
@_machine
@_json
@_fly_command
def start(minutes: int, name: str | None, as_json: bool) -> None:
    """Start a kept machine without a task, to look around on it for a time.

    Runs need no such start: they start and stop their machines themselves.
    """
    from mailtide.bootstrap import pool_tools
    from mailtide.runs.pool.visit import start_visit

    tools = pool_tools()
    machine = start_visit(tools, minutes=minutes, name=name)
    command = _ssh(tools.settings.fly_app, machine)
    if as_json:
        click.echo(json.dumps({"name": machine.name, "id": machine.id, "minutes": minutes, "command": command}))
    else:
        click.echo(f"{machine.name} runs for {minutes} minutes at most:\n{command}")


@fly.command(short_help="Stop what start has started.")
@_machine
@_json
@_fly_command
def stop(name: str | None, as_json: bool) -> None:
    """Stop the machines that `mailtide fly start` has started; one that works on a task is left alone."""
    from mailtide.bootstrap import pool_tools
    from mailtide.runs.pool.visit import stop_visits

    names = [machine.name for machine in stop_visits(pool_tools(), name=name)]
    if as_json:
        click.echo(json.dumps({"stopped": names}))
    else:
        click.echo(f"Stopped {', '.join(names)}." if names else "No machine was running for a visit.")


@fly.command(name="ssh-command", short_help="Print the command that opens a shell on a machine that runs.")
@_machine
@_json
@_fly_command
def ssh_command(name: str | None, as_json: bool) -> None:
    """Print the command of flyctl that opens a shell on a kept machine that runs."""
    from mailtide.bootstrap import pool_tools
    from mailtide.runs.pool.visit import find_running

    tools = pool_tools()
    machine = find_running(tools, name)
    command = _ssh(tools.settings.fly_app, machine)
    facts = {"name": machine.name, "id": machine.id, "command": command}
    click.echo(json.dumps(facts) if as_json else command)


def _ssh(app: str, machine: MachineInfo) -> str:
    return f"flyctl ssh console --app {app} --machine {machine.id}"


def _show(report: PoolReport) -> None:
    if report.machines:
        table = Table("name", "id", "state", "size", "region", "last task", "holds", "volume", "$ a month")
        for row in report.machines:
            state = "stopped" if row.state == "created" else row.state
            state += "" if row.image_is_current else ", old image"
            state += f", visit until {row.visit_until[11:16]} UTC" if row.visit_until else ""
            volume = f"{row.volume_gb} GB" if row.volume else None
            cells = (row.name, row.id, state, row.size, row.region, row.task, row.holds, volume)
            table.add_row(*(cell or "–" for cell in cells), f"{row.usd_per_month:.2f}")
        Console().print(table)
    for volume in report.stray_volumes:
        click.echo(f"Volume {volume} belongs to no machine; it is removed when it is ten minutes old.")
    have = f"{len(report.machines)} of {report.wanted} machines"
    click.echo(f"{have} are kept in {report.app}, stopped for {report.usd_per_month:.2f} dollars a month.")
