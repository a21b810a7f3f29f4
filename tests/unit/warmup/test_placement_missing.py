"""Mails of many that are missing at once, as when a provider loses or delays them: nobody is slowed for it."""

import pytest

from mailtide.warmup.reading.shown import of_pool
from tests.support.fold_pool import AWFUL, GOOD, ONE, CrashError, Pool, pool
from tests.support.warmup_pools import DAY

LOST = {"google": (20, 0, 0), "microsoft": (0, 0, 13)}
"""Surely below 80 % with what is missing at one provider, surely not without."""
ALL_LOST = {"google": (0, 0, 33)}
JUNK = {"google": (20, 0, 0), "microsoft": (0, 13, 0)}


def a_bad_night(lost: int = 30, size: int = 30) -> Pool:
    made = pool(size)
    for number in range(size):
        made.find(DAY, number, LOST if number < lost else GOOD)
    return made


def counts(made: Pool, nights: int = 1) -> tuple[int, int, int]:
    """Slowed, quarantined and spared, as the mailboxes stand after so many nights."""
    sheet = made.sheet(DAY + (nights - 1) * ONE)
    assert sheet is not None
    return sheet.slowed_now, sheet.quarantined_now, sheet.spared


@pytest.mark.parametrize(("lost", "expected"), [(7, (7, 0, 0)), (8, (0, 0, 8)), (30, (0, 0, 30))])
def test_more_than_a_quarter_are_not_slowed_for_missing_mails(lost: int, expected: tuple[int, int, int]) -> None:
    made = a_bad_night(lost)
    made.fold()
    assert counts(made) == expected


def test_of_a_small_pool_five_are_slowed_whatever_the_others_do() -> None:
    made = a_bad_night(lost=5, size=6)
    made.fold()
    assert counts(made) == (5, 0, 0)


def test_nor_are_they_quarantined_or_slowed_for_that() -> None:
    made = pool(12)
    for number in range(12):
        made.find(DAY, number, ALL_LOST)
    made.fold()
    assert counts(made) == (0, 0, 12)
    sheet = made.sheet()
    assert sheet is not None
    assert sheet.withheld == 0


def test_junk_slows_however_many_share_it() -> None:
    made = pool(30)
    for number in range(30):
        made.find(DAY, number, JUNK)
    made.fold()
    assert counts(made) == (30, 0, 0)


def test_what_else_speaks_against_a_mailbox_counts_in_such_a_night() -> None:
    made = pool(30)
    for number in range(26):
        made.find(DAY, number, LOST)
    made.find(DAY, 0, {}, complaint=1)
    made.find(DAY, 1, {}, complaint=2)
    made.find(DAY, 29, AWFUL)
    made.fold()
    assert counts(made) == (1, 2, 24)
    assert {name for name, box in made.health.boxes.items() if box.status == "quarantined"} == {"box-1", "box-29"}


def test_the_night_is_told_of() -> None:
    made = a_bad_night()
    assert made.fold() == ["placements_folded"]
    sheet = made.sheet()
    assert sheet is not None
    found = of_pool([sheet], limit=9)
    assert (found.spared, found.withheld) == (30, 0)
    assert found.warnings[0].startswith("30 mailboxes are not slowed although their mails are missing")


def test_mails_lost_then_slow_none_of_them_when_most_have_recovered() -> None:
    made = a_bad_night()
    made.fold()
    made.plan(DAY + ONE)
    for number in range(25):
        made.find(DAY + ONE, number, {"google": (300, 0, 0)})
    made.find(DAY + ONE, 29, ALL_LOST)
    made.fold(DAY + ONE)
    assert counts(made, nights=2) == (1, 0, 4)
    slowed = made.record(29)
    assert slowed is not None
    assert slowed.reason == "38 % of 53 mails in the inbox", "of the day that is forgiven only what was seen"


def test_who_was_slowed_before_it_was_known_to_be_many_goes_on() -> None:
    made = a_bad_night(lost=7)
    made.fold()
    made.plan(DAY + ONE)
    for number in range(30):
        made.find(DAY + ONE, number, {"google": (60, 0, 0), "microsoft": (0, 0, 40)})
    made.fold(DAY + ONE)
    assert counts(made) == (7, 0, 0)
    assert counts(made, nights=2)[0] == 0


@pytest.mark.parametrize("left", range(0, 30, 7))
def test_a_crash_at_any_write_changes_nothing(left: int) -> None:
    made = a_bad_night()
    made.health.left = left
    with pytest.raises(CrashError):
        made.fold()
    made.health.left = None
    made.fold()
    assert counts(made) == (0, 0, 30)
