"""The limits on DynamoDB: never above any of them, whatever the threads do."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.limits import DynamoLimits
from mailtide.adapters.dynamodb.table import Table
from mailtide.warmup.contracts import day_of
from mailtide.warmup.limits import HALF_MINUTE_MS, HOUR_MS, MINUTE_MS, GlobalLimits
from mailtide.warmup.ports import Grant, UserDemand
from tests.integration.tables.conftest import Engine
from tests.support import dynamodb
from tests.support.limits_contract import *  # noqa: F403 - the contract's tests and fixtures
from tests.support.limits_contract import Time, wave


@pytest.fixture(scope="session")
def limits_table(engine: Engine) -> str:
    return dynamodb.create_limits_table(engine.client)


@pytest.fixture
def table(engine: Engine, limits_table: str) -> Table:
    return engine.table(limits_table)


@pytest.fixture
def build(table: Table) -> Iterator[Callable[..., DynamoLimits]]:
    users = ThreadPoolExecutor(8)

    def make(time: Time, *, hour: int = 1_000, minute: int = 100, user_hourly: int = 1_000) -> DynamoLimits:
        limits = GlobalLimits(hour=hour, minute=minute)
        return DynamoLimits(table, limits, user_hourly_limit=user_hourly, executor=users, now_ms=time)

    yield make
    users.shutdown()


def test_what_users_may_not_use_goes_back(build: Callable[..., DynamoLimits], hour_ms: int, user: str) -> None:
    limits = build(Time(hour_ms + 10_000), minute=20, user_hourly=3)
    other = f"{user}-b"
    assert wave(limits, user, 10).counts == {user: 3}
    demand = {user: UserDemand(5, 100), other: UserDemand(3, 100), f"{user}-c": UserDemand(3, 100)}
    assert limits.take(demand).counts == {other: 2}
    assert limits.take({f"{user}-c": UserDemand(9, 100)}).counts == {f"{user}-c": 3}


def test_tokens_of_a_block_are_kept_for_the_hour_and_counted_back(
    build: Callable[..., DynamoLimits], table: Table, hour_ms: int, user: str
) -> None:
    time = Time(hour_ms + 10_000)
    limits = build(time)
    before = table.write_units
    for _ in range(40):
        assert wave(limits, user).counts == {user: 1}
        time.now_ms += MINUTE_MS
    assert table.write_units - before < 40 + 16
    time.now_ms = hour_ms + HOUR_MS + 10_000
    wave(limits, user)
    used = table.get({"p": f"user#{user}#{day_of(hour_ms).isoformat()}"})
    assert used is not None
    assert used["d"] == 41
    assert int(used["h0"]) >= 40


def test_processes_whose_clocks_are_wrong_share_the_windows_of_the_table_server(
    engine: Engine, limits_table: str, threads: ThreadPoolExecutor
) -> None:
    """Two and a half minutes behind to two and a half ahead: no wall clock opens a window of its own."""
    minute = 12
    processes = []
    for wrong_by_ms in (-150_000, -40_000, 40_000, 150_000):
        clock = ServerClock(wall_ms=lambda wrong_by_ms=wrong_by_ms: time.time() * 1000 + wrong_by_ms)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        table = Table(limits_table, engine.client, clock)
        # As a sender does, which claims before it takes tokens.
        table.get({"p": "none"})
        limits = GlobalLimits(hour=1_000, minute=minute)
        processes.append(DynamoLimits(table, limits, user_hourly_limit=1_000, executor=threads))
    by_window: Counter[int] = Counter()
    now_ms = time.time() * 1000
    for number in range(16):
        grant = wave(processes[number % 4], f"u{number}-{uuid4().hex[:6]}", 2)
        by_window[grant.valid_from_ms // HALF_MINUTE_MS] += sum(grant.counts.values())
        assert abs(grant.valid_from_ms - now_ms) < 40_000
    assert max(by_window.values()) == minute // 2
    assert len(by_window) <= 2


def test_32_threads_never_get_more_than_any_limit(
    build: Callable[..., DynamoLimits], hour_ms: int, threads: ThreadPoolExecutor
) -> None:
    """Four processes, eight threads each, through six windows; every grant is held against every limit."""
    hour, minute, user_hourly, user_day = 130, 40, 45, 50
    time = Time(hour_ms + 10_000)
    processes = [build(time, hour=hour, minute=minute, user_hourly=user_hourly) for _ in range(4)]
    users = [f"u{number}-{uuid4().hex[:6]}" for number in range(3)]

    def act(worker: int) -> list[Grant]:
        chance = random.Random(worker)
        return [
            processes[worker % 4].take(
                {
                    user: UserDemand(chance.randint(1, 4), user_day)
                    for user in chance.sample(users, chance.randint(1, 3))
                }
            )
            for _ in range(3)
        ]

    by_window: Counter[int] = Counter()
    by_user: Counter[str] = Counter()
    for step in range(6):
        time.now_ms = hour_ms + 10_000 + step * HALF_MINUTE_MS
        for grant in itertools.chain.from_iterable(threads.map(act, range(32))):
            by_window[grant.valid_from_ms // HALF_MINUTE_MS] += sum(grant.counts.values())
            by_user.update(grant.counts)
    by_minute: Counter[int] = Counter()
    for window, count in by_window.items():
        by_minute[window // 2] += count
    assert max(by_window.values()) <= minute // 2
    assert max(by_minute.values()) <= minute
    assert sum(by_window.values()) <= hour
    assert max(by_user.values()) <= user_hourly
    # All of it can be used: the threads asked for far more.
    assert max(by_window.values()) == minute // 2
    assert sum(by_window.values()) >= 6 * minute // 2 - 5
