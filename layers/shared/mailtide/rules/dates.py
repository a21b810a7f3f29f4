"""Civil days to years and anniversaries and back, over arrays, by look-up tables (spec §1).

A date is the number of days since 1970-01-01; years 1..9999 exist, and arithmetic that leaves them gives NO_DATE. The day
of the year is a `code`: its index 0..365 in a leap year, so that a month and day have one code in every year.
"""

from datetime import date, timedelta
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from mailtide.rules.columns import NO_DATE, Bool, Int16, Int32, Int64

FIRST_YEAR, LAST_YEAR = 1, 9999
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
NO_CODE_OF_DAY = -1
_LEAP_DAY = 59
_MONTH_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAY_BITS = 22

_YEARS = np.arange(LAST_YEAR + 2)
_IS_COMMON: Bool = ~((_YEARS % 4 == 0) & ((_YEARS % 100 != 0) | (_YEARS % 400 == 0)))
_YEAR_START: Int32 = np.concatenate(
    ([0], FIRST_DAY + np.concatenate(([0], np.cumsum(np.where(_IS_COMMON, 365, 366)[1:-1])))),
    dtype=np.int32,
    casting="unsafe",
)
_MONTH_START_CODE: Int16 = np.repeat(np.cumsum((0, *_MONTH_LENGTHS))[:-1], _MONTH_LENGTHS).astype(np.int16)


@cache
def _year_table() -> Int16:
    return np.repeat(_YEARS[1:-1].astype(np.int16), np.diff(_YEAR_START[1:]))


def year_of(days: Int32) -> Int16:
    """The year of each day; days: any shape, within years 1..9999."""
    return _year_table()[days - FIRST_DAY]


def year_of_day(day: int) -> int:
    """The year of one day within years 1..9999."""
    return int(_year_table()[day - FIRST_DAY])


def days_since_epoch(day: date) -> int:
    """Days from 1970-01-01 to a day."""
    return (day - date(1970, 1, 1)).days


def iso_day(day: int) -> str:
    """A day of the years 1 to 9999 in ISO 8601. day: days since 1970-01-01."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def year_start(years: NDArray[np.integer]) -> Int32:
    """1 January of each year 1..10000."""
    days: Int32 = _YEAR_START[years]
    return days


def code_of(days: Int32) -> Int16:
    """The code of each day, -1 for NO_DATE."""
    return code_and_year(days)[0]


def code_and_year(days: Int32) -> tuple[Int16, Int16]:
    """The code of each day, -1 for NO_DATE; and its year, 1970 for NO_DATE."""
    unknown = days == NO_DATE
    known = np.where(unknown, np.int32(0), days)
    years = year_of(known)
    of_year = (known - _YEAR_START.take(years)).astype(np.int16)
    of_year += _IS_COMMON.take(years) & (of_year >= _LEAP_DAY)
    of_year[unknown] = NO_CODE_OF_DAY
    return of_year, years


def month_start_code(codes: Int16) -> Int16:
    """The code of the first of each code's month; -1 stays."""
    return np.where(codes < 0, codes, _MONTH_START_CODE[codes])


def anniversary(codes: Int16, years: NDArray[np.integer]) -> Int32:
    """The day with that code in that year, 29 February on the 28th in common years; NO_DATE outside years 1..9999.

    codes: 0..365; years: any integers, broadcast against codes.
    """
    inside = (years >= FIRST_YEAR) & (years <= LAST_YEAR)
    safe = np.where(inside, years, FIRST_YEAR)
    days: Int32 = _YEAR_START[safe] + codes - (_IS_COMMON[safe] & (codes >= _LEAP_DAY))
    return np.where(inside, days, np.int32(NO_DATE))


@lru_cache(maxsize=8)
def anniversary_table(first: int, last: int) -> Int32:
    """`anniversary` of each code in the years first .. last, and of -1, which is the last column: never. Shape (years, 367).

    Not to be changed.
    """
    table = np.full((last - first + 1, 367), NO_DATE, np.int32)
    table[:, :-1] = anniversary(np.arange(366, dtype=np.int16), np.arange(first, last + 1)[:, None])
    return table


def next_anniversaries(as_of: int) -> Int32:
    """The first anniversary on or after `as_of` for each code; shape (366,)."""
    codes = np.arange(366, dtype=np.int16)
    year = year_of_day(as_of)
    this, following = anniversary(codes, np.array(year)), anniversary(codes, np.array(year + 1))
    return np.where(this >= as_of, this, following)


def last_anniversaries(as_of: int) -> Int32:
    """The last anniversary before `as_of` for each code; shape (366,)."""
    codes = np.arange(366, dtype=np.int16)
    year = year_of_day(as_of)
    this, previous = anniversary(codes, np.array(year)), anniversary(codes, np.array(year - 1))
    return np.where(this < as_of, this, previous)


def plus_days(days: Int32, count: int | Int32) -> Int32:
    """days + count, NO_DATE where that leaves years 1..9999 or `days` is NO_DATE; |count| at most 4,000,000."""
    moved = np.where(days == NO_DATE, np.int32(FIRST_DAY), days) + count
    inside = (moved >= FIRST_DAY) & (moved <= LAST_DAY) & (days != NO_DATE)
    return np.where(inside, moved, NO_DATE).astype(np.int32)


def pack(contact: Int32, day: Int32) -> Int64:
    """One sortable integer for (contact, day): contact first. Days 541,000 apart or less never reach a neighbour's."""
    return (contact.astype(np.int64) << _DAY_BITS) + (day - FIRST_DAY)


def pack_start(contact: int) -> int:
    """The least packed key of a contact."""
    return contact << _DAY_BITS


def unpack(keys: Int64) -> tuple[Int32, Int32]:
    """The contacts and days of packed keys."""
    day = (keys & ((1 << _DAY_BITS) - 1)) + FIRST_DAY
    return (keys >> _DAY_BITS).astype(np.int32), day.astype(np.int32)
