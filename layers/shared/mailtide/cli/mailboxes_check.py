"""`mailtide mailboxes check`: will this mailbox's mail arrive, and can it log in?"""

import json
import re
import sys
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING

import click

from mailtide.cli.cloud import cloud_command
from mailtide.cli.findings import print_findings
from mailtide.errors import InputError, MailtideError

if TYPE_CHECKING:
    from mailtide.deliverability.examine import Timed
    from mailtide.deliverability.login import MailServers
    from mailtide.deliverability.reading import MailReaders
    from mailtide.warmup.contracts import Mailbox

_SELECTOR = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@click.command()
@click.argument("address")
@click.option(
    "--selector",
    "selectors",
    multiple=True,
    help="DKIM selector, the s= of a signature; may come twice. The provider's usual ones if left out.",
)
@click.option(
    "--resolver", metavar="HOST:PORT", help="DNS resolver to ask, by its IP address; this machine's own if left out."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@cloud_command
def check(address: str, selectors: tuple[str, ...], resolver: str | None, as_json: bool) -> None:
    """Look at the mailbox ADDRESS now: its place in the pool, the DNS of its domain, its provider, its mail server and login,
    whether it can be read by IMAP, and where its mails of the last seven days landed.

    Nothing is sent, nothing is changed, and no secret is shown. Of an address that is not in the pool, or where
    MAILTIDE_MAILBOXES_TABLE is not set, DNS and provider are looked at. The exit code is 0 when nothing is broken, 1 otherwise;
    docs/mailbox-checks.md explains each check.
    """
    from mailtide.adapters.dns import DnsResolver, parse_resolver
    from mailtide.deliverability.examine import examine_domain

    address, domain = _address(address)
    for one in selectors:
        if not _SELECTOR.fullmatch(one):
            raise InputError(f"{one!r} is no selector like s1 or mail.2026.")
    dns = DnsResolver(parse_resolver(resolver) if resolver else None)
    found, mailboxes = _in_the_pool(address)
    servers, readers = _servers() if mailboxes else (None, None)
    for place, mailbox in enumerate(mailboxes or [None]):
        timed = examine_domain(domain, selectors, dns, mailbox, servers, readers)
        # One address may be in the pool twice; its domain is the same.
        known = {one.finding for one in found} if place else set()
        found += [one for one in timed if one.finding not in known]
    _say(address, found, as_json=as_json)


def _address(text: str) -> tuple[str, str]:
    """The address as mailboxes have it, and its domain. InputError."""
    from pydantic import ValidationError

    from mailtide.warmup.contracts import MailboxProfile

    try:
        profile = MailboxProfile.model_validate(
            {"mailbox_id": "x", "user_id": "x", "address": text.strip(), "first_day": "2026-01-01"}
        )
    except ValidationError:
        raise InputError(f"{text!r} is no mail address in ASCII (domains in other scripts as xn--…).") from None
    return profile.address, profile.domain


def _in_the_pool(address: str) -> "tuple[list[Timed], list[Mailbox]]":
    """What there is to say of its place in the pool, and the mailboxes that have this address."""
    from mailtide.adapters.refusals import refusals
    from mailtide.deliverability.examine import MAILBOX, Timed, mailbox_check
    from mailtide.doctor.finding import broken, ok, warning
    from mailtide.warmup.settings import names_a_pool

    if not names_a_pool():
        return [Timed(ok(MAILBOX, "Not looked for: MAILTIDE_MAILBOXES_TABLE is not set."), 0.0)], []
    start = monotonic()
    mailboxes: list[Mailbox] = []
    try:
        with refusals():
            mailboxes = _with_address(address)
    except MailtideError as error:
        findings = [broken(MAILBOX, address, f"The pool cannot be read: {error}", "mend that, then check again")]
    else:
        todo = "mailtide mailboxes import, if it is to take part; its login cannot be tried before"
        absent = warning(MAILBOX, address, f"{address} is not in the pool.", todo)
        findings = [mailbox_check(one) for one in mailboxes] or [absent]
    return [Timed(one, monotonic() - start) for one in findings], mailboxes


def _with_address(address: str) -> "list[Mailbox]":
    from mailtide.planning import mailboxes as table

    wanted = address.lower()
    ids = sorted(one.mailbox_id for one in table().profiles() if one.address.lower() == wanted)
    found = table().get_many(ids)
    return [found[mailbox_id] for mailbox_id in ids if mailbox_id in found]


def _servers() -> "tuple[MailServers, MailReaders]":
    from mailtide.adapters.imap_check import ImapCheck
    from mailtide.adapters.kms import KmsSecrets, make_kms_client
    from mailtide.adapters.smtp_check import SmtpCheck
    from mailtide.warmup.settings import load_warmup_resources, load_warmup_settings

    secrets = KmsSecrets(make_kms_client(), load_warmup_resources().required("secrets_kms_key_id"))
    settings = load_warmup_settings()
    return (
        SmtpCheck(secrets, timeout_s=settings.smtp_timeout_ms / 1000),
        ImapCheck(secrets, timeout_s=settings.imap_timeout_ms / 1000),
    )


def _say(address: str, found: "list[Timed]", *, as_json: bool) -> None:
    is_broken = any(one.finding.verdict == "broken" for one in found)
    if as_json:
        findings = [asdict(one.finding) | {"seconds": round(one.seconds, 3)} for one in found]
        click.echo(json.dumps({"address": address, "broken": is_broken, "findings": findings}))
    else:
        print_findings([one.finding for one in found], [one.seconds for one in found])
    sys.stdout.flush()
    sys.exit(1 if is_broken else 0)
