"""Candidates (spec §4): from dates and triggers to send dates, contact by contact."""

from dataclasses import dataclass

import numpy as np

from mailtide.rules.columns import NO_CODE, NO_DATE, Bool, Int16, Int32, Int64, Related
from mailtide.rules.config import Rules
from mailtide.rules.dates import (
    LAST_DAY,
    code_of,
    last_anniversaries,
    next_anniversaries,
    plus_days,
    year_of,
)
from mailtide.rules.handled import Handled
from mailtide.rules.hashing import UInt64, mail_hash
from mailtide.rules.people import People
from mailtide.rules.sources import AEP, BIRTHDAY, EFFECTIVE, SourceTable


@dataclass(slots=True)
class Rows:
    """Candidates or rows; every array has shape (n,)."""

    contact: Int32
    source: Int32
    event: Int32

    def __len__(self) -> int:
        return len(self.contact)

    @staticmethod
    def join(parts: "list[Rows]") -> "Rows":
        """All rows, in order; at least one part."""
        return Rows(
            np.concatenate([part.contact for part in parts]),
            np.concatenate([part.source for part in parts]),
            np.concatenate([part.event for part in parts]),
        )

    def __getitem__(self, keep: Bool | Int32 | Int64) -> "Rows":
        return Rows(self.contact[keep], self.source[keep], self.event[keep])


@dataclass(slots=True)
class Chunk:
    """The rows of some contacts: what each is, when it goes out, and why not."""

    rows: Rows
    send: Int32
    reason: Int32
    last_contact: int
    waits_too_long: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """Campaign triggers of single contacts, sorted by (contact, source, event), each once."""

    rows: Rows

    def of(self, first: int, last: int) -> Rows:
        """Those of the contacts first .. last."""
        low, high = np.searchsorted(self.rows.contact, [first, last + 1])
        return self.rows[np.arange(low, high, dtype=np.int32)]


def usable_triggers(inputs: Related, table: SourceTable, people: People) -> Triggers:
    """The targets of instances that count and do not target everybody, for eligible contacts."""
    source_of = np.full(len(inputs.instances) + 1, NO_CODE, np.int32)
    for index, source in enumerate(table.sources):
        if source.instance >= 0 and source.everybody_on is None:
            source_of[source.instance] = index
    targets = inputs.targets
    eligible = np.zeros(len(people.id), np.bool_)
    eligible[people.eligible] = True
    sources = source_of[targets.instance]
    keep = np.flatnonzero((sources >= 0) & eligible[targets.contact])
    order = keep[np.lexsort((targets.trigger[keep], sources[keep], targets.contact[keep]))]
    rows = Rows(targets.contact[order], sources[order], targets.trigger[order])
    same = (rows.contact[1:] == rows.contact[:-1]) & (rows.source[1:] == rows.source[:-1])
    same &= rows.event[1:] == rows.event[:-1]
    return Triggers(rows=rows[np.flatnonzero(np.concatenate(([True], ~same))[: len(rows)]).astype(np.int32)])


