"""One MiniStack for all of the folder; every test makes tables, queues and buckets of its own on it."""

from collections.abc import Iterator

import pytest

from tests.support import dynamodb


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not dynamodb.is_installed("ministack"):
        pytest.fail("MiniStack is not set up; run: make setup")
    with dynamodb.serving("ministack", tmp_path_factory.mktemp("ministack")) as url:
        yield url
