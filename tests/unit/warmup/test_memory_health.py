"""The store of the fold's tests against the contract that the table keeps."""

import pytest

from tests.support.health_contract import *  # noqa: F403 - the contract's tests
from tests.support.health_contract import Build
from tests.support.memory_health import MemoryHealth


@pytest.fixture
def build() -> Build:
    return MemoryHealth
