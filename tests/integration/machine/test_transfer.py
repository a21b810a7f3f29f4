"""Objects by presigned URL, over a connection and from a bucket that fail in every way."""

import gzip
import hashlib
import random
import socket
from pathlib import Path

import httpx
import pytest

from mailtide.errors import SourceChangedError, StaleWriteError, TransientError
from mailtide.machine import transfer
from mailtide.machine.transfer import CorruptTransferError, RefusedError
from tests.integration.machine.fault_bucket import FaultBucket, Kind, md5
from tests.support.plain_http import NO_AUTHORITIES

BODY = random.Random(2).randbytes(300_000)
NAME = "contacts.db"


def fetch(
    client: httpx.Client,
    bucket: FaultBucket,
    folder: Path,
    *,
    etag: str | None = None,
    size_bytes: int = len(BODY),
    part_bytes: int | None = None,
) -> bytes:
    path = folder / "fetched.db"
    etag = etag or md5(BODY)
    if NAME not in bucket.objects:
        bucket.put(NAME, BODY, etag)
    transfer.download(client, bucket.url(NAME), path, etag=etag, size_bytes=size_bytes, part_bytes=part_bytes)
    return path.read_bytes()


def multipart_etag(body: bytes, *part_sizes: int) -> str:
    """As S3 makes it: the MD5 of the parts' MD5 digests, then their number."""
    digests, start = b"", 0
    for size in part_sizes:
        digests += hashlib.md5(body[start : start + size], usedforsecurity=False).digest()
        start += size
    assert start >= len(body)
    return f"{md5(digests)}-{len(part_sizes)}"


def test_a_whole_object_arrives_in_one_request(client: httpx.Client, bucket: FaultBucket, tmp_path: Path) -> None:
    assert fetch(client, bucket, tmp_path) == BODY
    assert [seen.range for seen in bucket.of("GET", NAME)] == ["bytes=0-"]


def test_a_broken_connection_goes_on_where_it_stopped(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path
) -> None:
    bucket.fail("GET", NAME, "drop", at=100_000)
    bucket.fail("GET", NAME, "drop", at=70_001)
    assert fetch(client, bucket, tmp_path) == BODY
    assert [seen.range for seen in bucket.of("GET", NAME)] == ["bytes=0-", "bytes=100000-", "bytes=170001-"]
    assert sum(seen.sent_bytes for seen in bucket.of("GET", NAME)) == len(BODY)


def test_a_line_that_breaks_more_often_than_there_are_retries_still_ends(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path
) -> None:
    drops = 3 * transfer.ATTEMPTS
    bucket.fail("GET", NAME, "drop", at=10_000, times=drops)
    assert fetch(client, bucket, tmp_path) == BODY
    assert len(bucket.of("GET", NAME)) == drops + 1


def test_a_line_that_never_gains_a_byte_gives_up(client: httpx.Client, bucket: FaultBucket, tmp_path: Path) -> None:
    bucket.fail("GET", NAME, "drop", at=0, times=100)
    with pytest.raises(TransientError):
        fetch(client, bucket, tmp_path)
    assert len(bucket.of("GET", NAME)) == transfer.ATTEMPTS


def test_a_silent_server_is_left_and_asked_for_the_rest(bucket: FaultBucket, tmp_path: Path) -> None:
    bucket.fail("GET", NAME, "stall", at=100_000)
    with httpx.Client(timeout=2.0, verify=NO_AUTHORITIES) as impatient:
        assert fetch(impatient, bucket, tmp_path) == BODY
    assert [seen.range for seen in bucket.of("GET", NAME)] == ["bytes=0-", "bytes=100000-"]


def test_a_slow_server_is_waited_for(bucket: FaultBucket, tmp_path: Path) -> None:
    bucket.fail("GET", NAME, "slow")
    with httpx.Client(timeout=5.0, verify=NO_AUTHORITIES) as client:
        assert fetch(client, bucket, tmp_path) == BODY
    assert len(bucket.of("GET", NAME)) == 1


def test_an_ignored_range_starts_the_file_anew(client: httpx.Client, bucket: FaultBucket, tmp_path: Path) -> None:
    bucket.fail("GET", NAME, "drop", at=100_000)
    bucket.fail("GET", NAME, "ignore_range")
    assert fetch(client, bucket, tmp_path) == BODY
    assert [seen.status for seen in bucket.of("GET", NAME)] == [206, 200]


