"""One block of candidates.bin: some contacts, ascending by id, and their proposals, section by section.

What follows from other columns is not stored: the event of an anniversary mail follows from the contact's date, the send
date from the event, but for a catch-up. Reading trusts nothing: every index, date and code is checked before it is used.
"""

import numpy as np

from mailtide.contracts.candidates import UnreadableError
from mailtide.machine.chunks.columns import Cursor, pack
from mailtide.rules.candidates import Rows
from mailtide.rules.columns import NO_CODE, NO_DATE, NO_STATE, Bool, Int32, Int64
from mailtide.rules.config import Rules
from mailtide.rules.dates import FIRST_DAY, LAST_DAY, last_anniversaries, next_anniversaries, plus_days
from mailtide.rules.dates import pack as pack_days
from mailtide.rules.ground import Ground
from mailtide.rules.people import People
from mailtide.rules.propose import Proposals
from mailtide.rules.sources import AEP, BIRTHDAY, EFFECTIVE, FIRST_CAMPAIGN, POST_WINDOW, Source
from mailtide.rules.states import STATES
from mailtide.rules.windows import NO_REASON

_NO_STATE, _PHONE = 63, 64
_DAYS_IN_YEAR, _LAST_YEAR = 366, 2100
_MAX_SHIFT = LAST_DAY - FIRST_DAY
_CANDIDATE, _MISSED = 0, 1


def write_contacts(people: People, low: int, high: int) -> bytes:
    """The contacts low .. high - 1, at least one: ids, states, dates, phones. Nobody reads the dates of those not eligible."""
    ids = people.id[low:high].view(np.uint64)
    state = people.state[low:high]
    eligible = state != NO_STATE
    codes = [np.where(eligible, column[low:high], -1) for column in (people.birth_code, people.effective_code)]
    years = np.where(codes[0] >= 0, people.birth_year[low:high], 0)
    stated: Int32 = np.where(eligible, state, _NO_STATE).astype(np.int32)
    stated[people.has_phone[low:high]] |= _PHONE
    columns = [pack(ids[:1]), pack(ids[1:] - ids[:-1]), pack(stated), pack(codes[0]), pack(years), pack(codes[1])]
    return b"".join(columns)


def read_contacts(cursor: Cursor, count: int) -> People:
    """The contacts of a block. Raises UnreadableError."""
    first = cursor.unsigned(1, most_constant=1)
    steps = cursor.unsigned(count - 1, most_constant=count)
    ids = np.cumsum(np.concatenate((first, steps)), dtype=np.uint64).view(np.int64)
    if (ids[1:] <= ids[:-1]).any():
        raise UnreadableError("its ids do not ascend")
    stated = _within(cursor.signed(count, most_constant=count), 0, 2 * _PHONE - 1, "a state")
    birth = _within(cursor.signed(count, most_constant=count), -1, _DAYS_IN_YEAR - 1, "a birth date")
    years = _within(cursor.signed(count, most_constant=count), 0, _LAST_YEAR, "a year")
    effective = _within(cursor.signed(count, most_constant=count), -1, _DAYS_IN_YEAR - 1, "an effective date")
    state = stated & (_PHONE - 1)
    known = state < len(STATES)
    if (~known & (state != _NO_STATE)).any():
        raise UnreadableError("a state is not one of the 51")
    return People(
        id=ids,
        state=np.where(known, state, NO_STATE).astype(np.uint8),
        birth_code=birth.astype(np.int16),
        birth_year=years.astype(np.int16),
        effective_code=effective.astype(np.int16),
        has_phone=stated >= _PHONE,
        eligible=np.flatnonzero(known).astype(np.int32),
    )


def _within(values: Int64, low: int, high: int, what: str) -> Int32:
    if len(values) and not (low <= int(values.min()) and int(values.max()) <= high):
        raise UnreadableError(f"{what} is out of range")
    return values.astype(np.int32)


def most_sections(sources: list[Source], rules: Rules) -> int:
    """How many sections a block has at most: each source now and in the past, each day of an aep mail by itself."""
    return 2 * (len(sources) + len(rules.aep_dates))


