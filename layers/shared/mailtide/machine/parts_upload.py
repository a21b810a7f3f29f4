"""A file that is too large for one request: the parts of a multipart upload by presigned URL, several at once."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from mailtide.contracts import PartsUrls
from mailtide.errors import TransientError
from mailtide.machine import transfer

CONNECTIONS = 4
_WHAT = "delivering the database"
_ETAG = re.compile(rb"<ETag>(?:\"|&quot;|&#34;)?([0-9A-Za-z-]+)")


def upload_parts(client: httpx.Client, urls: PartsUrls, path: Path) -> tuple[str, str, int]:
    """Store a file of at most len(urls.put) parts. Returns (ETag, SHA-256, size in bytes); nothing stands before all does."""
    size_bytes = path.stat().st_size
    starts = range(0, size_bytes, urls.part_bytes)
    pool = ThreadPoolExecutor(CONNECTIONS)
    try:
        sha256 = pool.submit(transfer.sha256_of, path)
        sent = [
            pool.submit(transfer.put_slice, client, url, path, start, min(urls.part_bytes, size_bytes - start))
            for url, start in zip(urls.put, starts, strict=False)
        ]
        etags = tuple(part.result() for part in sent)
        return _complete(client, urls.complete, etags), sha256.result(), size_bytes
    finally:
        pool.shutdown(cancel_futures=True)


def _complete(client: httpx.Client, url: str, etags: tuple[str, ...]) -> str:
    """The object's ETag. An upload that is unknown when it is asked for again was completed by the request before, whose answer
    was lost: then the ETag is the one that follows from the parts, and whoever collects looks whether it stands."""
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{etag}&quot;</ETag></Part>"
        for number, etag in enumerate(etags, start=1)
    )
    body = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{parts}</CompleteMultipartUpload>'
    for attempt in transfer.attempts():
        with attempt:
            etag = _ask(client, url, body.encode(), again=attempt.num > 1) or _joined(etags)
    return etag


def _ask(client: httpx.Client, url: str, body: bytes, *, again: bool) -> str | None:
    try:
        answer = client.post(url, content=body, headers={"Content-Type": "application/xml"})
    except httpx.TransportError as error:
        raise TransientError(f"{_WHAT}: {type(error).__name__}") from None
    if again and answer.status_code == 404:
        return None
    transfer.check(answer, _WHAT)
    found = _ETAG.search(answer.content)
    if found is None:
        # S3 may begin with status 200 and fail after that.
        raise TransientError(f"{_WHAT}: the bucket could not join the parts")
    return found[1].decode()


def _joined(etags: tuple[str, ...]) -> str:
    digest = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in etags), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(etags)}"
