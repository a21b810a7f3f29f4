"""Many writers at once on a server that is atomic: exactly one wins, and it is the one whose body stands."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from mailtide.errors import NotFoundError, StaleWriteError, TransientError
from mailtide.ports import Bucket
from tests.integration.bucket.conftest import Place, s3_place
from tests.support.memory_bucket import md5

WRITERS = 32
ROUNDS = 5


@pytest.fixture(scope="module")
def racecourse(ministack_url: str) -> Place:
    """moto is left out: its server is not atomic."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
            patch.setenv(name, value)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_PROFILE", raising=False)
        return s3_place("ministack", ministack_url)


def race(attempt: Callable[[int], object]) -> list[int]:
    """Numbers of the writers that won."""
    gate = Barrier(WRITERS)

    def run(number: int) -> bool:
        gate.wait()
        try:
            attempt(number)
        except (StaleWriteError, NotFoundError):
            return False
        except TransientError as error:
            raise AssertionError(f"writer {number} learnt nothing") from error
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        results = list(pool.map(run, range(WRITERS)))
    return [number for number, won in enumerate(results) if won]


def body_of(bucket: Bucket, key: str) -> bytes:
    stored = bucket.get(key)
    assert stored is not None
    return stored.body


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_one_creates(racecourse: Place, turn: int) -> None:
    bucket, key = racecourse.bucket, f"create/{turn}"
    winners = race(lambda number: bucket.create(key, b"%d" % number))
    assert body_of(bucket, key) == b"%d" % winners[0]
    assert len(winners) == 1


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_one_replaces(racecourse: Place, turn: int) -> None:
    bucket, key = racecourse.bucket, f"replace/{turn}"
    first = bucket.create(key, b"first")
    winners = race(lambda number: bucket.replace(key, b"%d" % number, expected_etag=first))
    assert len(winners) == 1
    assert body_of(bucket, key) == b"%d" % winners[0]


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_one_publishes(racecourse: Place, turn: int) -> None:
    """Half of the writers publish a copy each over the same version, the other half are the customer."""
    bucket, key = racecourse.bucket, f"publish/{turn}/contacts.db"
    racecourse.others.put(key, b"source")
    copies = {}
    for number in range(WRITERS):
        delivered = f"publish/{turn}/{number}"
        racecourse.others.put(delivered, b"output %d" % number)
        copies[number] = bucket.stage_copy(
            delivered, key, source_etag=md5(b"output %d" % number), size_bytes=len(b"output %d" % number)
        )
    winners = race(lambda number: bucket.complete_copy(key, copies[number], expected_etag=md5(b"source")))
    assert len(winners) == 1
    assert body_of(bucket, key) == b"output %d" % winners[0]


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_the_customer_is_never_overwritten(racecourse: Place, turn: int) -> None:
    """One customer uploads while everybody publishes: whichever way it goes, the upload is what stands at the end."""
    bucket, key = racecourse.bucket, f"customer/{turn}/contacts.db"
    racecourse.others.put(key, b"source")
    racecourse.others.put(f"customer/{turn}/out", b"output")
    copies = [
        bucket.stage_copy(f"customer/{turn}/out", key, source_etag=md5(b"output"), size_bytes=6) for _ in range(WRITERS)
    ]

    def attempt(number: int) -> None:
        if number == WRITERS // 2:
            racecourse.others.put(key, b"the customer's new one")
        else:
            bucket.complete_copy(key, copies[number], expected_etag=md5(b"source"))

    race(attempt)
    assert body_of(bucket, key) == b"the customer's new one"
