"""The domains of the pool: what is known of each in short, and which are to be checked (mailtide.deliverability does that).

By domain, not by mailbox: 100,000 mailboxes live in a few thousand of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from pydantic import ValidationError

from mailtide.contracts import Contract
from mailtide.errors import StaleWriteError
from mailtide.warmup import keys
from mailtide.warmup.contracts import DAY_MS, MailboxProfile
from mailtide.warmup.ports import Objects
from mailtide.warmup.store import put

RESERVED = ("example", "test", "invalid", "localhost")
"""Ends of names that nobody can have (RFC 6761): examples and tests are full of them."""
AGAIN_MS = 20 * 3_600_000
"""When a domain is due again of which no name server said anything."""
_TRIES = 5


class BrokenCheck(NamedTuple):
    """A finding of a domain that breaks something."""

    check: str
    what: str
    todo: str


class DomainRow(NamedTuple):
    """One domain in the index; a JSON array there."""

    domain: str
    users: tuple[str, ...] = ()
    """Whose mailboxes live there; both as of the day's roster."""
    mailboxes: int = 0
    provider: str = ""
    checked_ms: int = 0
    """0: not yet."""
    is_answered: bool = False
    """Whether DNS said who takes its mail; else the provider is the one that was known before."""
    broken: tuple[BrokenCheck, ...] = ()
    warnings: tuple[str, ...] = ()
    """Names of the checks that somebody should look at."""

    def is_due(self, now_ms: int, every_ms: int) -> bool:
        """Whether it is to be checked (again)."""
        return now_ms - self.checked_ms >= (every_ms if self.is_answered else AGAIN_MS)


class DomainIndex(Contract):
    """warmup/domains.json, replaced with its ETag: all domains of the pool by name."""

    rows: tuple[DomainRow, ...] = ()


class DueDomain(NamedTuple):
    """A domain of the day's list, with its mailboxes and the providers that they have."""

    domain: str
    is_due: bool
    """False: only these mailboxes do not have its provider."""
    mailboxes: tuple[tuple[str, str], ...]


class DueDomains(Contract):
    """warmup/days/{day}/domains.json: what is left to be done on the day; replaced with its ETag, deleted at the end."""

    domains: tuple[DueDomain, ...]


def is_reserved(domain: str) -> bool:
    """Whether no such domain can exist."""
    return domain.rpartition(".")[2] in RESERVED


def read_index(bucket: Objects) -> dict[str, DomainRow]:
    """All rows by domain; none while nothing was checked."""
    stored = bucket.get(keys.DOMAIN_INDEX)
    return {} if stored is None else _rows(stored.body)


def change_index(
    bucket: Objects, change: Callable[[Mapping[str, DomainRow]], Mapping[str, DomainRow]]
) -> tuple[Mapping[str, DomainRow], Mapping[str, DomainRow]]:
    """Replace the index by what `change` makes of it; before and after. StaleWriteError when others keep being first."""
    for _ in range(_TRIES):
        stored = bucket.get(keys.DOMAIN_INDEX)
        before = {} if stored is None else _rows(stored.body)
        after = change(before)
        index = DomainIndex(rows=tuple(after[name] for name in sorted(after)))
        if after == before or put(bucket, keys.DOMAIN_INDEX, index, expected_etag=stored.etag if stored else None):
            return before, after
    raise StaleWriteError(f"{keys.DOMAIN_INDEX} is being changed by others all the time.")


def _rows(body: bytes) -> dict[str, DomainRow]:
    """What cannot be read is asked about anew: all of it comes from DNS and the pool."""
    try:
        return {row.domain: row for row in DomainIndex.model_validate_json(body).rows}
    except ValidationError:
        return {}


@dataclass(slots=True)
class _Members:
    users: set[str] = field(default_factory=set)
    mailboxes: list[tuple[str, str]] = field(default_factory=list)


class PoolDomains:
    """The domains of the pool, gathered while the roster is made of it."""

    def __init__(self) -> None:
        self._members: dict[str, _Members] = {}
        self._is_seen = False

    @property
    def is_seen(self) -> bool:
        """Whether there was a pool to be watched, with or without domains that can exist."""
        return self._is_seen

    def watch(self, profiles: Iterable[MailboxProfile]) -> Iterator[MailboxProfile]:
        """The same profiles; their domains are noted on the way."""
        self._is_seen = True
        for profile in profiles:
            if not is_reserved(profile.domain):
                members = self._members.setdefault(profile.domain, _Members())
                members.users.add(profile.user_id)
                members.mailboxes.append((profile.mailbox_id, profile.provider))
            yield profile

    def plan(self, bucket: Objects, day: date, *, now_ms: int, every_days: int) -> int:
        """Bring the index up to the pool, and write the day's list: how many domains are due. Safe to repeat."""
        before, rows = change_index(bucket, self._updated)
        entries = [
            entry
            for name, row in sorted(rows.items())
            if (entry := self._entry(row, is_due=row.is_due(now_ms, every_days * DAY_MS))) is not None
        ]
        if entries:
            # Another process that made the same roster may have been first.
            put(bucket, keys.due_domains(day), DueDomains(domains=tuple(entries)), expected_etag=None)
        # Thousands may go at once: whatever becomes of that, the list is drawn up.
        for name in before.keys() - rows.keys():
            bucket.delete(keys.domain(name))
        return sum(entry.is_due for entry in entries)

    def _updated(self, rows: Mapping[str, DomainRow]) -> Mapping[str, DomainRow]:
        return {
            name: rows.get(name, DomainRow(name))._replace(
                users=tuple(sorted(members.users)), mailboxes=len(members.mailboxes)
            )
            for name, members in self._members.items()
        }

    def _entry(self, row: DomainRow, *, is_due: bool) -> DueDomain | None:
        members = self._members[row.domain].mailboxes
        if is_due:
            return DueDomain(row.domain, True, tuple(members))
        wrong = tuple(one for one in members if one[1] != row.provider) if row.is_answered else ()
        return DueDomain(row.domain, False, wrong) if wrong else None
