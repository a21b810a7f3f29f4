"""What an import finds out about the domains of its mailboxes; nothing of it can make the import fail."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from mailtide.cli.files import counted
from mailtide.errors import InputError, MailtideError

if TYPE_CHECKING:
    from mailtide.deliverability.domain_book import DomainBook
    from mailtide.deliverability.domain_report import DomainReport
    from mailtide.warmup.import_mailboxes import ImportReport

SHOWN = 20
"""Broken domains that are shown."""


class ImportDomains:
    """Looks up the domains of an import, until something goes wrong with that."""

    def __init__(self, *, asks_dns: bool, resolver: str | None) -> None:
        """asks_dns: else only what is known already is used. resolver: HOST:PORT, None for this machine's. InputError."""
        self._asks_dns = asks_dns
        self.problem = ""
        """Why no domain is looked at any more, as a sentence."""
        self._book: DomainBook | None = None
        try:
            self._book = self._open(resolver)
        except InputError as error:
            if resolver is not None:
                raise
            self.problem = str(error)

    def _open(self, resolver: str | None) -> "DomainBook":
        from mailtide.adapters.dns import DnsResolver, parse_resolver
        from mailtide.deliverability.domain_book import DomainBook
        from mailtide.deliverability.due_domains import DNS_S
        from mailtide.planning import planning
        from mailtide.warmup.contracts import DAY_MS

        own = planning()
        days = own.settings.dns_check_days
        address = parse_resolver(resolver) if resolver else None
        return DomainBook(
            own.bucket,
            DnsResolver(address, lifetime_s=DNS_S) if self._asks_dns and days else None,
            now_ms=lambda: int(time.time() * 1000),
            monotonic_ms=lambda: int(time.monotonic() * 1000),
            every_ms=days * DAY_MS,
            # A resolver that somebody names is one of a network of its own, where such names may well exist.
            asks_reserved=resolver is not None,
        )

    def look_up(self, users_by_domain: Mapping[str, frozenset[str]]) -> Mapping[str, str]:
        """A mailtide.warmup.import_mailboxes.LookUp."""
        from mailtide.adapters.refusals import refusals

        if self._book is None or self.problem:
            return {}
        try:
            with refusals():
                rows = self._book.look(users_by_domain)
        except MailtideError as error:
            self.problem = str(error)
            return {}
        return {name: row.provider for name, row in rows.items() if row.is_answered}

    def finish(self) -> None:
        """Keep what was found for the page and the next import."""
        from mailtide.adapters.refusals import refusals

        if self._book is None:
            return
        try:
            with refusals():
                self._book.save()
        except MailtideError as error:
            self.problem = self.problem or str(error)

    @property
    def reports(self) -> "list[DomainReport]":
        """Of the domains that were asked about; of a resolver that is out of order only what it told."""
        if self._book is None:
            return []
        return [one for one in self._book.reports if one.is_answered] if self._book.gave_up else self._book.reports

    def say(self, report: "ImportReport") -> None:
        """Print what there is to say: what is broken to stderr, the rest to stdout."""
        broken = [(one.domain, found) for one in self.reports for found in one.findings if found.verdict == "broken"]
        for name, found in broken[:SHOWN]:
            click.echo(f"mailtide: {name}: {found.check}: {found.what} → {found.todo}", err=True)
        if len(broken) > SHOWN:
            click.echo(f"mailtide: and {len(broken) - SHOWN} more (mailtide mailboxes domains shows all)", err=True)
        for sentence in self._sentences(report):
            click.echo(f"mailtide: {sentence}", err=True)
        if self.reports:
            click.echo(
                f"{counted(len(self.reports), 'new domain')} checked, {len({name for name, _ in broken})} of them broken."
            )

    def _sentences(self, report: "ImportReport") -> list[str]:
        from mailtide.warmup.providers import provider_by_id

        said = []
        for provider_id, count in sorted(report.passwords.items()):
            provider = provider_by_id(provider_id)
            if provider and provider.password_warning:
                verb = "logs" if count == 1 else "log"
                said.append(
                    f"{_boxes(count)} of {provider.name} {verb} in with a password. {provider.password_warning.cited}"
                )
        for provider_id, count in sorted(report.above_limit.items()):
            provider = provider_by_id(provider_id)
            if provider and provider.mails_a_day:
                what = f"may send {provider.mails_a_day.most:,} mails a day, and will not be asked for more"
                said.append(f"{_boxes(count)} of {provider.name} {what}.")
        if self.problem:
            said.append(f"Domains were not checked here: {self.problem} The deployment checks them within a day.")
        elif self._book is not None and self._book.gave_up:
            said.append("The DNS resolver here is out of order; the deployment checks the domains within a day.")
        return said

    def as_json(self, report: "ImportReport") -> dict[str, object]:
        """What `say` says, for --json."""
        found = [
            {"domain": one.domain, "provider": one.provider, "findings": [each.model_dump() for each in one.findings]}
            for one in self.reports
        ]
        return {"domains": found, "notes": self._sentences(report)}


def _boxes(count: int) -> str:
    return f"{count:,} mailbox{'' if count == 1 else 'es'}"