def test_another_range_than_the_one_asked_for_is_not_written(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path
) -> None:
    bucket.fail("GET", NAME, "drop", at=100_000)
    bucket.fail("GET", NAME, "wrong_range", times=2)
    assert fetch(client, bucket, tmp_path) == BODY
    assert [seen.range for seen in bucket.of("GET", NAME)] == ["bytes=0-", *["bytes=100000-"] * 3]


def test_a_stored_content_encoding_is_left_alone(client: httpx.Client, bucket: FaultBucket, tmp_path: Path) -> None:
    packed = gzip.compress(BODY)
    etag = bucket.put(NAME, packed, Content_Encoding="gzip")
    assert fetch(client, bucket, tmp_path, etag=etag, size_bytes=len(packed)) == packed


def test_wrong_bytes_are_fetched_once_more(client: httpx.Client, bucket: FaultBucket, tmp_path: Path) -> None:
    bucket.fail("GET", NAME, "wrong_bytes")
    assert fetch(client, bucket, tmp_path) == BODY
    assert [seen.range for seen in bucket.of("GET", NAME)] == ["bytes=0-", "bytes=0-"]


@pytest.mark.parametrize(
    ("etag", "part_bytes"),
    [(md5(BODY), None), (multipart_etag(BODY, 100_000, 100_000, 100_000), 100_000)],
    ids=["plain", "multipart"],
)
def test_bytes_that_stay_wrong_are_found(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path, etag: str, part_bytes: int | None
) -> None:
    assert fetch(client, bucket, tmp_path, etag=etag, part_bytes=part_bytes) == BODY
    bucket.fail("GET", NAME, "wrong_bytes", times=2)
    with pytest.raises(CorruptTransferError, match="checksum"):
        fetch(client, bucket, tmp_path, etag=etag, part_bytes=part_bytes)


@pytest.mark.parametrize(
    ("etag", "part_bytes"),
    [
        (multipart_etag(BODY, 128_000, 128_000, 44_000), 128_000),
        (multipart_etag(BODY, len(BODY)), len(BODY)),
        (multipart_etag(BODY, 100_000, 200_000), 100_000),
        (multipart_etag(BODY, 200_000, 100_000), None),
        ("opaque", None),
    ],
    ids=["equal parts", "one part", "unequal parts", "unknown parts", "no MD5"],
)
def test_every_kind_of_etag_lets_right_bytes_pass(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path, etag: str, part_bytes: int | None
) -> None:
    assert fetch(client, bucket, tmp_path, etag=etag, part_bytes=part_bytes) == BODY
    assert len(bucket.of("GET", NAME)) == 1


@pytest.mark.parametrize("size_bytes", [len(BODY) - 1, 1])
def test_a_longer_object_than_planned_is_found(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path, size_bytes: int
) -> None:
    with pytest.raises(CorruptTransferError, match="longer"):
        fetch(client, bucket, tmp_path, size_bytes=size_bytes)


def test_a_shorter_object_than_planned_is_found(client: httpx.Client, bucket: FaultBucket, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="416"):
        fetch(client, bucket, tmp_path, size_bytes=len(BODY) + 1)
    bucket.fail("GET", NAME, "ignore_range", times=100)
    with pytest.raises(CorruptTransferError, match="shorter"):
        fetch(client, bucket, tmp_path, size_bytes=len(BODY) + 1)


@pytest.mark.parametrize("status", [412, 404])
def test_a_replaced_or_deleted_object_ends_it_at_once(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path, status: int
) -> None:
    bucket.fail("GET", NAME, "status", status=status)
    with pytest.raises(SourceChangedError):
        fetch(client, bucket, tmp_path)
    assert len(bucket.of("GET", NAME)) == 1


def test_an_object_replaced_between_two_ranges_is_never_mixed(bucket: FaultBucket, tmp_path: Path) -> None:
    def replace(_: httpx.Response) -> None:
        bucket.put(NAME, BODY[::-1])

    bucket.fail("GET", NAME, "drop", at=100_000)
    client = httpx.Client(event_hooks={"response": [replace]}, verify=NO_AUTHORITIES)
    with client, pytest.raises(SourceChangedError):
        fetch(client, bucket, tmp_path)
    assert [seen.status for seen in bucket.of("GET", NAME)] == [206, 412]


