"""Objects by presigned URL: resumable download, checked against the ETag; upload, checked against the answer.

A presigned URL is a credential, so no error text here holds one.
"""

import base64
import hashlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import httpx
import stamina

from mailtide.errors import MailtideError, SourceChangedError, StaleWriteError, TransientError

BLOCK_BYTES = 1024 * 1024
ATTEMPTS = 6
PASSING_CODES = (b"<Code>RequestTimeout</Code>", b"<Code>BadDigest</Code>")
"""Codes of S3 that come with status 400, though the same request may well succeed."""


class RefusedError(MailtideError):
    """The bucket refused a presigned URL: it has expired, or its signer may not do this any more."""


class CorruptTransferError(TransientError):
    """The bytes that arrived are not the ones that were sent."""


@cache
def _usual_trust() -> ssl.SSLContext:
    """One for the process: it is dear to make."""
    return httpx.create_ssl_context()


def make_client() -> httpx.Client:
    """A client with time-outs for large bodies on a slow line."""
    return httpx.Client(timeout=httpx.Timeout(60.0, connect=10.0), follow_redirects=False, verify=_usual_trust())


def attempts(on: type[TransientError] = TransientError, most: int = ATTEMPTS) -> Iterator[stamina.Attempt]:
    """Attempts with growing pauses. They are counted, not timed: a long transfer that breaks off has its retries left.

    A block instead of a decorated function: the library logs the arguments of those, and URLs are credentials.
    """
    return iter(
        stamina.retry_context(on=on, attempts=most, timeout=None, wait_initial=0.2, wait_max=5.0, wait_jitter=0.3)
    )


def check(answer: httpx.Response, what: str) -> None:
    """Raise for a refusal: StaleWriteError, TransientError for what may pass, RefusedError."""
    status = answer.status_code
    if status < 300:
        return
    if status == 412:
        raise StaleWriteError(f"{what}: it has changed or exists already")
    if status in {408, 409, 429} or status >= 500:
        raise TransientError(f"{what}: the bucket answered {status}")
    if status == 400 and any(code in answer.read() for code in PASSING_CODES):
        raise TransientError(f"{what}: the bucket answered 400")
    raise RefusedError(f"{what}: the bucket answered {status}")


def get_small(client: httpx.Client, url: str, what: str) -> bytes:
    """A small object. RefusedError when the URL is no longer good."""
    return _exchange(client, "GET", url, what).content


def put_once(client: httpx.Client, url: str, body: bytes, what: str) -> None:
    """Create a small object. StaleWriteError when it exists already (perhaps by one's own unanswered try)."""
    _exchange(client, "PUT", url, what, content=body, headers={"If-None-Match": "*"})


