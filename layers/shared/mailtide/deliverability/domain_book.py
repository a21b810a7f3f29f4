"""What is known of domains: from the index where it is fresh, else by asking DNS, some domains side by side."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from mailtide.deliverability.dns_answers import Dns
from mailtide.deliverability.domain_report import DomainReport, domain_report
from mailtide.warmup import keys
from mailtide.warmup.domains import DomainRow, change_index, is_reserved, read_index
from mailtide.warmup.ports import Objects
from mailtide.warmup.store import put

ABREAST = 16
"""Domains that are asked about at once."""
WRITERS = 8
"""Reports that are written at once; a client of the bucket keeps ten connections."""
GIVE_UP = 8
"""After so many domains in a row of which nobody said anything, or an error alone, the resolver is out of order, unless it still
knows a domain that it knew before."""
PROBES = 3
"""Such domains that are asked about."""


class DomainBook:
    """Looks domains up, and keeps what was found. For one import, or one message of the queue."""

    def __init__(
        self,
        bucket: Objects,
        dns: Dns | None,
        *,
        now_ms: Callable[[], int],
        monotonic_ms: Callable[[], int],
        every_ms: int,
        asks_reserved: bool = False,
    ) -> None:
        """dns: None looks at what is known alone. every_ms: after which a domain is checked again. asks_reserved: also about
        domains that nobody can have (mailtide.warmup.domains.RESERVED)."""
        self._bucket = bucket
        self._dns = dns
        self._now_ms = now_ms
        self._monotonic_ms = monotonic_ms
        self._every_ms = every_ms
        self._asks_reserved = asks_reserved
        self._rows: dict[str, DomainRow] | None = None
        self._changed: dict[str, DomainRow] = {}
        self._unwritten: list[DomainReport] = []
        self._silent = 0
        self._unheard: list[tuple[DomainReport, frozenset[str]]] | None = []
        """Of which nobody said anything, while it may be the resolver's fault; None once it has told something."""
        self.reports: list[DomainReport] = []
        """Of all domains that were asked about, in order."""

    @property
    def gave_up(self) -> bool:
        """Whether the resolver is out of order: nothing more is asked."""
        return self._silent >= GIVE_UP

    def look(self, users_by_domain: Mapping[str, frozenset[str]]) -> dict[str, DomainRow]:
        """The rows of these domains, asked about where they are due; those of which nothing is known are left out. What is found
        is kept at once, but for the index (`save`). TransientError."""
        rows = self._known()
        now_ms = self._now_ms()
        due = [
            name
            for name in users_by_domain
            if rows.get(name, DomainRow(name)).is_due(now_ms, self._every_ms)
            and name not in self._changed
            and (self._asks_reserved or not is_reserved(name))
        ]
        if self._dns is not None and due and not self.gave_up:
            dns = self._dns
            with ThreadPoolExecutor(ABREAST, thread_name_prefix="domains") as threads:
                for start in range(0, len(due), ABREAST):
                    chunk = due[start : start + ABREAST]
                    made = threads.map(
                        lambda name: domain_report(name, dns, now_ms=now_ms, monotonic_ms=self._monotonic_ms), chunk
                    )
                    for report in made:
                        self._note(report, users_by_domain[report.domain])
                    self._write()
                    if self.gave_up:
                        break
        return {name: rows[name] for name in users_by_domain if name in rows and rows[name].checked_ms}

    def save(self) -> None:
        """Write what was found into the index. TransientError; StaleWriteError."""
        if not self.gave_up:
            self._keep_unheard()
            self._write()
        if self._changed:
            change_index(self._bucket, self._merged)
            self._changed.clear()

    def _known(self) -> dict[str, DomainRow]:
        if self._rows is None:
            self._rows = read_index(self._bucket)
        return self._rows

    def _note(self, report: DomainReport, users: frozenset[str]) -> None:
        """Of a resolver that is out of order nothing is kept: it says nothing of the domains."""
        self.reports.append(report)
        self._silent += 1
        if report.is_answered or (self._silent == GIVE_UP and self._is_heard()):
            self._silent = 0
            self._keep_unheard()
            self._unheard = None
        if self._unheard is None:
            self._keep(report, users)
        else:
            self._unheard.append((report, users))

    def _is_heard(self) -> bool:
        """Whether the resolver answers about domains that had an answer before: then it is the other domains that are dead."""
        answered = sorted((row for row in self._known().values() if row.is_answered), key=lambda row: -row.checked_ms)
        dns = self._dns
        return dns is not None and any(
            dns.exchanges(row.domain).status not in {"failed", "unanswered"} for row in answered[:PROBES]
        )

    def _keep_unheard(self) -> None:
        for report, users in self._unheard or ():
            self._keep(report, users)
        if self._unheard:
            self._unheard.clear()

    def _keep(self, report: DomainReport, users: frozenset[str]) -> None:
        rows = self._known()
        before = rows.get(report.domain, DomainRow(report.domain, tuple(sorted(users))))
        rows[report.domain] = self._changed[report.domain] = report.row(before)
        self._unwritten.append(report)

    def _write(self) -> None:
        """The reports, each into its object."""
        if self._unwritten:
            with ThreadPoolExecutor(WRITERS, thread_name_prefix="reports") as threads:
                list(threads.map(self._write_one, self._unwritten))
            self._unwritten.clear()

    def _write_one(self, report: DomainReport) -> None:
        key = keys.domain(report.domain)
        stored = self._bucket.get(key)
        # Whoever else checks the same domain just now finds the same.
        put(self._bucket, key, report, expected_etag=stored.etag if stored else None)

    def _merged(self, rows: Mapping[str, DomainRow]) -> Mapping[str, DomainRow]:
        merged = dict(rows)
        for name, row in self._changed.items():
            old = rows.get(name)
            merged[name] = row._replace(users=old.users, mailboxes=old.mailboxes) if old else row
        return merged
