"""`[ORG] RUN`: how a command is told of a run."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mailtide.cli.cloud import check_org
from mailtide.cli.names import orgs_or_runs
from mailtide.contracts import RUN_PATTERN
from mailtide.errors import InputError

if TYPE_CHECKING:
    from mailtide.ports import Bucket


def run_argument[F: Callable[..., Any]](metavar: str) -> Callable[[F], F]:
    """The argument `names` of a command: a run's id, with or without its organisation before it."""
    return click.argument("names", nargs=-1, required=True, metavar=metavar, shell_complete=orgs_or_runs)


def named_run(bucket: "Bucket", names: tuple[str, ...]) -> tuple[str, str]:
    """(org, run). InputError when that is not a run."""
    from mailtide.runs.find import org_of

    if len(names) > 2:
        raise InputError(f"One run at a time: {' '.join(names[2:])!r} is too much.")
    run = checked_run(names[-1])
    return (check_org(names[0]) if len(names) == 2 else org_of(bucket, run)), run


def is_run(name: str) -> bool:
    """Whether it has the form of a run's id."""
    return re.fullmatch(RUN_PATTERN, name) is not None


def checked_run(run: str) -> str:
    """The id, if runs have such ids. InputError otherwise."""
    if not is_run(run):
        raise InputError(f"{run!r} is not the id of a run: 20 hexadecimal digits (mailtide runs list ORG shows them).")
    return run
