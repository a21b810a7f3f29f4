"""The ledger in memory does what every ledger does."""

import pytest

from mailtide.warmup.memory import MemoryLedger
from tests.support.ledger_contract import *  # noqa: F403 - the contract's tests and fixtures


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()
