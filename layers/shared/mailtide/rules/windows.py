"""Exclusion windows (spec §5): which send dates lie in an occurrence, which one is named, and where the next free day is.

An occurrence is anchor − before − extension .. anchor + after; a day looks at anchors of its own year and the two beside it.
"""

from dataclasses import dataclass

import numpy as np

from mailtide.rules.columns import NO_CODE, NO_DATE, Bool, Int16, Int32
from mailtide.rules.config import YEAR_ROUND, Rules, Window
from mailtide.rules.dates import (
    FIRST_DAY,
    FIRST_YEAR,
    LAST_DAY,
    LAST_YEAR,
    anniversary,
    anniversary_table,
    month_start_code,
    year_of,
    year_start,
)
from mailtide.rules.people import People
from mailtide.rules.sources import Codes
from mailtide.rules.states import STATE_INDEX, STATES

KINDS = ("birthday", "effective_date", YEAR_ROUND)
NO_REASON = -2
_EPOCH = np.datetime64("1970-01-01")


@dataclass(frozen=True, slots=True)
class _Dated:
    """One window of a state, compiled: days as numbers, open ends as the ends of time."""

    window: Window
    reason: int
    before: int
    after: int
    valid_from: int
    valid_to: int
    min_age: int
    max_age: int


@dataclass(frozen=True, slots=True)
class Named:
    """The named occurrence of each (contact, day); shape (n,)."""

    reason: Int32
    """Code of the skip reason, NO_CODE where the day is free."""
    end: Int32
    """The last day of the occurrence; NO_DATE where the day is free or the window is year-round."""

    @property
    def free(self) -> Bool:
        """Which days lie in no occurrence."""
        free: Bool = self.reason == NO_CODE
        return free


