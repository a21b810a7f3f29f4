"""SPF of a domain (RFC 7208): one record, valid with all that it includes, at most ten look-ups, an end that says no."""

from dataclasses import dataclass, field

from mailtide.deliverability.dns_answers import Dns, Texts, not_answered
from mailtide.deliverability.spf_record import SpfError, SpfRecord, is_spf, parse_spf
from mailtide.deliverability.tags import shown
from mailtide.doctor.finding import Finding, broken, ok, warning

CHECK = "SPF"
MAX_LOOKUPS = 10
MAX_NOTE_LOOKUPS = 8
"""From here on the next service that a domain uses breaks its record."""


@dataclass(slots=True)
class _Walk:
    """Through a record and what it includes."""

    dns: Dns
    lookups: int = 0
    has_ptr: bool = False
    unread: list[str] = field(default_factory=list)
    """Domains whose names depend on the mail (macros): they cannot be looked into beforehand."""


class _StopError(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding


def spf_check(domain: str, dns: Dns) -> Finding:
    """The verdict on a domain's SPF. At most eleven records are asked for, whatever they hold."""
    walk = _Walk(dns)
    try:
        record = _record_of(domain, dns.texts(domain), (domain,))
        ending = _follow(walk, record, (domain,))
    except _StopError as stop:
        return stop.finding
    return _judged(domain, walk, ending)


def _judged(domain: str, walk: _Walk, ending: str | None) -> Finding:
    if ending == "+":
        what = "It ends in +all: everybody in the world may send in this domain's name."
        return broken(CHECK, domain, what, "end the record in ~all or -all")
    if ending in {None, "?"}:
        said = "It ends in ?all" if ending else "It does not end in ~all or -all"
        return warning(
            CHECK, domain, f"{said}: of all other servers it says nothing.", "end the record in ~all or -all"
        )
    if walk.has_ptr:
        what = "It uses ptr, which is slow, and which receivers may leave out (RFC 7208 section 5.5)."
        return warning(CHECK, domain, what, "name the addresses with ip4, ip6, a or include instead of ptr")
    lookups = f"{walk.lookups} of {MAX_LOOKUPS} DNS look-ups"
    if walk.lookups > MAX_NOTE_LOOKUPS:
        todo = "remove includes of services that no longer send before another one is added"
        return warning(CHECK, domain, f"It is valid, but takes {lookups}.", todo)
    unread = f", {', '.join(shown(name) for name in walk.unread)} not looked into" if walk.unread else ""
    return ok(CHECK, f"One valid record that ends in {ending}all and takes {lookups}{unread}.")


def _follow(walk: _Walk, record: SpfRecord, chain: tuple[str, ...]) -> str | None:
    """Counts what a record asks for, with all that it includes; how it ends."""
    for term in record.terms:
        walk.has_ptr = walk.has_ptr or term.mechanism == "ptr"
        if term.asks_dns:
            _count(walk, chain)
        if term.mechanism == "include":
            _enter(walk, term.value, chain, "include")
    if record.redirect is None:
        return record.ending
    _count(walk, chain)
    return _enter(walk, record.redirect, chain, "redirect")


def _count(walk: _Walk, chain: tuple[str, ...]) -> None:
    walk.lookups += 1
    if walk.lookups > MAX_LOOKUPS:
        what = f"It takes more than {MAX_LOOKUPS} DNS look-ups, so receivers do not use it (RFC 7208 section 4.6.4)."
        raise _StopError(
            broken(CHECK, chain[0], what, "remove includes that are not needed, or name their addresses by ip4 and ip6")
        )


def _enter(walk: _Walk, target: str, chain: tuple[str, ...], kind: str) -> str | None:
    name = target.lower().rstrip(".")
    if "%" in name:
        walk.unread.append(name)
        # Nobody knows its end before there is a mail; it is not to be called missing.
        return "~"
    if name in chain:
        what = f"Its records go round in a circle: {' → '.join(shown(one) for one in (*chain, name))}."
        raise _StopError(broken(CHECK, chain[0], what, f"remove the {kind} that leads back"))
    deeper = (*chain, name)
    return _follow(walk, _record_of(name, walk.dns.texts(name), deeper), deeper)


def _record_of(name: str, answer: Texts, chain: tuple[str, ...]) -> SpfRecord:
    """The record of a name, or the finding that there is none to go by."""
    subject = chain[0]
    if answer.status in {"failed", "unanswered"}:
        raise _StopError(not_answered(CHECK, shown(name), answer.status))
    records = [text for text in answer.records if is_spf(text)]
    where = "It" if len(chain) == 1 else f"What it includes, {shown(name)},"
    if not records:
        if len(chain) > 1:
            what = f"It includes {shown(name)}, which has no SPF record, so receivers do not use it."
            raise _StopError(
                broken(CHECK, subject, what, f"remove {shown(name)} from the record, or mend its spelling")
            )
        todo = "publish a TXT record like v=spf1 include:… ~all, with what your mail provider names for it"
        raise _StopError(
            broken(CHECK, subject, "There is no SPF record: receivers cannot tell who may send for the domain.", todo)
        )
    if len(records) > 1:
        what = f"{where} has {len(records)} SPF records; with more than one, receivers use none."
        raise _StopError(broken(CHECK, subject, what, "put all of them into one TXT record and delete the others"))
    try:
        return parse_spf(records[0])
    except SpfError as error:
        what = f"{where} breaks the syntax, so receivers do not use it: {error}"
        raise _StopError(broken(CHECK, subject, what, "correct this part of the record")) from None
