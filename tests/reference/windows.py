"""Exclusion windows and the search for a free day (§5)."""

import datetime
from dataclasses import dataclass
from typing import Any

from tests.reference import values

type Row = dict[str, Any]


def anniversary(date: datetime.date, year: int) -> datetime.date | None:
    if not 1 <= year <= 9999:
        return None
    if (date.month, date.day) == (2, 29) and not (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)):
        return datetime.date(year, 2, 28)
    return datetime.date(year, date.month, date.day)


def next_anniversary(date: datetime.date, day: datetime.date) -> datetime.date | None:
    """The first on or after `day`."""
    this_year = anniversary(date, day.year)
    assert this_year is not None
    return this_year if this_year >= day else anniversary(date, day.year + 1)


def last_anniversary(date: datetime.date, day: datetime.date) -> datetime.date | None:
    """The last before `day`."""
    this_year = anniversary(date, day.year)
    assert this_year is not None
    return this_year if this_year < day else anniversary(date, day.year - 1)


@dataclass
class Occurrence:
    kind: str
    end: datetime.date
    """The last day; the end of time for a year-round window."""


def _as_date(value: datetime.date | str) -> datetime.date:
    return value if isinstance(value, datetime.date) else datetime.date.fromisoformat(value)


class ContactWindows:
    """The windows of one contact's state."""

    def __init__(self, contact: Row, state: str, rules: Row) -> None:
        self.contact = contact
        self.extension = rules["pre_window_extension_days"]
        self.windows: list[Row] = rules["states"].get(state) or []

    def year_round(self) -> bool:
        return any(window["kind"] == "year_round" for window in self.windows)

    def anchor(self, window: Row, year: int) -> datetime.date | None:
        date = self.contact["birth_date"] if window["kind"] == "birthday" else self.contact["effective_date"]
        if date is None:
            return None
        day = anniversary(date, year)
        return day.replace(day=1) if day is not None and window.get("month_start") else day

    def age_on(self, day: datetime.date) -> int:
        birth = self.contact["birth_date"]
        birthday = anniversary(birth, day.year)
        assert birthday is not None
        return day.year - int(birth.year) - (1 if day < birthday else 0)

    def applies(self, window: Row, anchor: datetime.date) -> bool:
        if window.get("valid_from") is not None and anchor < _as_date(window["valid_from"]):
            return False
        if window.get("valid_to") is not None and anchor > _as_date(window["valid_to"]):
            return False
        youngest, oldest = window.get("min_age"), window.get("max_age")
        if youngest is None and oldest is None:
            return True
        if self.contact["birth_date"] is None:
            return False
        age = self.age_on(anchor)
        return (youngest is None or age >= youngest) and (oldest is None or age <= oldest)

    def named(self, day: datetime.date) -> Occurrence | None:
        """The occurrence that is named for this send date, None when the day is free."""
        if self.year_round():
            return Occurrence("year_round", datetime.date.max)
        best: Occurrence | None = None
        for window in self.windows:
            for year in (day.year - 1, day.year, day.year + 1):
                anchor = self.anchor(window, year)
                if anchor is None or not self.applies(window, anchor):
                    continue
                start = values.plus(anchor, -window["before"] - self.extension)
                end = values.plus(anchor, window["after"])
                if start is None or end is None or not start <= day <= end:
                    continue
                if best is None or end > best.end:
                    best = Occurrence(window["kind"], end)
        return best

    def first_free(self, day: datetime.date | None, until: datetime.date | None) -> datetime.date | None:
        """The first day from `day` on that lies in no occurrence; when it is later than `until`, any day after `until`.

        None: time ends before.
        """
        while day is not None:
            occurrence = self.named(day) if until is None or day <= until else None
            if occurrence is None:
                return day
            day = values.plus(occurrence.end, 1)
        return None
