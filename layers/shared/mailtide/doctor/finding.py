"""What a check says."""

from dataclasses import dataclass
from typing import Literal

type Verdict = Literal["ok", "warning", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict: what is so, and what to do about it (empty when nothing is)."""

    check: str
    verdict: Verdict
    what: str
    todo: str = ""
    subject: str = ""
    """The resource, organisation or run that it is about."""


def ok(check: str, what: str) -> Finding:
    """All is as it should be."""
    return Finding(check, "ok", what)


def warning(check: str, subject: str, what: str, todo: str) -> Finding:
    """It works, but somebody should look."""
    return Finding(check, "warning", what, todo, subject)


def broken(check: str, subject: str, what: str, todo: str) -> Finding:
    """Something does not work."""
    return Finding(check, "broken", what, todo, subject)


def or_ok(check: str, found: list[Finding], what: str) -> list[Finding]:
    """What was found; that all is well when nothing was."""
    return found or [ok(check, what)]