def test_an_expired_url_is_refused_without_another_try(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path
) -> None:
    expired = bucket.url(NAME)
    bucket.put(NAME, BODY)
    bucket.signature = "another"
    with pytest.raises(RefusedError) as caught:
        transfer.download(client, expired, tmp_path / "x.db", etag=md5(BODY), size_bytes=len(BODY), part_bytes=None)
    assert "403" in str(caught.value)
    assert "http" not in str(caught.value)
    assert len(bucket.of("GET", NAME)) == 1


@pytest.mark.parametrize("status", [500, 503, 400, 409])
def test_a_passing_failure_is_tried_again(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path, status: int
) -> None:
    bucket.fail("GET", NAME, "status", status=status, times=2)
    assert fetch(client, bucket, tmp_path) == BODY
    assert len(bucket.of("GET", NAME)) == 3


def test_a_failure_that_stays_is_told_without_the_url(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path
) -> None:
    bucket.fail("GET", NAME, "status", status=503, times=100)
    with pytest.raises(TransientError) as caught:
        fetch(client, bucket, tmp_path)
    assert str(caught.value) == "fetching the database: the bucket answered 503"
    assert len(bucket.of("GET", NAME)) == transfer.ATTEMPTS


def test_a_server_that_is_not_there_is_told_without_the_url(client: httpx.Client) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/task.json?X-Amz-Signature=secret"
        with pytest.raises(TransientError) as caught:
            transfer.get_small(client, url, "fetching the task")
    assert str(caught.value) == "fetching the task: ConnectError"


def test_a_small_object_is_created_once(client: httpx.Client, bucket: FaultBucket) -> None:
    transfer.put_once(client, bucket.url("claim.json"), b"first", "claiming")
    with pytest.raises(StaleWriteError):
        transfer.put_once(client, bucket.url("claim.json"), b"second", "claiming")
    assert bucket.objects["claim.json"].body == b"first"


@pytest.mark.parametrize("status", [409, 500])
def test_a_conflict_or_failure_of_a_creation_is_tried_again(
    client: httpx.Client, bucket: FaultBucket, status: int
) -> None:
    bucket.fail("PUT", "claim.json", "status", status=status, times=2)
    transfer.put_once(client, bucket.url("claim.json"), b"first", "claiming")
    assert [seen.status for seen in bucket.of("PUT", "claim.json")] == [status, status, 200]


def test_a_creation_whose_answer_is_lost_looks_like_a_lost_one(client: httpx.Client, bucket: FaultBucket) -> None:
    bucket.fail("PUT", "claim.json", "lose_answer")
    with pytest.raises(StaleWriteError):
        transfer.put_once(client, bucket.url("claim.json"), b"first", "claiming")
    assert bucket.objects["claim.json"].body == b"first"


@pytest.mark.parametrize(
    ("kind", "status"),
    [("status", 500), ("status", 503), ("status", 400), ("lose_answer", 200), ("wrong_etag", 200)],
)
def test_an_upload_is_repeated_until_it_is_answered_rightly(
    client: httpx.Client, bucket: FaultBucket, tmp_path: Path, kind: Kind, status: int
) -> None:
    path = tmp_path / "new.db"
    path.write_bytes(BODY)
    bucket.fail("PUT", NAME, kind, status=status, times=2)
    etag, sha256, size_bytes = transfer.upload(client, bucket.url(NAME), path)
    assert [seen.status for seen in bucket.of("PUT", NAME)] == [status, status, 200]
    assert bucket.objects[NAME].body == BODY
    assert (etag, sha256, size_bytes) == (md5(BODY), hashlib.sha256(BODY).hexdigest(), len(BODY))


def test_an_upload_that_is_refused_is_not_repeated(client: httpx.Client, bucket: FaultBucket, tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    path.write_bytes(BODY)
    bucket.fail("PUT", NAME, "status", status=403)
    with pytest.raises(RefusedError, match="403"):
        transfer.upload(client, bucket.url(NAME), path)
    assert len(bucket.of("PUT", NAME)) == 1