class BlockCodec:
    """Writes and reads proposals, on the ground of a chunk or of a whole run."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._reasons = ground.windows.reasons_by_kind()
        self._kind_of = np.zeros(len(ground.names.reasons.texts) + 1, np.uint8)
        for kinds in self._reasons:
            for kind, reason in enumerate(kinds.tolist()):
                self._kind_of[reason if reason != NO_REASON else NO_CODE] = kind if reason != NO_REASON else 0
        self._anniversaries = (next_anniversaries(ground.as_of), last_anniversaries(ground.as_of))

    def write(self, proposals: Proposals, low: int) -> bytes:
        """The proposals of a block whose contacts begin at index `low`."""
        sections = [(_CANDIDATE, part) for part in _sections(proposals.rows)]
        sections += [(_MISSED, part) for part in _sections(proposals.missed)]
        pieces = [len(sections).to_bytes(4, "little")]
        for past, part in sections:
            rows = (proposals.missed if past else proposals.rows)[part]
            source = int(rows.source[0])
            pieces.append(past.to_bytes(1, "little") + source.to_bytes(4, "little") + len(rows).to_bytes(4, "little"))
            pieces.append(pack(np.diff(rows.contact, prepend=np.int32(low))))
            if self._implied(source, rows.contact, past) is None:
                pieces.append(pack(rows.event))
            ideal = plus_days(rows.event, -self._ground.table.days_before[rows.source])
            if past:
                pieces.append(pack(proposals.missed_end[part] - ideal))
            else:
                end, send = proposals.end[part], proposals.send[part]
                dated = end != NO_DATE
                pieces.append(pack(send - np.maximum(ideal, self._ground.as_of)))
                pieces.append(pack(self._kind_of[proposals.reason[part]].astype(np.int64)))
                pieces.append(pack(end[dated] - send[dated]))
        return b"".join(pieces)

    def read(self, cursor: Cursor, low: int, high: int) -> Proposals:
        """The proposals of the contacts low .. high - 1. Raises UnreadableError."""
        count = cursor.number(4)
        if count > most_sections(self._ground.table.sources, self._ground.rules):
            raise UnreadableError("it has too many sections")
        reader = _Reader(self._ground, self._reasons, self._anniversaries, cursor, low, high)
        for _ in range(count):
            reader.section()
        if cursor.left:
            raise UnreadableError("bytes are left over")
        return reader.proposals()

    def _implied(self, source: int, contact: Int32, past: int) -> Int32 | None:
        return _implied_events(self._ground, self._anniversaries[past], source, contact)


def _sections(rows: Rows) -> list[Int32]:
    """The rows of each source, and of each day of an aep mail, ascending by source and day."""
    source, event = rows.source, rows.event
    cut = (source[1:] != source[:-1]) | ((source[1:] == AEP) & (event[1:] != event[:-1]))
    parts = np.split(np.arange(len(source), dtype=np.int32), np.flatnonzero(cut) + 1) if len(source) else []
    return sorted(parts, key=lambda part: (int(source[part[0]]), int(event[part[0]])))


def _implied_events(ground: Ground, anniversaries: Int32, source: int, contact: Int32) -> Int32 | None:
    """The events that follow from contact or source, NO_DATE where there is none; None where each is stored."""
    people = ground.people
    if source in (BIRTHDAY, EFFECTIVE):
        codes = (people.birth_code if source == BIRTHDAY else people.effective_code)[contact]
        return np.where(codes < 0, np.int32(NO_DATE), anniversaries[codes])
    everybody_on = ground.table.sources[source].everybody_on
    return None if everybody_on is None else np.full(len(contact), everybody_on, np.int32)


class _Reader:
    """Reads the sections of one block."""

    def __init__(
        self, ground: Ground, reasons: Int32, anniversaries: tuple[Int32, Int32], cursor: Cursor, low: int, high: int
    ) -> None:
        self._ground, self._reasons, self._anniversaries = ground, reasons, anniversaries
        self._cursor, self._low, self._high = cursor, low, high
        self._rows: list[Rows] = []
        self._send: list[Int32] = []
        self._reason: list[Int32] = []
        self._end: list[Int32] = []
        self._missed: list[Rows] = []
        self._missed_end: list[Int32] = []
        self._before = (_CANDIDATE, -1, NO_DATE)

    def section(self) -> None:
        """Read one. Raises UnreadableError."""
        past, source, count = self._cursor.number(1), self._cursor.number(4), self._cursor.number(4)
        if past > _MISSED or source >= len(self._ground.table.sources) or source == POST_WINDOW or not count:
            raise UnreadableError("a section is of no known kind")
        rows = self._read_rows(past, source, count)
        key = (past, source, int(rows.event[0]) if source == AEP else 0)
        if key <= self._before:
            raise UnreadableError("its sections do not ascend")
        self._before = key
        ideal = plus_days(rows.event, -self._ground.table.days_before[rows.source])
        if (ideal == NO_DATE).any():
            raise UnreadableError("a mail has no ideal date")
        if past:
            self._read_missed(rows, ideal)
        else:
            self._read_candidates(rows, ideal)

    def _read_rows(self, past: int, source: int, count: int) -> Rows:
        size = self._high - self._low
        is_triggered = source >= FIRST_CAMPAIGN and self._ground.table.sources[source].everybody_on is None
        if count > size and not is_triggered:
            raise UnreadableError("it counts more rows than it can have")
        # The events of triggered rows differ where the contacts do not, and so take bytes of their own.
        steps = self._cursor.unsigned(count, most_constant=max(size, self._cursor.left))
        if (steps > size).any() or int(steps.sum()) >= size:
            raise UnreadableError("a row is of a contact that is not there")
        contact = (self._low + np.cumsum(steps.astype(np.int32), dtype=np.int32)).astype(np.int32)
        if (self._ground.people.state[contact] == NO_STATE).any():
            raise UnreadableError("a row is of a contact that is not eligible")
        event = _implied_events(self._ground, self._anniversaries[past], source, contact)
        if event is None:
            stored = self._cursor.signed(count, most_constant=size)
            event = _within(stored, FIRST_DAY, LAST_DAY, "an event")
        self._check_order(contact, event, source, is_triggered=is_triggered)
        return Rows(contact, np.full(count, source, np.int32), event)

    def _check_order(self, contact: Int32, event: Int32, source: int, *, is_triggered: bool) -> None:
        if (event == NO_DATE).any():
            raise UnreadableError("a mail has no event")
        keys = pack_days(contact, event) if is_triggered else contact
        if (keys[1:] <= keys[:-1]).any() or (source == AEP and (event != event[0]).any()):
            raise UnreadableError("its rows do not ascend")

    def _read_candidates(self, rows: Rows, ideal: Int32) -> None:
        ground, count = self._ground, len(rows)
        shift = self._up_to(count, _MAX_SHIFT)
        send = np.maximum(ideal, ground.as_of) + shift
        deadline = np.minimum(ground.table.deadline(rows.source, rows.event), LAST_DAY)
        if np.where(ideal < ground.as_of, send > deadline, shift != 0).any():
            raise UnreadableError("a send date is impossible")
        kind = self._up_to(count, self._reasons.shape[1] - 1)
        reason = self._reasons[ground.people.state[rows.contact], kind]
        if (reason == NO_REASON).any() or (kind[~ground.table.obeys_windows[rows.source]] != 0).any():
            raise UnreadableError("a row names a window that its state does not have")
        self._rows.append(rows)
        self._send.append(send.astype(np.int32))
        self._reason.append(reason)
        self._end.append(self._ends(send, (kind == 1) | (kind == 2)))

    def _read_missed(self, rows: Rows, ideal: Int32) -> None:
        table = self._ground.table
        is_past = table.obeys_windows[rows.source] & (table.fixed_deadline[rows.source] == NO_DATE)
        is_past &= (rows.event < self._ground.as_of) & self._ground.windows.may_have_post_window(rows.contact)
        if not is_past.all():
            raise UnreadableError("a mail of the past is none")
        self._missed.append(rows)
        self._missed_end.append(self._ends(ideal, np.ones(len(rows), np.bool_)))

    def _ends(self, day: Int32, dated: Bool) -> Int32:
        """The last day of the window that each dated row's day lies in, NO_DATE for the others."""
        end = np.full(len(day), NO_DATE, np.int32)
        last = day[dated] + self._up_to(int(np.count_nonzero(dated)), _MAX_SHIFT)
        if (last > LAST_DAY).any():
            raise UnreadableError("a window ends after all time")
        end[dated] = last
        return end

    def _up_to(self, count: int, high: int) -> Int32:
        return _within(self._cursor.signed(count, most_constant=count), 0, high, "a value")

    def proposals(self) -> Proposals:
        """All that was read."""
        none = np.zeros(0, np.int32)
        empty = Rows(none, none, none)
        return Proposals(
            rows=Rows.join([empty, *self._rows]),
            send=np.concatenate([none, *self._send]),
            reason=np.concatenate([none, *self._reason]),
            end=np.concatenate([none, *self._end]),
            missed=Rows.join([empty, *self._missed]),
            missed_end=np.concatenate([none, *self._missed_end]),
            last_contact=self._high - 1,
        )