class StateWindows:
    """The windows of every state, asked for arrays of (contact index, day)."""

    def __init__(self, rules: Rules, people: People, reasons: Codes) -> None:
        self._people = people
        self._year_round = np.full(len(STATES), NO_CODE, np.int32)
        self._dated: dict[int, list[_Dated]] = {}
        for state, windows in rules.states.items():
            self._add_state(state, windows, rules.pre_window_extension_days, reasons)
        self._has_dated = np.zeros(len(STATES), np.bool_)
        self._has_dated[list(self._dated)] = True

    def _add_state(self, state: str, windows: tuple[Window, ...], extension: int, reasons: Codes) -> None:
        index = STATE_INDEX[state]
        if any(window.kind == YEAR_ROUND for window in windows):
            self._year_round[index] = reasons.code(f"{YEAR_ROUND}:{state}")
            return
        for window in windows:
            compiled = _Dated(
                window=window,
                reason=reasons.code(f"{window.kind}_window:{state}"),
                before=(window.before or 0) + extension,
                after=window.after or 0,
                valid_from=FIRST_DAY if window.valid_from is None else _day_number(str(window.valid_from)),
                valid_to=LAST_DAY if window.valid_to is None else _day_number(str(window.valid_to)),
                min_age=-LAST_YEAR if window.min_age is None else window.min_age,
                max_age=LAST_YEAR if window.max_age is None else window.max_age,
            )
            self._dated.setdefault(index, []).append(compiled)

    def may_have_post_window(self, contact: Int32) -> Bool:
        """Which contacts live in a state with dated windows and without a year-round one."""
        return self._has_dated[self._people.state[contact]]

    def reasons_by_kind(self) -> Int32:
        """The skip reason of each state and kind of window: 0 is none, then KINDS; NO_REASON where there is no such window.

        Shape (states, 1 + kinds).
        """
        reasons = np.full((len(STATES), 1 + len(KINDS)), NO_REASON, np.int32)
        reasons[:, 0] = NO_CODE
        for state, windows in self._dated.items():
            for dated in windows:
                reasons[state, 1 + KINDS.index(dated.window.kind)] = dated.reason
        is_closed = self._year_round != NO_CODE
        reasons[is_closed, 1 + KINDS.index(YEAR_ROUND)] = self._year_round[is_closed]
        return reasons

    def named(self, contact: Int32, day: Int32) -> Named:
        """The occurrence that excludes each day for each contact: the one that ends last, then the first in the file.

        contact: indexes of eligible contacts; day: within years 1..9999; both of shape (n,).
        """
        state = self._people.state[contact]
        reason = self._year_round[state]
        end = np.full(len(contact), NO_DATE, np.int32)
        for index, windows in self._dated.items():
            rows = np.flatnonzero(state == index)
            if len(rows):
                reason[rows], end[rows] = self._named_in_state(windows, contact[rows], day[rows])
        return Named(reason, end)

    def _named_in_state(self, windows: list[_Dated], contact: Int32, day: Int32) -> tuple[Int32, Int32]:
        reason = np.full(len(contact), NO_CODE, np.int32)
        last = np.full(len(contact), NO_DATE, np.int32)
        years = year_of(day)
        first = int(years.min()) - 1
        table = anniversary_table(first, int(years.max()) + 1)
        row = (years - np.int16(first)).astype(np.int32) * np.int32(table.shape[1])
        for dated in windows:
            starts, span = (table - np.int32(dated.before)).reshape(-1), np.uint32(dated.before + dated.after)
            place = row + self._anchor_codes(dated.window, contact)
            for shift in (-1, 0, 1):
                # A day before the start becomes a very large number of days behind it.
                behind = day - starts.take(place + np.int32(shift * table.shape[1]), mode="wrap")
                hits = np.flatnonzero(behind.view(np.uint32) <= span)
                start = day[hits] - behind[hits]
                end = start + np.int32(dated.before + dated.after)
                real = (end > last[hits]) & self._applies(dated, contact[hits], start + np.int32(dated.before))
                hits = hits[real]
                reason[hits], last[hits] = dated.reason, end[real]
        return reason, last

    def _anchor_codes(self, window: Window, contact: Int32) -> Int16:
        people = self._people
        codes = (people.birth_code if window.kind == "birthday" else people.effective_code)[contact]
        return month_start_code(codes) if window.month_start else codes

    def _applies(self, dated: _Dated, contact: Int32, anchor: Int32) -> Bool:
        """Whether the occurrences with these anchors exist: inside the calendar, valid, and the age right."""
        exists = (anchor >= FIRST_DAY + dated.before) & (anchor <= LAST_DAY - dated.after)
        exists &= (anchor >= dated.valid_from) & (anchor <= dated.valid_to)
        if dated.min_age == -LAST_YEAR and dated.max_age == LAST_YEAR:
            return exists
        age = self._age(contact, anchor)
        known = self._people.birth_code[contact] >= 0
        return exists & known & (age >= dated.min_age) & (age <= dated.max_age)

    def _age(self, contact: Int32, day: Int32) -> Int32:
        """Age in whole years; 29 February counts on the 28th in common years."""
        inside = np.where(day == NO_DATE, 0, day)
        years = year_of(inside)
        birthday = anniversary(np.maximum(self._people.birth_code[contact], 0), years)
        return (years - self._people.birth_year[contact] - (birthday > inside)).astype(np.int32)

    def first_free(self, contact: Int32, day: Int32, enough: Int32) -> Int32:
        """From each day, jumping behind the occurrence that ends last, the first day that lies in none.

        enough: per contact, a day from which on the exact answer does not matter (any later day may be returned).
        """
        free = day.copy()
        open_rows = np.flatnonzero((free < enough) & (free <= LAST_DAY))
        while len(open_rows):
            named = self.named(contact[open_rows], free[open_rows])
            open_rows = open_rows[~named.free]
            free[open_rows] = named.end[~named.free] + 1
            open_rows = open_rows[(free[open_rows] < enough[open_rows]) & (free[open_rows] <= LAST_DAY)]
        return free

    def free_until(self, contact: Int32, day: Int32) -> Int32:
        """The last day of the free stretch that begins on each (free) day, as far as the end of the next year.

        A stretch that reaches that far may go on: ask again from there.
        """
        state = self._people.state[contact]
        years = year_of(day)
        until: Int32 = year_start(np.minimum(years, LAST_YEAR - 1) + np.int16(2)) - np.int32(1)
        for index, windows in self._dated.items():
            rows = np.flatnonzero(state == index)
            for dated in windows if len(rows) else []:
                for shift in (0, 1, 2):
                    start = self._starts(dated, contact[rows], years[rows] + np.int16(shift))
                    ahead = (start > day[rows]) & (start <= until[rows])
                    until[rows] = np.where(ahead, start - 1, until[rows])
        return until

    def _starts(self, dated: _Dated, contact: Int32, years: Int16) -> Int32:
        """First day that each occurrence excludes, NO_DATE without one; no day looks further than the year beside it."""
        codes = self._anchor_codes(dated.window, contact)
        anchor = anniversary(np.maximum(codes, 0), years)
        exists = (codes >= 0) & (anchor != NO_DATE)
        exists &= self._applies(dated, contact, anchor)
        earliest = year_start(np.clip(years - 1, FIRST_YEAR, LAST_YEAR))
        latest = year_start(np.clip(years + 2, FIRST_YEAR, LAST_YEAR + 1)) - 1
        start = np.maximum(anchor - np.int32(dated.before), earliest)
        exists &= start <= np.minimum(anchor + np.int32(dated.after), latest)
        return np.where(exists, start, np.int32(NO_DATE))


def _day_number(text: str) -> int:
    return int((np.datetime64(text) - _EPOCH).astype(int))
