"""The same bucket three times: in memory, and S3Bucket on moto and on MiniStack."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import boto3
import httpx
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from mailtide.adapters.s3 import S3Bucket, make_client
from mailtide.errors import StaleWriteError
from mailtide.ports import Bucket
from tests.support.memory_bucket import MemoryBucket, RefusedUrlError
from tests.support.memory_clock import MemoryClock
from tests.support.plain_http import NO_AUTHORITIES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

ROOT = Path(__file__).resolve().parents[3]
MINISTACK = ROOT / ".tools" / "ministack" / "bin" / "ministack"
PLACES = ("memory", "moto", "ministack")
PART_BYTES = 5 * 1024 * 1024
"""S3's smallest part, the last one excepted."""


class Others(Protocol):
    """What customers and machines do to a bucket, past the port."""

    def put(self, key: str, body: bytes) -> None: ...

    def put_multipart(self, key: str, body: bytes) -> None: ...

    def fetch(self, url: str, *, if_match: str | None = None) -> bytes | None: ...

    def send(self, url: str, body: bytes, *, create_only: bool) -> None: ...


@dataclass(frozen=True)
class Place:
    """A bucket, those who write to it past the port, and what its server is called."""

    kind: str
    bucket: Bucket
    others: Others


@dataclass(frozen=True)
class MemoryOthers:
    bucket: MemoryBucket

    def put(self, key: str, body: bytes) -> None:
        self.bucket.put(key, body)

    def put_multipart(self, key: str, body: bytes) -> None:
        self.bucket.put_multipart(key, body, part_bytes=PART_BYTES)

    def fetch(self, url: str, *, if_match: str | None = None) -> bytes | None:
        return self.bucket.follow_get(url, if_match=if_match)

    def send(self, url: str, body: bytes, *, create_only: bool) -> None:
        self.bucket.follow_put(url, body, create_only=create_only)


@dataclass(frozen=True)
class S3Others:
    name: str
    client: "S3Client"

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def put_multipart(self, key: str, body: bytes) -> None:
        upload = self.client.create_multipart_upload(Bucket=self.name, Key=key)["UploadId"]
        etags = [
            self.client.upload_part(
                Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=body[at : at + PART_BYTES]
            )["ETag"]
            for number, at in enumerate(range(0, len(body), PART_BYTES), start=1)
        ]
        parts: Sequence[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)
        ]
        self.client.complete_multipart_upload(
            Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
        )

    def abort_all(self) -> None:
        """What the bucket's rule does with uploads that were never completed."""
        for upload in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"])

    def fetch(self, url: str, *, if_match: str | None = None) -> bytes | None:
        headers = {"If-Match": f'"{if_match}"'} if if_match else {}
        answer = httpx.get(url, headers=headers, verify=NO_AUTHORITIES)
        if answer.status_code == 404:
            return None
        _raise_for(answer)
        return answer.content

    def send(self, url: str, body: bytes, *, create_only: bool) -> None:
        headers = {"If-None-Match": "*"} if create_only else {}
        _raise_for(httpx.put(url, content=body, headers=headers, verify=NO_AUTHORITIES))


def _raise_for(answer: httpx.Response) -> None:
    if answer.status_code == 412:
        raise StaleWriteError("412")
    if answer.status_code in {400, 403}:
        raise RefusedUrlError(str(answer.status_code))
    answer.raise_for_status()


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def ministack_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MiniStack of its own on a free port, in an empty environment."""
    if not MINISTACK.exists():
        pytest.fail("MiniStack is not set up; run: make setup")
    folder = tmp_path_factory.mktemp("ministack")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LAMBDA_EXECUTOR": "local",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([MINISTACK], env=environment, cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert process.poll() is None, "MiniStack ended at once"
        try:
            urllib.request.urlopen(f"{url}/_localstack/health", timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError("MiniStack did not start")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def s3_place(kind: str, url: str) -> Place:
    """A new, empty bucket on a server."""
    name = f"contract-{uuid4().hex[:12]}"
    raw = boto3.client("s3", endpoint_url=url, config=Config(s3={"addressing_style": "path"}))
    raw.create_bucket(Bucket=name)
    return Place(kind, S3Bucket(name, make_client(url)), S3Others(name, raw))


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        bucket = MemoryBucket(MemoryClock())
        return Place("memory", bucket, MemoryOthers(bucket))
    return s3_place(request.param, request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def bucket(place: Place) -> Bucket:
    return place.bucket


@pytest.fixture
def others(place: Place) -> Others:
    return place.others
