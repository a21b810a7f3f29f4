"""A file that goes up in parts by presigned URL, as machines deliver large databases: real servers, S3's smallest parts."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random

import pytest

from mailtide.adapters.s3 import S3Bucket, multipart_etag
from mailtide.adapters.s3 import make_client as make_s3
from mailtide.contracts import PartsUrls
from mailtide.errors import StaleWriteError
from mailtide.machine.delivery import deliver
from mailtide.machine.parts_upload import upload_parts
from mailtide.machine.transfer import RefusedError, make_client
from mailtide.rules.config import load_rules
from tests.integration.bucket.conftest import PART_BYTES, S3Others, s3_place
from tests.integration.machine.fault_bucket import md5
from tests.support.chunks import NOWHERE, document
from tests.support.faulty_proxy import Fault, FaultyProxy, faulty_proxy

FIRST = "runs/acme/0123456789abcdef0123/tasks/whole/1/contacts.db"
SOURCE = "orgs/acme/contacts.db"
SECOND = FIRST.replace("/1/", "/2/")
BODY = Random(4).randbytes(2 * PART_BYTES + 70_000)
EXPECTED_ETAG = multipart_etag(tuple(md5(BODY[at : at + PART_BYTES]) for at in range(0, len(BODY), PART_BYTES)))


@dataclass(frozen=True)
class Line:
    """A bucket on a real server, and the proxy before it that signed URLs lead through."""

    bucket: S3Bucket
    others: S3Others
    proxy: FaultyProxy

    def urls(self, key: str, parts: int = 4) -> PartsUrls:
        signed = self.bucket.presign_parts(key, parts=parts, expires_s=60)
        return PartsUrls(part_bytes=PART_BYTES, put=signed.put, complete=signed.complete)

    def stands(self, key: str) -> tuple[str, int] | None:
        info = self.bucket.head(key)
        return (info.etag, info.size_bytes) if info else None


@pytest.fixture(params=["moto", "ministack"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    url = request.getfixturevalue(f"{request.param}_url")
    with faulty_proxy(url) as proxy:
        place = s3_place(request.param, url)
        assert isinstance(place.others, S3Others)
        bucket = S3Bucket(place.others.name, make_s3(url), public_client=make_s3(proxy.url))
        yield Line(bucket, place.others, proxy)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "contacts.db"
    file.write_bytes(BODY)
    return file


def failing(method: str, fault: Fault, times: int) -> Callable[[str], Fault | None]:
    """Whether the next requests of a method fail; parts go up side by side, so any of them may be struck."""
    left = [fault] * times
    return lambda operation: left.pop() if operation.startswith(f"{method} ") and left else None


def test_what_went_up_in_parts_stands_as_it_was(line: Line, path: Path) -> None:
    urls = line.urls(FIRST)
    assert line.stands(FIRST) is None
    with make_client() as client:
        told = upload_parts(client, urls, path)
    assert told == (EXPECTED_ETAG, hashlib.sha256(BODY).hexdigest(), len(BODY))
    assert line.stands(FIRST) == (EXPECTED_ETAG, len(BODY))
    assert line.others.fetch(line.bucket.presign_get(FIRST, expires_s=60)) == BODY


@pytest.mark.parametrize(
    ("method", "fault", "times"), [("PUT", "unavailable", 2), ("PUT", "answer lost", 1), ("POST", "answer lost", 1)]
)
def test_a_request_that_fails_is_made_again(line: Line, path: Path, method: str, fault: Fault, times: int) -> None:
    line.proxy.judge = failing(method, fault, times)
    with make_client() as client:
        etag, _, _ = upload_parts(client, line.urls(FIRST), path)
    assert [fault for _, fault in line.proxy.faults] == [fault] * times
    assert line.stands(FIRST) == (etag, len(BODY)) == (EXPECTED_ETAG, len(BODY))


def test_a_second_try_has_nothing_of_the_first(line: Line, path: Path) -> None:
    """The first dies after two of its parts, the second delivers another file, and the first comes back too late."""
    first, second = line.urls(FIRST), line.urls(SECOND)
    other = path.with_name("other.db")
    other.write_bytes(BODY[::-1])
    with make_client() as client:
        for number, at in enumerate((0, PART_BYTES)):
            assert client.put(first.put[number], content=BODY[at : at + PART_BYTES]).status_code == 200
        upload_parts(client, second, other)
        assert line.stands(FIRST) is None
        told = upload_parts(client, first, path)
    assert line.stands(FIRST) == (told[0], len(BODY))
    assert line.others.fetch(line.bucket.presign_get(SECOND, expires_s=60)) == BODY[::-1]


def test_a_machine_takes_parts_for_what_has_more_than_one(line: Line, path: Path) -> None:
    small = path.with_name("small.db")
    small.write_bytes(BODY[:PART_BYTES])
    put = {"contacts.db": line.bucket.presign_put(FIRST, expires_s=60, create_only=False)}
    urls = NOWHERE.model_copy(update={"deliver_put": put, "deliver_parts": {"contacts.db": line.urls(FIRST)}})
    task = document("whole", load_rules(None), date(2026, 11, 22), urls=urls)
    with make_client() as client:
        told = deliver(client, task, "contacts.db", small)
        assert (told.etag, told.size_bytes) == line.stands(FIRST) == (md5(small.read_bytes()), PART_BYTES)
        told = deliver(client, task, "contacts.db", path)
    assert (told.etag, told.size_bytes) == line.stands(FIRST) == (EXPECTED_ETAG, len(BODY))
    assert told.sha256 == hashlib.sha256(BODY).hexdigest()


# moto ignores the condition on what is copied.
@pytest.mark.parametrize("line", ["ministack"], indirect=True)
def test_what_went_up_in_parts_is_published_as_any_other(line: Line, path: Path) -> None:
    line.others.put(SOURCE, b"before")
    with make_client() as client:
        etag, _, size_bytes = upload_parts(client, line.urls(FIRST), path)
    with pytest.raises(StaleWriteError):
        line.bucket.stage_copy(FIRST, SOURCE, source_etag="0" * 32 + "-3", size_bytes=size_bytes)
    staged = line.bucket.stage_copy(FIRST, SOURCE, source_etag=etag, size_bytes=size_bytes)
    line.bucket.complete_copy(SOURCE, staged, expected_etag=md5(b"before"))
    assert line.stands(SOURCE) == (staged.expected_etag, len(BODY))
    assert line.others.fetch(line.bucket.presign_get(SOURCE, expires_s=60)) == BODY


# moto answers 500 for a part of an upload that is gone.
@pytest.mark.parametrize("line", ["ministack"], indirect=True)
def test_an_upload_that_nobody_began_is_refused(line: Line, path: Path) -> None:
    urls = line.urls(FIRST)
    line.others.abort_all()
    with make_client() as client, pytest.raises(RefusedError) as refused:
        upload_parts(client, urls, path)
    assert line.others.name not in str(refused.value)
    assert line.stands(FIRST) is None
