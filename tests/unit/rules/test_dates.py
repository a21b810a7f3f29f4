"""Civil days against the standard library."""

import datetime

import numpy as np
import pytest

from mailtide.rules import dates
from mailtide.rules.columns import NO_DATE
from tests.reference import windows as reference

EPOCH = datetime.date(1970, 1, 1)


def test_year_and_code_of_every_day_there_is() -> None:
    days = np.arange(dates.FIRST_DAY, dates.LAST_DAY + 1, dtype=np.int32)
    assert days[0] == (datetime.date.min - EPOCH).days
    assert days[-1] == (datetime.date.max - EPOCH).days
    calendar = days.astype("datetime64[D]")
    years = dates.year_of(days)
    np.testing.assert_array_equal(years, calendar.astype("datetime64[Y]").astype(int) + 1970)
    np.testing.assert_array_equal(dates.anniversary(dates.code_of(days), years), days)


@pytest.mark.parametrize("day", ["2024-02-28", "2024-02-29", "2024-03-01", "2025-02-28", "2025-12-31", "2100-03-01"])
def test_anniversaries_of_every_month_and_day(day: str) -> None:
    as_of = datetime.date.fromisoformat(day)
    number = (as_of - EPOCH).days
    following, last = dates.next_anniversaries(number), dates.last_anniversaries(number)
    for offset in range(366):
        date = datetime.date(2000, 1, 1) + datetime.timedelta(days=offset)
        code = int(dates.code_of(np.array([(date - EPOCH).days], np.int32))[0])
        assert EPOCH + datetime.timedelta(days=int(following[code])) == reference.next_anniversary(date, as_of)
        assert EPOCH + datetime.timedelta(days=int(last[code])) == reference.last_anniversary(date, as_of)


def test_the_29th_of_february_falls_on_the_28th_in_common_years() -> None:
    code = dates.code_of(np.array([(datetime.date(1960, 2, 29) - EPOCH).days], np.int32))
    found = dates.anniversary(code, np.array([2023, 2024, 2100]))
    assert [str(np.datetime64(int(day), "D")) for day in found] == ["2023-02-28", "2024-02-29", "2100-02-28"]


def test_nothing_lies_outside_years_1_to_9999() -> None:
    codes = np.zeros(3, np.int16)
    assert dates.anniversary(codes, np.array([0, 10_000, 1])).tolist() == [NO_DATE, NO_DATE, dates.FIRST_DAY]
    days = np.array([dates.FIRST_DAY, dates.LAST_DAY, NO_DATE, 0], np.int32)
    assert dates.plus_days(days, -1).tolist() == [NO_DATE, dates.LAST_DAY - 1, NO_DATE, -1]
    assert dates.plus_days(days, 4_000_000).tolist() == [NO_DATE] * 4
    assert dates.next_anniversaries(dates.LAST_DAY)[0] == NO_DATE
    assert dates.last_anniversaries(dates.FIRST_DAY)[0] == NO_DATE


def test_month_starts() -> None:
    days = np.array([(datetime.date(2023, month, 17) - EPOCH).days for month in range(1, 13)], np.int32)
    starts = dates.anniversary(dates.month_start_code(dates.code_of(days)), dates.year_of(days))
    assert [str(np.datetime64(int(day), "D")) for day in starts] == [f"2023-{month:02d}-01" for month in range(1, 13)]
    assert dates.month_start_code(np.array([-1], np.int16)).tolist() == [-1]


def test_packed_keys_sort_by_contact_then_day_and_unpack() -> None:
    contact = np.array([0, 0, 1, 2**31 - 1], np.int32)
    day = np.array([dates.FIRST_DAY, dates.LAST_DAY, dates.FIRST_DAY, dates.LAST_DAY], np.int32)
    keys = dates.pack(contact, day)
    assert (np.diff(keys) > 400_000).all()
    back = dates.unpack(keys)
    assert (back[0].tolist(), back[1].tolist()) == (contact.tolist(), day.tolist())
