"""Visits and placements in memory keep the contract of those on DynamoDB."""

import pytest

from mailtide.warmup.reading.memory import MemoryPlacements, MemoryVisits
from tests.support.reads_contract import *  # noqa: F403 - the contract's tests and fixtures


@pytest.fixture(scope="module")
def visits() -> MemoryVisits:
    return MemoryVisits()


@pytest.fixture(scope="module")
def placements() -> MemoryPlacements:
    return MemoryPlacements()
