"""`mailtide orgs webhook`: where the ends of an organisation's runs are told, and the secret that signs it."""

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.errors import InputError, MailtideError, SettingsError, StaleWriteError

if TYPE_CHECKING:
    from mailtide.contracts import Webhook


@click.command()
@click.argument("org")
@click.option("--url", help="Tell this address from now on; https, and a public one.")
@click.option("--remove", is_flag=True, help="Tell nobody any more.")
@click.option("--rotate", is_flag=True, help="Make a new secret; for a day the one before signs as well.")
@click.option(
    "--secret", is_flag=True, help="Print the secret that signs, for the receiver (whsec_…), and nothing else."
)
@click.option(
    "--test", is_flag=True, help="Send a signed event of type test now, from here, and print what was answered."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def webhook(org: str, url: str | None, *, remove: bool, rotate: bool, secret: bool, test: bool, as_json: bool) -> None:
    """Show or change the webhook of organisation ORG, which is told of the end of each run.

    Each request is signed as https://www.standardwebhooks.com says: docs/webhooks.md shows how to check it. It comes at least
    once; what comes again has the same webhook-id.

    Needs MAILTIDE_BUCKET and AWS credentials; --secret and --test also MAILTIDE_WEBHOOK_KEY_SECRET.
    """
    asked = [
        name
        for name, on in (("url", url), ("remove", remove), ("rotate", rotate), ("secret", secret), ("test", test))
        if on
    ]
    if len(asked) > 1:
        raise SettingsError(f"--{asked[0]} and --{asked[1]} exclude each other.")
    check_org(org)
    if url is not None:
        _say(org, _set(org, url), "is told from now on", as_json=as_json)
    elif remove:
        _remove(org, as_json=as_json)
    elif rotate:
        _say(org, _rotate(org), "has a new secret; give it to the receiver within a day (--secret)", as_json=as_json)
    elif secret:
        _print_secret(org, as_json=as_json)
    elif test:
        _test(org, as_json=as_json)
    else:
        _say(org, _standing(org)[0], "is told of the end of each run", as_json=as_json)


def _standing(org: str) -> tuple["Webhook", str]:
    """The webhook and its ETag. InputError when there is none."""
    from mailtide.bootstrap import bucket
    from mailtide.runs import keys
    from mailtide.runs.webhook import read_webhook

    stored = bucket().get(keys.webhook(org))
    found = read_webhook(bucket(), org)
    if stored is None or found is None:
        raise InputError(f"The organisation {org!r} has no webhook; --url sets one.")
    return found, stored.etag


def _set(org: str, url: str) -> "Webhook":
    from mailtide.bootstrap import bucket, hooks
    from mailtide.contracts import Webhook
    from mailtide.contracts.webhook import MAX_URL
    from mailtide.runs import keys

    hooks().checked(url)
    if len(url) > MAX_URL:
        raise InputError(f"The webhook's URL is longer than {MAX_URL:,} characters.")
    stored = bucket().get(keys.webhook(org))
    if stored is None:
        wanted = Webhook(url=url)
        _written(lambda: bucket().create(keys.webhook(org), wanted.to_bytes()))
        return wanted
    try:
        wanted = Webhook.model_validate_json(stored.body).model_copy(update={"url": url})
    except ValueError:
        wanted = Webhook(url=url)
    _written(lambda: bucket().replace(keys.webhook(org), wanted.to_bytes(), expected_etag=stored.etag))
    return wanted


def _rotate(org: str) -> "Webhook":
    from mailtide.bootstrap import bucket
    from mailtide.runs import keys

    standing, etag = _standing(org)
    wanted = standing.model_copy(update={"key_version": standing.key_version + 1, "rotated_at": datetime.now(UTC)})
    _written(lambda: bucket().replace(keys.webhook(org), wanted.to_bytes(), expected_etag=etag))
    return wanted


def _written(write: Callable[[], str]) -> None:
    try:
        write()
    except StaleWriteError:
        raise MailtideError("Somebody else has just changed the webhook; look again.") from None


def _remove(org: str, *, as_json: bool) -> None:
    from mailtide.bootstrap import bucket
    from mailtide.runs import keys

    bucket().delete(keys.webhook(org))
    click.echo(json.dumps({"org": org, "url": None}) if as_json else f"Nobody is told of the runs of {org} any more.")


def _print_secret(org: str, *, as_json: bool) -> None:
    from mailtide.bootstrap import hooks
    from mailtide.runs import signing
    from mailtide.runs.webhook import secrets_of

    newest, *_ = secrets_of(hooks(), _standing(org)[0], org, datetime.now(UTC))
    text = signing.secret_text(newest)
    click.echo(json.dumps({"org": org, "secret": text}) if as_json else text)


def _test(org: str, *, as_json: bool) -> None:
    from mailtide.bootstrap import hooks
    from mailtide.runs.webhook import body_of, post

    now = datetime.now(UTC)
    body = body_of("test", now, {"org": org})
    status = post(hooks(), _standing(org)[0], org, f"test_{secrets.token_hex(10)}", body, now)
    click.echo(json.dumps({"org": org, "status": status}) if as_json else f"The webhook of {org} answered {status}.")
    if not 200 <= status < 300:
        raise MailtideError(f"The webhook of {org} must answer 200 to 299 for what it has taken.")


def _say(org: str, standing: "Webhook", what: str, *, as_json: bool) -> None:
    facts = standing.model_dump(mode="json", include={"url", "key_version", "rotated_at"})
    click.echo(json.dumps({"org": org, **facts}) if as_json else f"{standing.url} {what}.")
