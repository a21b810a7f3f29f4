"""A bucket that fails on demand, and retries without their pauses."""

from collections.abc import Iterator

import httpx
import pytest
import stamina

from mailtide.machine import transfer
from tests.integration.machine.fault_bucket import FaultBucket, running_bucket


@pytest.fixture
def bucket() -> Iterator[FaultBucket]:
    with running_bucket() as started:
        yield started


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Retries keep their number and lose their pauses."""
    with stamina.set_testing(True, attempts=transfer.ATTEMPTS, cap=True):
        yield


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with transfer.make_client() as made:
        yield made
