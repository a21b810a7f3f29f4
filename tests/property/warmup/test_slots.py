"""Slots: gaps, ticks and phases, by the formula of the spec."""

import itertools
from collections import Counter
from datetime import date
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from mailtide.warmup.contracts import DAY_MS, SendWindow
from mailtide.warmup.ids import hash64
from mailtide.warmup.open_time import OpenTime, open_periods
from mailtide.warmup.slots import most_mails, slot, slots, span_ms, tick_of

DAYS = st.dates(date(2026, 1, 1), date(2030, 12, 31))
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
ZONES = st.sampled_from(
    ["UTC", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
)
WINDOWS = st.builds(
    SendWindow,
    opens_min=st.integers(0, 1_439),
    closes_min=st.integers(1, 1_440),
    weekdays=st.lists(st.integers(0, 6), min_size=1).map(tuple),
    timezone=ZONES,
)
COOLDOWNS = st.integers(0, 3_600_000)


def by_the_formula(day: date, mailbox: str, number: int, target: int, open_ms: int, cooldown: int) -> int:
    """((r + φ + j·h) mod T)·w in exact fractions, rounded down; S rounded down to whole milliseconds first."""
    span = Fraction(open_ms * 92 // 100)
    gap = span / target
    phase = Fraction(hash64("phase", day, mailbox) >> 11, 2**53)
    jitter = Fraction(hash64("jitter", f"{day}/{mailbox}/{number}") >> 11, 2**53)
    reach = min(Fraction(span * 4 // 5, span), 1 - cooldown / gap)
    return int((number + phase + reach * jitter) % target * gap)


@given(day=DAYS, mailbox=IDS, target=st.integers(1, 60), window=WINDOWS, cooldown=COOLDOWNS)
def test_the_formula(day: date, mailbox: str, target: int, window: SendWindow, cooldown: int) -> None:
    line = OpenTime.of(open_periods(window, day))
    target = min(target, most_mails(line.total_ms, cooldown))
    assume(target > 0)
    due = slots(day, mailbox, target, line, cooldown)
    assert [line.passed(moment) for moment in due] == [
        by_the_formula(day, mailbox, number, target, line.total_ms, cooldown) for number in range(target)
    ]
    assert list(due) == [slot(day, mailbox, number, target, line, cooldown) for number in range(target)]


@given(day=DAYS, mailbox=IDS, target=st.integers(1, 400), window=WINDOWS, cooldown=COOLDOWNS)
def test_gaps_are_never_below_the_cooldown(
    day: date, mailbox: str, target: int, window: SendWindow, cooldown: int
) -> None:
    line = OpenTime.of(open_periods(window, day))
    target = min(target, most_mails(line.total_ms, cooldown))
    due = sorted(slots(day, mailbox, target, line, cooldown))
    assert all(later - earlier >= cooldown for earlier, later in itertools.pairwise(due))
    assert all(line.passed(moment) < max(1, span_ms(line.total_ms)) for moment in due)
    assert all(line.next_open(moment) == moment for moment in due)


@given(day=DAYS, mailbox=IDS, cooldown=st.integers(1, 3_600_000), window=WINDOWS)
def test_the_most_that_the_cooldown_lets_through_still_keeps_it(
    day: date, mailbox: str, cooldown: int, window: SendWindow
) -> None:
    line = OpenTime.of(open_periods(window, day))
    target = min(most_mails(line.total_ms, cooldown), 999)
    due = sorted(slots(day, mailbox, target, line, cooldown))
    assert all(later - earlier >= cooldown for earlier, later in itertools.pairwise(due))
    assert target == 999 or (target + 1) * cooldown > span_ms(line.total_ms)


@given(target=st.integers(1, 60), mailbox=IDS, tick_minutes=st.integers(1, 15))
def test_each_slot_is_in_exactly_one_tick(target: int, mailbox: str, tick_minutes: int) -> None:
    day = date(2026, 11, 21)
    due = slots(day, mailbox, target, OpenTime.of(((0, 86_400),)), 300_000)
    tick_ms = tick_minutes * 60_000
    ticks = {tick_of(moment, 0, tick_ms) for moment in range(0, DAY_MS, tick_ms)}
    assert max(end for _, end in ticks) == DAY_MS
    for moment in due:
        assert sum(start <= moment < end for start, end in ticks) == 1
        assert tick_of(moment, 0, tick_ms) in ticks


def test_mailboxes_are_out_of_phase() -> None:
    """3,000 mailboxes of 30 mails: no minute gets much more than its part."""
    day, line = date(2026, 11, 21), OpenTime.of(((0, 86_400),))
    minutes: Counter[int] = Counter()
    for number in range(3_000):
        minutes.update(moment // 60_000 for moment in slots(day, f"box-{number}", 30, line, 300_000))
    mean = 3_000 * 30 / (1_440 * 0.92)
    assert max(minutes) <= 1_440 * 0.92
    assert max(minutes.values()) < mean + 6 * mean**0.5
    assert min(minutes[minute] for minute in range(1_324)) > mean - 6 * mean**0.5


@given(window=WINDOWS, day=DAYS)
def test_open_time_is_as_long_as_the_window_on_its_days(window: SendWindow, day: date) -> None:
    line = OpenTime.of(open_periods(window, day))
    assert 0 <= line.total_ms <= DAY_MS
    for open_ms in {0, line.total_ms // 2, line.total_ms - 1} if line.total_ms else set():
        assert line.passed(line.at(open_ms)) == open_ms
    week = [open_periods(window, date.fromordinal(day.toordinal() + ahead)) for ahead in range(7)]
    if window.timezone == "UTC":
        length = (window.closes_min - window.opens_min - 1) % 1_440 + 1
        whole = sum(end - start for periods in week for start, end in periods)
        assert whole == length * 60 * len(window.weekdays)
