"""The DMARC policy of a domain (RFC 7489): its own, or that of a domain above it."""

import re
from dataclasses import dataclass

from mailtide.deliverability.dns_answers import Dns, not_answered
from mailtide.deliverability.tags import TagsError, parse_tags, shown
from mailtide.doctor.finding import Finding, broken, ok, warning

CHECK = "DMARC"
POLICIES = ("none", "quarantine", "reject")
MAX_LEVELS = 5
_URI = re.compile(r"mailto:[^\s@,;!]+@[A-Za-z0-9.-]+(![0-9]+[kmgt]?)?", re.IGNORECASE)
_PERCENT = re.compile(r"100|[1-9]?[0-9]")


class DmarcError(ValueError):
    """A record cannot be used; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """policy: none, quarantine or reject. of_subdomains: the same, for domains below. reports_to: addresses for reports."""

    policy: str
    of_subdomains: str
    reports_to: tuple[str, ...]


def is_dmarc(text: str) -> bool:
    """Whether a TXT record is a DMARC record, right or wrong."""
    return re.match(r"v\s*=\s*DMARC1\s*(;|$)", text) is not None


def parse_dmarc(text: str) -> DmarcRecord:
    """The policy of a record that `is_dmarc`. DmarcError."""
    try:
        tags = parse_tags(text)
    except TagsError as error:
        raise DmarcError(str(error)) from None
    policy = tags.get("p", "").lower()
    if policy not in POLICIES:
        raise DmarcError(f"p= must be one of {', '.join(POLICIES)}, not {shown(policy)!r}.")
    below = tags.get("sp", policy).lower()
    if below not in POLICIES:
        raise DmarcError(f"sp= must be one of {', '.join(POLICIES)}, not {shown(below)!r}.")
    if not _PERCENT.fullmatch(tags.get("pct", "100")):
        raise DmarcError(f"pct= must be a number up to 100, not {shown(tags['pct'])!r}.")
    uris = tuple(uri.strip() for uri in tags.get("rua", "").split(",") if uri.strip())
    for uri in uris:
        if uri.lower().startswith("mailto:") and not _URI.fullmatch(uri):
            raise DmarcError(f"{shown(uri)!r} in rua= is no address.")
        if ":" not in uri:
            raise DmarcError(f"{shown(uri)!r} in rua= must begin with mailto:.")
    return DmarcRecord(policy, below, uris)


def dmarc_check(domain: str, dns: Dns) -> Finding:
    """The verdict on the policy that holds for a domain: the nearest one upwards counts."""
    for level, name in enumerate(_upwards(domain)):
        answer = dns.texts(f"_dmarc.{name}")
        if answer.status in {"failed", "unanswered"}:
            return not_answered(CHECK, f"_dmarc.{name}", answer.status)
        records = [text for text in answer.records if is_dmarc(text)]
        if len(records) > 1:
            what = f"There are {len(records)} DMARC records at _dmarc.{name}; with more than one, receivers use none."
            return broken(CHECK, domain, what, "leave one of them")
        if records:
            return _judged(domain, name, records[0], is_inherited=level > 0)
    todo = f"publish a TXT record at _dmarc.{domain}: v=DMARC1; p=none; rua=mailto:… and read the reports that come"
    return warning(CHECK, domain, "There is no DMARC policy, which large providers ask of who sends much.", todo)


def _upwards(domain: str) -> list[str]:
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)][:MAX_LEVELS]


def _judged(domain: str, name: str, text: str, *, is_inherited: bool) -> Finding:
    try:
        record = parse_dmarc(text)
    except DmarcError as error:
        what = f"The record at _dmarc.{name} cannot be used: {error}"
        return broken(CHECK, domain, what, "correct this part of the record")
    policy = record.of_subdomains if is_inherited else record.policy
    where = f", from {name}" if is_inherited else ""
    if not record.reports_to:
        what = f"Policy {policy}{where}, but nobody gets the reports (no rua=)."
        return warning(CHECK, domain, what, "add rua=mailto:… with an address that somebody reads")
    if policy == "none":
        return ok(CHECK, f"Policy none{where}: reports only. When they are clean, quarantine protects the name.")
    return ok(CHECK, f"Policy {policy}{where}, with reports.")
