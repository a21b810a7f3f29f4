"""What all limits do: DynamoDB's and those in memory. Import the tests into a module that has a fixture `build`:

build(time, *, hour, minute, user_hourly) -> Limits
"""

import itertools
from collections.abc import Callable
from datetime import date
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.warmup.contracts import DAY_MS, day_start_ms
from mailtide.warmup.limits import EDGE_MS, HALF_MINUTE_MS, HOUR_MS, MINUTE_MS, window_at
from mailtide.warmup.ports import Grant, Limits, UserDemand

DAY = date(2026, 11, 21)
_hours = itertools.count(1)


@pytest.fixture
def hour_ms() -> int:
    """An hour that no other test counts in; whole days apart."""
    return day_start_ms(DAY) + next(_hours) * DAY_MS


@pytest.fixture
def user() -> str:
    return f"user-{uuid4().hex[:8]}"


class Time:
    """Milliseconds that a test sets."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def wave(limits: Limits, user: str, count: int = 1, day_limit: int = 10_000) -> Grant:
    return limits.take({user: UserDemand(count, day_limit)})


def test_tokens_say_when_they_are_good(build: Callable[..., Limits], hour_ms: int, user: str) -> None:
    limits = build(Time(hour_ms + 12_000))
    grant = wave(limits, user, 3)
    assert grant == Grant({user: 3}, hour_ms + EDGE_MS, hour_ms + HALF_MINUTE_MS - EDGE_MS, {})


def test_near_the_edge_the_next_window_is_used(build: Callable[..., Limits], hour_ms: int, user: str) -> None:
    grant = wave(build(Time(hour_ms + HOUR_MS - 5_500)), user)
    assert grant.valid_from_ms == hour_ms + HOUR_MS + EDGE_MS


@pytest.mark.parametrize(
    ("hour", "minute", "expected", "retry"),
    [
        (1_000, 20, 10, HALF_MINUTE_MS),
        (7, 20, 7, HOUR_MS),
        (1_000, 2, 1, HALF_MINUTE_MS),
    ],
)
def test_a_wave_gets_what_is_left(
    build: Callable[..., Limits], hour_ms: int, user: str, hour: int, minute: int, expected: int, retry: int
) -> None:
    limits = build(Time(hour_ms + 10_000), hour=hour, minute=minute)
    first = wave(limits, user, expected - 1) if expected > 1 else None
    second = wave(limits, user, 50)
    assert second.counts == {user: 1}
    third = wave(limits, user, 1)
    assert (third.counts, third.retry_ms) == ({}, {user: hour_ms + retry + EDGE_MS})
    assert first is None or first.counts == {user: expected - 1}


def test_a_minute_holds_both_its_halves(build: Callable[..., Limits], hour_ms: int, user: str) -> None:
    time = Time(hour_ms + 10_000)
    limits = build(time, minute=11)
    granted = []
    for offset in (10_000, 40_000, MINUTE_MS + 10_000):
        time.now_ms = hour_ms + offset
        granted.append(sum(wave(limits, user).counts.get(user, 0) for _ in range(20)))
    assert granted == [5, 5, 5]


def test_a_user_is_held_to_hour_and_day(build: Callable[..., Limits], hour_ms: int, user: str) -> None:
    time = Time(hour_ms + 10_000)
    limits = build(time, user_hourly=5, hour=100)
    assert wave(limits, user, 9, 8).counts == {user: 5}
    refused = wave(limits, user, 1, 8)
    assert (refused.counts, refused.retry_ms) == ({}, {user: hour_ms + HOUR_MS + EDGE_MS})
    time.now_ms += HOUR_MS
    assert wave(limits, user, 9, 8).counts == {user: 3}
    refused = wave(limits, user, 1, 8)
    assert refused.retry_ms == {user: hour_ms + DAY_MS + EDGE_MS}


@given(st.integers(0, 10**13))
def test_every_moment_has_a_window_that_it_can_still_use(now_ms: int) -> None:
    window = window_at(now_ms)
    assert window.valid_until_ms - max(now_ms, window.valid_from_ms) >= 1_000
    assert 0 <= window.valid_from_ms - now_ms <= 11_000 or window.valid_from_ms <= now_ms
    assert window.valid_from_ms // MINUTE_MS == (window.valid_until_ms - 1) // MINUTE_MS
