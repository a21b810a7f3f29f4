"""All checks of one domain by DNS, in an order and within a time that suit thousands of them."""

from collections.abc import Callable
from typing import Literal

from mailtide.contracts import Contract
from mailtide.deliverability.dkim import dkim_checks
from mailtide.deliverability.dmarc import dmarc_check
from mailtide.deliverability.dns_answers import Dns, Exchanges, Status, Texts
from mailtide.deliverability.mx import mx_check
from mailtide.deliverability.spf import spf_check
from mailtide.doctor.finding import Finding
from mailtide.warmup.contracts import ProviderId
from mailtide.warmup.domains import BrokenCheck, DomainRow
from mailtide.warmup.parties import free_mail_domains
from mailtide.warmup.providers import provider_of

DOMAIN_S = 15.0
"""No question about a domain begins later than this after the first: slow name servers must not hold up the others."""


class StoredFinding(Contract):
    """One verdict of a domain's check."""

    check: str
    verdict: Literal["ok", "warning", "broken"]
    what: str
    todo: str = ""


class DomainReport(Contract):
    """warmup/domains/{domain}.json, replaced at each check: what DNS said of a domain."""

    domain: str
    provider: ProviderId
    """By its MX; "" for none that is known."""
    checked_ms: int
    mx: Literal["found", "no_record", "no_domain", "failed", "unanswered"]
    """What became of the question who takes its mail."""
    findings: tuple[StoredFinding, ...]

    @property
    def is_answered(self) -> bool:
        """Whether that was answered; else `provider` says nothing."""
        return self.mx not in {"failed", "unanswered"}

    def row(self, before: DomainRow) -> DomainRow:
        """Its line in the index."""
        return before._replace(
            provider=self.provider if self.is_answered else before.provider,
            checked_ms=self.checked_ms,
            is_answered=self.is_answered,
            broken=tuple(
                BrokenCheck(one.check, one.what, one.todo) for one in self.findings if one.verdict == "broken"
            ),
            warnings=tuple(one.check for one in self.findings if one.verdict == "warning"),
        )


class _InTime:
    """A resolver that is asked nothing more once the time is up."""

    def __init__(self, dns: Dns, monotonic_ms: Callable[[], int]) -> None:
        self._dns = dns
        self._monotonic_ms = monotonic_ms
        self._until_ms = monotonic_ms() + DOMAIN_S * 1000

    def _is_over(self) -> bool:
        return self._monotonic_ms() >= self._until_ms

    def texts(self, name: str) -> Texts:
        return Texts("unanswered") if self._is_over() else self._dns.texts(name)

    def exchanges(self, name: str) -> Exchanges:
        return Exchanges("unanswered") if self._is_over() else self._dns.exchanges(name)

    def address_status(self, name: str) -> Status:
        return "unanswered" if self._is_over() else self._dns.address_status(name)


def domain_report(domain: str, dns: Dns, *, now_ms: int, monotonic_ms: Callable[[], int]) -> DomainReport:
    """Ask about one domain. Of those that anybody may have an address at (mailtide.warmup.parties) only the MX: their owners
    need no advice from here. DKIM by the provider's usual selectors, where it has such."""
    in_time = _InTime(dns, monotonic_ms)
    exchanges = in_time.exchanges(domain)
    provider = provider_of([host for _, host in exchanges.records if host])
    found = [mx_check(domain, exchanges, in_time)]
    if exchanges.status not in {"no_domain", "unanswered"} and domain not in free_mail_domains():
        found.append(spf_check(domain, in_time))
        if provider is not None and provider.selectors:
            found += dkim_checks(domain, (), provider.selectors, in_time)
        found.append(dmarc_check(domain, in_time))
    return DomainReport(
        domain=domain,
        provider=provider.id if provider else "",
        checked_ms=now_ms,
        mx=exchanges.status,
        findings=tuple(_stored(one) for one in found),
    )


def _stored(finding: Finding) -> StoredFinding:
    return StoredFinding(check=finding.check, verdict=finding.verdict, what=finding.what, todo=finding.todo)
