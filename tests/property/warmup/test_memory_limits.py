"""The limits in memory: never above any of them, and tokens only for their window."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mailtide.warmup.contracts import DAY_MS
from mailtide.warmup.limits import EDGE_MS, HALF_MINUTE_MS, HOUR_MS, MINUTE_MS, GlobalLimits
from mailtide.warmup.memory import MemoryLimits
from mailtide.warmup.ports import UserDemand
from tests.support.warmup_pools import START

WAVES = st.lists(
    st.tuples(
        st.integers(0, 400_000),
        st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 30), min_size=1),
    ),
    max_size=40,
)


@given(
    waves=WAVES, hour=st.integers(1, 200), minute=st.integers(2, 40), user=st.integers(1, 60), day=st.integers(1, 80)
)
def test_no_limit_is_ever_exceeded(
    waves: list[tuple[int, dict[str, int]]], hour: int, minute: int, user: int, day: int
) -> None:
    now_ms = START + 22 * HOUR_MS
    limits = MemoryLimits(GlobalLimits(hour=hour, minute=minute), user_hourly_limit=user, now_ms=lambda: now_ms)
    used: Counter[tuple[str, int]] = Counter()
    of_users: Counter[tuple[str, str, int]] = Counter()
    for wait_ms, wishes in waves:
        now_ms += wait_ms
        grant = limits.take({name: UserDemand(count, day) for name, count in wishes.items()})
        window = grant.valid_from_ms - EDGE_MS
        assert window % HALF_MINUTE_MS == 0
        assert grant.valid_until_ms == window + HALF_MINUTE_MS - EDGE_MS
        assert now_ms < grant.valid_until_ms
        for name, wish in wishes.items():
            granted = grant.counts.get(name, 0)
            assert 0 <= granted <= wish
            assert (name in grant.retry_ms) == (granted < wish)
            assert grant.retry_ms.get(name, now_ms + 1) > now_ms
            of_users[name, "hour", window // HOUR_MS] += granted
            of_users[name, "day", window // DAY_MS] += granted
            for kind, length_ms in (("hour", HOUR_MS), ("minute", MINUTE_MS), ("half", HALF_MINUTE_MS)):
                used[kind, window // length_ms] += granted
    bounds = {"hour": hour, "minute": minute, "half": max(1, minute // 2)}
    assert all(count <= bounds[kind] for (kind, _), count in used.items())
    assert all(count <= {"hour": user, "day": day}[kind] for (_, kind, _), count in of_users.items())


def test_what_is_free_is_granted() -> None:
    limits = MemoryLimits(GlobalLimits(hour=100, minute=20), user_hourly_limit=50, now_ms=lambda: START)
    grant = limits.take({"a": UserDemand(6, 100), "b": UserDemand(6, 3)})
    assert grant.counts == {"a": 6, "b": 3}
    assert grant.retry_ms == {"b": START + DAY_MS + EDGE_MS}
    assert limits.take({"a": UserDemand(6, 100)}).counts == {"a": 1}
