"""One SPF record as its terms (RFC 7208 section 4.6 and appendix A)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, cast

from mailtide.deliverability.tags import shown

type Mechanism = Literal["all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"]
type Qualifier = Literal["+", "-", "~", "?"]

MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
_ASKING = frozenset({"include", "a", "mx", "ptr", "exists"})
_MACRO = r"%(?:[%_-]|\{[slodiphcrtvSLODIPHCRTV][0-9]*[rR]?[.+,/_=-]*\})"
_STRING = rf"(?:[!-$&-~]|{_MACRO})*"
_MODIFIER = re.compile(rf"([A-Za-z][A-Za-z0-9_.-]*)=({_STRING})")
_TERM = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9]*)([:/].*)?")
_TOP_LABEL = r"(?=[A-Za-z0-9-]*[A-Za-z-])[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_STRING}(?:\.{_TOP_LABEL}\.?|{_MACRO})")
_LENGTHS = re.compile(r"(.*?)(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?", re.DOTALL)


class SpfError(ValueError):
    """A record breaks the syntax, which makes receivers ignore it whole; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Term:
    """A mechanism and what stands behind its colon, empty when nothing does."""

    mechanism: Mechanism
    qualifier: Qualifier
    value: str = ""

    @property
    def asks_dns(self) -> bool:
        """Whether it counts towards the ten look-ups of a record (section 4.6.4)."""
        return self.mechanism in _ASKING


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """The mechanisms in order, up to `all`, and where the record redirects to if none of them fits."""

    terms: tuple[Term, ...]
    redirect: str | None = None

    @property
    def ending(self) -> Qualifier | None:
        """The qualifier of `all`; None without one."""
        return self.terms[-1].qualifier if self.terms and self.terms[-1].mechanism == "all" else None


def is_spf(text: str) -> bool:
    """Whether a TXT record is an SPF record, right or wrong (section 4.5)."""
    return text[:6].lower() == "v=spf1" and text[6:7] in {"", " "}


def parse_spf(text: str) -> SpfRecord:
    """The terms of a record that `is_spf`. SpfError names the first term that is wrong."""
    terms: list[Term] = []
    modifiers: dict[str, str] = {}
    is_over = False
    for word in text[6:].split(" "):
        if not word:
            continue
        modifier = _MODIFIER.fullmatch(word)
        if modifier is not None:
            _add_modifier(modifiers, modifier[1].lower(), modifier[2])
            continue
        term = _term(word)
        if not is_over:
            # What stands behind `all` is never looked at (section 5.1), but it must be right.
            terms.append(term)
        is_over = is_over or term.mechanism == "all"
    return SpfRecord(tuple(terms), None if is_over else modifiers.get("redirect"))


def _add_modifier(modifiers: dict[str, str], name: str, value: str) -> None:
    if name not in {"redirect", "exp"}:
        return
    if name in modifiers:
        raise SpfError(f"{name}= comes twice.")
    if not _DOMAIN.fullmatch(value):
        raise SpfError(f"{shown(f'{name}={value}')!r} names no domain.")
    modifiers[name] = value


def _term(word: str) -> Term:
    found = _TERM.fullmatch(word)
    name = found[2].lower() if found else ""
    if found is None or name not in MECHANISMS:
        raise SpfError(f"{shown(word)!r} is no mechanism of SPF.")
    rest = found[3] or ""
    if not _FITS[name](rest):
        raise SpfError(f"{shown(word)!r} is not written as {name} must be.")
    qualifier = cast("Qualifier", found[1] or "+")
    return Term(cast("Mechanism", name), qualifier, rest[1:] if rest[:1] == ":" else "")


def _is_bare(rest: str) -> bool:
    return rest == ""


def _is_domain(rest: str) -> bool:
    return rest[:1] == ":" and _DOMAIN.fullmatch(rest[1:]) is not None


def _is_domain_with_lengths(rest: str) -> bool:
    found = _LENGTHS.fullmatch(rest)
    return (
        found is not None
        and (found[1] == "" or _is_domain(found[1]))
        and int(found[2] or 0) <= 32
        and int(found[3] or 0) <= 128
    )


def _is_network(rest: str, kind: type[IPv4Network] | type[IPv6Network]) -> bool:
    address, slash, length = rest[1:].partition("/")
    if rest[:1] != ":" or (slash and not re.fullmatch("0|[1-9][0-9]{0,2}", length)) or "%" in address:
        return False
    try:
        kind(rest[1:], strict=False)
    except ValueError:
        return False
    return True


_FITS: dict[str, Callable[[str], bool]] = {
    "all": _is_bare,
    "include": _is_domain,
    "exists": _is_domain,
    "a": _is_domain_with_lengths,
    "mx": _is_domain_with_lengths,
    "ptr": lambda rest: rest == "" or _is_domain(rest),
    "ip4": lambda rest: _is_network(rest, IPv4Network),
    "ip6": lambda rest: _is_network(rest, IPv6Network),
}
