"""What the commands that speak to the bucket share: its name, organisations' names, and refusals in one sentence."""

import re
from collections.abc import Callable
from functools import wraps

import click

from mailtide.contracts import ORG_PATTERN
from mailtide.errors import InputError, MailtideError, TransientError


def check_org(name: str) -> str:
    """The name, if organisations may be called so. InputError otherwise."""
    if not re.fullmatch(ORG_PATTERN, name):
        raise InputError(
            f"{name!r} cannot name an organisation: use 1 to 63 letters, digits, dots, dashes or underscores, "
            "beginning with a letter or digit."
        )
    return name


def cloud_command[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Turn what AWS refuses or cannot answer into one sentence and exit code 1; bad input stays exit code 2."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from mailtide.adapters.refusals import refusals

        try:
            with refusals():
                return function(*args, **kwargs)
        except InputError:
            raise
        except TransientError as error:
            raise click.ClickException(f"The cloud does not answer ({error}); try again later.") from None
        except MailtideError as error:
            raise click.ClickException(str(error)) from None

    return wrapped
