"""The rows of email_schedules as they stand, read from the file's pages: in runs of rows that differ in the contact only."""

from dataclasses import dataclass, fields

import numpy as np

from mailtide.database.bulk import Source
from mailtide.database.contact_index import contact_index
from mailtide.database.pages.file import UnusualPagesError
from mailtide.database.pages.records import Records
from mailtide.database.pages.runs import runs_of, usual_width
from mailtide.database.pages.scan import positions, scan_pages
from mailtide.database.pages.texts import OTHER_TEXT, Texts, days
from mailtide.database.schema import Schema, Table
from mailtide.database.values import decode_cell
from mailtide.rules.columns import NO_DATE, Bool, Int32, Int64, Numbers

_DATES = ("event_date", "scheduled_send_date", "actual_send_datetime")
_TEXTS = ("scheduled_send_time", "email_type", "status", "skip_reason", "email_template", "sms_template")
_INTEGERS = ("priority", "campaign_instance_id")
_PARTS = ("event_year", "event_month", "event_day")
_NAMES = (*_DATES, *_TEXTS, *_INTEGERS, *_PARTS)
_MAX_SLOW = 10_000


@dataclass(frozen=True, slots=True)
class RunColumns:
    """What the rows of a run have in common; every array has shape (r,).

    Days are NO_DATE for NULL, integers 0. Texts are codes into `Standing.texts`, NULL_TEXT for NULL; a time can be OTHER_TEXT.
    """

    event: Int32
    send: Int32
    actual: Int32
    time: Int32
    email_type: Int32
    status: Int32
    reason: Int32
    email_template: Int32
    sms_template: Int32
    priority: Int64
    campaign: Int64
    no_priority: Bool
    """Which priorities are NULL."""


@dataclass(frozen=True, slots=True)
class StandingRows:
    """Some rows of the table, ascending by row id; every array has shape (n,)."""

    row_id: Numbers
    contact: Int32
    """Index into the contact ids, -1 where there is no such contact."""
    run: Int32
    """Index into `Standing.runs`."""

    @staticmethod
    def join(parts: "list[StandingRows]") -> "StandingRows":
        """All rows, in order; at least one part."""
        return StandingRows(
            np.concatenate([part.row_id for part in parts]),
            np.concatenate([part.contact for part in parts]),
            np.concatenate([part.run for part in parts]),
        )

    def __getitem__(self, rows: Bool) -> "StandingRows":
        return StandingRows(self.row_id[rows], self.contact[rows], self.run[rows])


@dataclass(frozen=True, slots=True)
class Standing:
    """All rows of the table but the slow ones."""

    parts: list[StandingRows]
    """Ascending by row id."""
    runs: RunColumns
    texts: list[str]
    slow: Int64
    """Row ids of the rows that only SQLite and `values` can judge, ascending."""


@dataclass(frozen=True, slots=True)
class _Part:
    rows: StandingRows
    runs: RunColumns
    slow: Int64


def read_standing(source: Source, schema: Schema, ids: Int64, threads: int) -> Standing | None:
    """The rows, or None where the table must be read through SQLite. ids: contact ids, ascending."""
    table = schema.get("email_schedules")
    if source.pages is None or table is None or table.rowid_alias not in (None, "id"):
        return None
    texts, proof = Texts(_text), source.proofs.get("email_schedules")
    try:
        parts = scan_pages(source.pages, table, threads, _Reader(table, ids, texts).part, proof=proof)
    except UnusualPagesError:
        return None
    slow = np.concatenate([part.slow for part in parts])
    rows = sum(len(part.rows.row_id) for part in parts)
    if len(slow) > _MAX_SLOW + rows // 8:
        return None
    firsts = np.cumsum([0, *(len(part.runs.event) for part in parts)])
    for part, first in zip(parts, firsts.tolist(), strict=False):
        np.add(part.rows.run, first, out=part.rows.run)
    runs = RunColumns(
        **{name.name: np.concatenate([getattr(part.runs, name.name) for part in parts]) for name in fields(RunColumns)}
    )
    return Standing([part.rows for part in parts], runs, texts.texts, slow)


def _narrow(ascending: Int64) -> Numbers:
    """The same row ids in half the memory, where they fit: there are millions of them, for as long as the pass lasts."""
    fits = len(ascending) and ascending[0] >= 0 and ascending[-1] <= np.iinfo(np.int32).max
    return ascending.astype(np.int32) if fits else ascending


def _text(stored: bytes) -> str | None:
    cell = decode_cell("text", stored, "utf-8")
    return cell if isinstance(cell, str) else None


class _Reader:
    """Makes the rows of one batch of records after the other."""

    def __init__(self, table: Table, ids: Int64, texts: Texts) -> None:
        """Raises UnusualPagesError."""
        self._ids, self._texts = ids, texts
        contact, *wanted = positions(table, ("contact_id", *_NAMES))
        if contact is None:
            raise UnusualPagesError
        self._contact, self._wanted, self._width = contact, wanted, 0
        self._of = len(table.columns)
        if None in wanted[-len(_PARTS) :]:
            # Only all three make a date.
            self._wanted[-len(_PARTS) :] = [None] * len(_PARTS)

    def part(self, records: Records) -> _Part:
        """The rows of a batch."""
        # Whatever batch comes first: the width changes no result.
        self._width = self._width or usual_width(records, self._wanted)
        found = runs_of(records, self._contact, self._wanted, self._width)
        columns, bad = self._columns(found.heads)
        slow = bad[found.head] | ~found.is_integer | records.bad
        if not slow.any():
            rows = StandingRows(_narrow(records.rowid), contact_index(self._ids, found.integer), found.head)
            return _Part(rows, columns, np.empty(0, np.int64))
        good = ~slow
        contact = contact_index(self._ids, found.integer[good])
        return _Part(
            StandingRows(_narrow(records.rowid[good]), contact, found.head[good]), columns, records.rowid[slow]
        )

    def _columns(self, heads: Records) -> tuple[RunColumns, Bool]:
        """The columns of the runs, and which runs must be read slowly."""
        values = dict(zip(_NAMES, heads.columns(self._wanted, self._of), strict=True))
        day, text, number = {}, {}, {}
        wrong = [heads.bad]
        for name in _DATES:
            day[name], bad = days(values[name])
            wrong.append(bad)
        for name in _TEXTS:
            text[name] = self._texts.codes(values[name])
            # Every time that is not the right one is wrong, whatever it is.
            wrong.append((text[name] == OTHER_TEXT) & (name != "scheduled_send_time"))
        for name in _INTEGERS:
            number[name], known = values[name].integers()
            wrong.append(~known & ~values[name].is_null)
        no_date = day["event_date"] == NO_DATE
        wrong += [no_date & ~values[name].is_null for name in _PARTS]
        columns = RunColumns(
            event=day["event_date"],
            send=day["scheduled_send_date"],
            actual=day["actual_send_datetime"],
            time=text["scheduled_send_time"],
            email_type=text["email_type"],
            status=text["status"],
            reason=text["skip_reason"],
            email_template=text["email_template"],
            sms_template=text["sms_template"],
            priority=number["priority"],
            campaign=number["campaign_instance_id"],
            no_priority=values["priority"].is_null,
        )
        return columns, np.logical_or.reduce(wrong)
