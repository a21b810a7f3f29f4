"""`mailtide tokens`: make, list and revoke the bearer tokens of the API."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.errors import InputError, StaleWriteError

if TYPE_CHECKING:
    from mailtide.access import TokenBook

_TRIES = 5


@click.group()
def tokens() -> None:
    """Make, list and revoke the bearer tokens of the API."""


@tokens.command()
@click.argument("name")
@click.option("--operator", is_flag=True, help="May see and control everything.")
@click.option("--org", help="May see and control the runs of this organisation alone.")
@click.option("--user", help="May see and control the mailboxes of this user alone.")
@click.option("--webhook", is_flag=True, help="May deliver events of a bucket on Tigris, and nothing else.")
@click.option("--days", type=click.IntRange(1, 3_650), help="Days until it is refused; never if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the token alone.")
@cloud_command
def add(
    name: str, operator: bool, org: str | None, user: str | None, webhook: bool, days: int | None, as_json: bool
) -> None:
    """Make a token called NAME and print it: the only time that anybody sees it."""
    from mailtide.serving import today

    subject = _subject(operator=operator, org=org, user=user, webhook=webhook)
    _check_name(name)
    made = today()
    expires = made + timedelta(days=days) if days else None
    token = ""

    def change(book: "TokenBook") -> "TokenBook":
        nonlocal token
        changed, token = book.add(name, subject, today=made, expires=expires)
        return changed

    _change(change)
    if as_json:
        click.echo(json.dumps({"name": name, "scope": subject, "expires": expires and str(expires), "token": token}))
        return
    click.echo(token)
    click.echo("Keep it now: it cannot be shown again. The API takes it within a minute.", err=True)


@tokens.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@cloud_command
def list_tokens(as_json: bool) -> None:
    """Every token: its name, what it is for, when it was made and when it ends. The tokens themselves are kept nowhere."""
    from mailtide.access import day_of_number
    from mailtide.serving import token_secret

    def day(number: int) -> str | None:
        found = day_of_number(number)
        return str(found) if found else None

    book, _ = token_secret().read()
    rows = [
        {"name": row.name, "scope": row.subject, "created": day(row.created), "expires": day(row.expires)}
        for row in book.tokens
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table("name", "scope", "created", "expires")
    for row in rows:
        table.add_row(*(str(row[column] or "never") for column in ("name", "scope", "created", "expires")))
    Console().print(table)


@tokens.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def revoke(name: str, as_json: bool) -> None:
    """Revoke the token called NAME: within a minute the API refuses it."""
    _change(lambda book: book.revoke(name))
    click.echo(json.dumps({"revoked": name}) if as_json else f"{name} is revoked; within a minute it is refused.")


def _change(change: "Callable[[TokenBook], TokenBook]") -> None:
    """Read, change and replace, again when somebody else was first."""
    from mailtide.serving import token_secret

    secret = token_secret()
    for _ in range(_TRIES):
        book, version = secret.read()
        try:
            secret.replace(change(book), expected_version=version)
        except StaleWriteError:
            continue
        return
    raise click.ClickException("Others are changing the tokens all the time; try again.")


def _subject(*, operator: bool, org: str | None, user: str | None, webhook: bool) -> str:
    from mailtide.warmup.ids import ID_PATTERN

    if operator + webhook + (org is not None) + (user is not None) != 1:
        raise InputError("Say what the token is for: --operator, --org ORG, --user USER or --webhook.")
    if org is not None:
        return f"org:{check_org(org)}"
    if user is None:
        return "operator" if operator else "webhook"
    if not re.fullmatch(ID_PATTERN, user):
        raise InputError(f"{user!r} is no user's id: use 1 to 64 letters, digits, dashes or underscores.")
    return f"user:{user}"


def _check_name(name: str) -> None:
    from mailtide.access import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise InputError(
            f"{name!r} cannot name a token: use 1 to 63 letters, digits, dots, dashes or underscores, beginning with a letter "
            "or digit."
        )
