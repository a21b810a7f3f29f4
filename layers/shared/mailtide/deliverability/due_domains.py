"""The day's list of domains, worked off a tick at a time: DNS is asked, and mailboxes get their domain's provider."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from typing import Protocol

from pydantic import ValidationError

from mailtide.deliverability.dns_answers import Dns
from mailtide.deliverability.domain_book import ABREAST, DomainBook
from mailtide.deliverability.domain_report import DOMAIN_S
from mailtide.errors import StaleWriteError, TransientError
from mailtide.warmup import keys
from mailtide.warmup.contracts import DAY_MS, DomainTick
from mailtide.warmup.domains import DomainRow, DueDomain, DueDomains
from mailtide.warmup.ports import Objects, WarmupClock
from mailtide.warmup.store import put

DNS_S = 2.5
"""For an answer, all tries together: of thousands of domains some are dead."""
MOST_MS = 100_000
"""Of one message, and never more than a third of a tick: the next tick finds the function free."""
CHUNK_MS = int((DOMAIN_S + 5) * 1000)
"""What ABREAST domains may take, the last answers and the updates of their mailboxes included."""
WRITERS = 8


class ProviderStore(Protocol):
    """The part of mailtide.warmup.ports.MailboxStore that is used here."""

    def set_provider(self, mailbox_id: str, provider: str) -> bool:
        """See mailtide.warmup.ports.MailboxStore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainServices:
    """What a check of the day's domains is given."""

    bucket: Objects
    mailboxes: ProviderStore
    dns: Dns
    clock: WarmupClock
    every_days: int


@dataclass(frozen=True, slots=True)
class DomainsChecked:
    """What became of a message."""

    checked: int = 0
    broken: int = 0
    """Domains in which something is broken."""
    providers_set: int = 0
    """Mailboxes that got another provider."""
    left: int = 0
    """Domains for the next tick."""
    why: str = ""
    """Why it ended early: resolver (it is out of order), unavailable (bucket or table), unreadable (the list) or stale."""


def check_due_domains(services: DomainServices, message: DomainTick) -> DomainsChecked:
    """Work off what there is time for; never raises for DNS, nor for a bucket or table that is away for the moment."""
    if services.clock.now_ms() >= message.end_ms:
        return DomainsChecked(why="stale")
    try:
        return _work_off(services, message)
    except (TransientError, StaleWriteError):
        # The next tick asks for the same again.
        return DomainsChecked(why="unavailable")


def _work_off(services: DomainServices, message: DomainTick) -> DomainsChecked:
    clock, key = services.clock, keys.due_domains(message.day)
    ends_ms = clock.monotonic_ms() + min(MOST_MS, (message.end_ms - message.start_ms) // 3)
    stored = services.bucket.get(key)
    if stored is None:
        return DomainsChecked()
    try:
        left = list(DueDomains.model_validate_json(stored.body).domains)
    except ValidationError:
        # Tomorrow's roster draws up another one.
        services.bucket.delete(key)
        return DomainsChecked(why="unreadable")
    book = DomainBook(
        services.bucket,
        services.dns,
        now_ms=clock.now_ms,
        monotonic_ms=clock.monotonic_ms,
        every_ms=services.every_days * DAY_MS,
    )
    providers_set = 0
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="providers") as threads:
        for number, chunk in enumerate(batched(tuple(left), ABREAST, strict=False)):
            if number and clock.monotonic_ms() + CHUNK_MS > ends_ms:
                break
            rows = book.look({one.domain: frozenset() for one in chunk})
            if book.gave_up:
                # They may be dead themselves: the next tick begins with others.
                left = [*left[len(chunk) :], *chunk]
                break
            wrong = _wrong(chunk, rows)
            providers_set += sum(threads.map(lambda one: services.mailboxes.set_provider(*one), wrong))
            left = left[len(chunk) :]
    book.save()
    if left:
        put(services.bucket, key, DueDomains(domains=tuple(left)), expected_etag=stored.etag)
    else:
        services.bucket.delete(key)
    broken = sum(any(one.verdict == "broken" for one in report.findings) for report in book.reports)
    return DomainsChecked(len(book.reports), broken, providers_set, len(left), "resolver" if book.gave_up else "")


def _wrong(entries: Iterable[DueDomain], rows: dict[str, DomainRow]) -> Sequence[tuple[str, str]]:
    """Mailboxes whose provider is not their domain's, with the one that is."""
    return [
        (mailbox_id, rows[entry.domain].provider)
        for entry in entries
        if entry.domain in rows and rows[entry.domain].is_answered
        for mailbox_id, provider in entry.mailboxes
        if provider != rows[entry.domain].provider
    ]
