"""The limits in memory do what all limits do."""

from collections.abc import Callable

import pytest

from mailtide.warmup.limits import GlobalLimits
from mailtide.warmup.memory import MemoryLimits
from tests.support.limits_contract import *  # noqa: F403 - the contract's tests and fixtures
from tests.support.limits_contract import Time


@pytest.fixture
def build() -> Callable[..., MemoryLimits]:
    def make(time: Time, *, hour: int = 1_000, minute: int = 100, user_hourly: int = 1_000) -> MemoryLimits:
        return MemoryLimits(GlobalLimits(hour=hour, minute=minute), user_hourly_limit=user_hourly, now_ms=time)

    return make