def _exchange(
    client: httpx.Client,
    method: str,
    url: str,
    what: str,
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    for attempt in attempts():
        with attempt:
            try:
                answer = client.request(method, url, content=content, headers=headers)
            except httpx.TransportError as error:
                raise TransientError(f"{what}: {type(error).__name__}") from None
            check(answer, what)
    return answer


def download(
    client: httpx.Client,
    url: str,
    path: Path,
    *,
    etag: str,
    size_bytes: int,
    part_bytes: int | None,
) -> None:
    """Fetch exactly the version `etag` to `path`, going on where a broken connection stopped.

    part_bytes: part size of a multipart upload, whose ETag is the MD5 of the parts' MD5 digests; None when unknown.
    SourceChangedError when the object was replaced; CorruptTransferError when size or checksum differ to the end.
    """
    for attempt in attempts(on=CorruptTransferError, most=2):
        with attempt:
            path.write_bytes(b"")
            _fetch_all(client, url, path, etag, size_bytes)
            if not matches(path, etag, part_bytes):
                raise CorruptTransferError("The database does not have the checksum of the plan.")


def _fetch_all(client: httpx.Client, url: str, path: Path, etag: str, size_bytes: int) -> None:
    """Append until the file is complete; only attempts that gain nothing are counted against ATTEMPTS."""
    while (have := path.stat().st_size) < size_bytes:
        for attempt in attempts():
            with attempt:
                try:
                    _fetch_rest(client, url, path, etag, size_bytes)
                except TransientError:
                    if path.stat().st_size <= have:
                        raise
        if path.stat().st_size <= have:
            raise CorruptTransferError("The database is shorter than the plan says.")
    if path.stat().st_size != size_bytes:
        raise CorruptTransferError("The database is longer than the plan says.")


def _fetch_rest(client: httpx.Client, url: str, path: Path, etag: str, size_bytes: int) -> None:
    offset = path.stat().st_size
    # Bytes as they are stored: a Content-Encoding of the object must not be undone.
    headers = {"If-Match": f'"{etag}"', "Range": f"bytes={offset}-", "Accept-Encoding": "identity"}
    try:
        with client.stream("GET", url, headers=headers) as answer, path.open("r+b") as file:
            if answer.status_code in {404, 412}:
                raise SourceChangedError("The database was replaced while it was being fetched.")
            check(answer, "fetching the database")
            _seek(answer, file, offset)
            for block in answer.iter_raw():
                file.write(block)
                if file.tell() > size_bytes:
                    return
    except httpx.TransportError as error:
        raise TransientError(f"fetching the database: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """Reads parts of one version of an object; a `mailtide.database.ranged.RangeReader`, for any number of threads."""

    client: httpx.Client
    url: str
    etag: str
    size_bytes: int

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from offset on, all of them, going on where a broken connection stopped.

        SourceChangedError when the object was replaced; TransientError when an attempt after the other gains nothing.
        """
        data = bytearray()
        while (have := len(data)) < length:
            for attempt in attempts():
                with attempt:
                    try:
                        self._append(data, offset, length)
                    except TransientError:
                        if len(data) <= have:
                            raise
            if len(data) <= have:
                raise CorruptTransferError("The database is shorter than the plan says.")
        return bytes(data)

    def _append(self, data: bytearray, offset: int, length: int) -> None:
        first, last = offset + len(data), offset + length - 1
        headers = {"If-Match": f'"{self.etag}"', "Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}
        try:
            with self.client.stream("GET", self.url, headers=headers) as answer:
                if answer.status_code in {404, 412}:
                    raise SourceChangedError("The database was replaced while it was being fetched.")
                check(answer, "fetching the database")
                if not answer.headers.get("Content-Range", "").startswith(f"bytes {first}-"):
                    raise CorruptTransferError("fetching the database: the bucket sent another range")
                for block in answer.iter_raw():
                    data += block[: length - len(data)]
        except httpx.TransportError as error:
            raise TransientError(f"fetching the database: {type(error).__name__}") from None


def get_limited(client: httpx.Client, url: str, what: str, size_bytes: int) -> bytes:
    """An object of a size that is known. CorruptTransferError when it has another."""
    for attempt in attempts():
        with attempt:
            data = bytearray()
            try:
                with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
                    check(answer, what)
                    for block in answer.iter_raw():
                        data += block
                        if len(data) > size_bytes:
                            break
            except httpx.TransportError as error:
                raise TransientError(f"{what}: {type(error).__name__}") from None
            if len(data) != size_bytes:
                raise CorruptTransferError(f"{what}: it does not have its size")
    return bytes(data)


def _seek(answer: httpx.Response, file: BinaryIO, offset: int) -> None:
    """See to it that what arrives is written where it belongs, also when the range was ignored."""
    if answer.status_code != 206:
        file.truncate(0)
    elif answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
        file.seek(offset)
    else:
        raise CorruptTransferError("fetching the database: the bucket sent another range")


def states_checksum(etag: str, size_bytes: int, part_bytes: int | None) -> bool:
    """Whether an ETag says what the bytes of the whole object are."""
    plain, _, parts = etag.partition("-")
    if len(plain) != 32:
        return False
    return not parts or (part_bytes is not None and -(-size_bytes // part_bytes) == int(parts))


def matches(path: Path, etag: str, part_bytes: int | None) -> bool:
    """Whether a file has the checksum that its ETag states; an ETag that states none, or one of unequal
    parts, is taken on trust."""
    plain, _, parts = etag.partition("-")
    if len(plain) != 32:
        return True
    if not parts:
        return _md5(path) == plain
    if part_bytes is None or -(-path.stat().st_size // part_bytes) != int(parts):
        return True
    digests = b"".join(_part_digests(path, part_bytes))
    return hashlib.md5(digests, usedforsecurity=False).hexdigest() == plain


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new_md5).hexdigest()


def _new_md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def _part_digests(path: Path, part_bytes: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while True:
            left, digest, seen = part_bytes, _new_md5(), 0
            while left and (block := file.read(min(left, BLOCK_BYTES))):
                digest.update(block)
                left -= len(block)
                seen += len(block)
            if not seen:
                return
            yield digest.digest()


def upload(client: httpx.Client, url: str, path: Path) -> tuple[str, str, int]:
    """Store a file. Returns (ETag, SHA-256, size in bytes); the bucket checks the MD5 that goes with it."""
    size_bytes = path.stat().st_size
    return put_slice(client, url, path, 0, size_bytes), sha256_of(path), size_bytes


def sha256_of(path: Path) -> str:
    """Of the whole file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_slice(client: httpx.Client, url: str, path: Path, start: int, length: int) -> str:
    """Store `length` bytes of a file from `start` on; the ETag, which is the MD5 where the bucket tells that."""
    md5 = _new_md5()
    for block in _blocks(path, start, length):
        md5.update(block)
    for attempt in attempts():
        with attempt:
            etag = _put(client, url, path, start, length, md5.digest())
    return etag


def _blocks(path: Path, start: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while length and (block := file.read(min(length, BLOCK_BYTES))):
            length -= len(block)
            yield block


def _put(client: httpx.Client, url: str, path: Path, start: int, length: int, md5: bytes) -> str:
    headers = {"Content-Length": str(length), "Content-MD5": base64.b64encode(md5).decode()}
    try:
        answer = client.put(url, content=_blocks(path, start, length), headers=headers)
    except httpx.TransportError as error:
        raise TransientError(f"delivering the database: {type(error).__name__}") from None
    check(answer, "delivering the database")
    etag = answer.headers.get("ETag", "").strip('"')
    if len(etag) == 32 and etag != md5.hex():
        raise CorruptTransferError("The database did not arrive as it was sent.")
    return str(etag)