class Generator:
    """Makes the candidates of some contacts, and their mails of the past."""

    def __init__(
        self, inputs: Related, rules: Rules, as_of: int, people: People, table: SourceTable, handled: Handled | None
    ) -> None:
        """handled: leaves out at once what history handled; None where the history is not known yet."""
        self._rules, self._as_of, self._people, self._table = rules, as_of, people, table
        self._handled = handled
        self._triggers = usable_triggers(inputs, table, people)
        entries = np.array([f"2000-{entry}" for entry in rules.aep_dates], "datetime64[D]").astype(np.int32)
        self._aep_codes = code_of(entries)

    def candidates(self, contact: Int32) -> tuple[Rows, Int32]:
        """The candidates of these eligible contacts (ascending) that have a send date, and the dates."""
        rows = self._of_each_source(contact, next_anniversaries(self._as_of), past=False)
        send = self._send_dates(rows)
        keep = send != NO_DATE
        return rows[keep], send[keep]

    def missed(self, contact: Int32) -> tuple[Rows, Int32]:
        """Mails of the past that obey windows, with their ideal dates (§5, post-window)."""
        rows = self._of_each_source(contact, last_anniversaries(self._as_of), past=True)
        ideal = plus_days(rows.event, -self._table.days_before[rows.source])
        keep = ideal != NO_DATE
        return rows[keep], ideal[keep]

    def _of_each_source(self, contact: Int32, anniversaries: Int32, *, past: bool) -> Rows:
        parts = [
            self._anniversary_rows(BIRTHDAY, contact, self._people.birth_code[contact], anniversaries),
            self._anniversary_rows(EFFECTIVE, contact, self._people.effective_code[contact], anniversaries),
        ]
        for event in sorted(set(anniversaries[self._aep_codes].tolist()) - {NO_DATE}):
            parts.append(self._unhandled(AEP, contact, np.full(len(contact), event, np.int32)))
        for index, source in enumerate(self._table.sources):
            if source.everybody_on is not None and (not past or self._is_past(index, source.everybody_on)):
                parts.append(self._unhandled(index, contact, np.full(len(contact), source.everybody_on, np.int32)))
        parts.append(self._triggered(contact, past=past))
        return Rows.join(parts)

    def _is_past(self, source: int, trigger: int) -> bool:
        table = self._table
        return bool(table.obeys_windows[source] and table.fixed_deadline[source] == NO_DATE and trigger < self._as_of)

    def _anniversary_rows(self, source: int, contact: Int32, codes: Int16, anniversaries: Int32) -> Rows:
        known = codes >= 0
        event = anniversaries[codes[known]]
        inside = event != NO_DATE
        return self._unhandled(source, contact[known][inside], event[inside])

    def _unhandled(self, source: int, contact: Int32, event: Int32) -> Rows:
        if self._handled is not None:
            keep = ~self._handled.of(source, contact, event)
            contact, event = contact[keep], event[keep]
        return Rows(contact, np.full(len(contact), source, np.int32), event)

    def _triggered(self, contact: Int32, *, past: bool) -> Rows:
        if not len(contact):
            return Rows(contact, contact, contact)
        rows = self._triggers.of(int(contact[0]), int(contact[-1]))
        if past:
            table = self._table
            dated = table.obeys_windows[rows.source] & (table.fixed_deadline[rows.source] == NO_DATE)
            wanted = np.zeros(len(self._people.id), np.bool_)
            wanted[contact] = True
            rows = rows[dated & (rows.event < self._as_of) & wanted[rows.contact]]
        order = np.argsort(rows.source, kind="stable")
        rows = rows[order.astype(np.int32)]
        return (
            rows if self._handled is None else rows[~self._handled.of_sections(rows.source, rows.contact, rows.event)]
        )

    def _send_dates(self, rows: Rows) -> Int32:
        """The ideal date from `as_of` on; else a catch-up date until the deadline; else NO_DATE."""
        send = plus_days(rows.event, -self._table.days_before[rows.source])
        late = np.flatnonzero((send != NO_DATE) & (send < self._as_of))
        deadline = self._table.deadline(rows.source[late], rows.event[late])
        send[late[deadline < self._as_of]] = NO_DATE
        open_rows = deadline >= self._as_of
        late, deadline = late[open_rows], deadline[open_rows]
        if len(late):
            send[late] = self._catch_up(hash_of(self._people, self._table, rows[late.astype(np.int32)]), deadline)
        return send

    def _catch_up(self, hashes: UInt64, deadline: Int32) -> Int32:
        """A day that stays the same from run to run, at most catch_up_spread_days − 1 away and not after the deadline."""
        spread = self._rules.catch_up_spread_days
        offset = ((hashes % np.uint64(spread)).astype(np.int64) - self._as_of % spread) % spread
        room = (deadline.astype(np.int64) - self._as_of + 1).astype(np.uint64)
        short = (hashes % room).astype(np.int64)
        day = self._as_of + np.where(self._as_of + offset > deadline, short, offset)
        return np.where(day <= LAST_DAY, day, NO_DATE).astype(np.int32)


def hash_of(people: People, table: SourceTable, rows: Rows) -> UInt64:
    """The hash of each row (spec §1)."""
    return mail_hash(people.id[rows.contact], table.crc[rows.source], year_of(rows.event))
