"""A bucket in memory that answers as S3 does; tests/integration/bucket holds it to what a real server says.

One call is one atomic step, as one request is on S3. Not thread-safe by itself: the simulation runs one call at a time.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from mailtide.adapters.s3 import MAX_OBJECT_BYTES, multipart_etag
from mailtide.errors import BudgetExceededError, NotFoundError, SourceChangedError, StaleWriteError
from mailtide.ports import Clock, ObjectInfo, PresignedParts, StagedCopy, StoredObject

COPY_PART_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object. part_sizes: bytes of each part of a multipart upload, empty for a plain PUT."""

    body: bytes
    etag: str
    last_modified: datetime
    part_sizes: tuple[int, ...] = ()


@dataclass(slots=True)
class Upload:
    """One multipart upload."""

    key: str
    parts: tuple[bytes, ...]
    initiated: datetime
    state: Literal["open", "completed", "aborted"] = "open"


@dataclass(frozen=True, slots=True)
class Written:
    """One change of one key, for those who check a history. by: the operation."""

    key: str
    before: Version | None
    after: Version | None
    by: str


class RefusedUrlError(Exception):
    """A presigned URL that does not hold for this: expired, wrong method, or a signed header is missing."""


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@dataclass
class MemoryBucket:
    """Implements mailtide.ports.Bucket.

    part_bytes: size of the parts of a copy. dated_by_initiation: whether a completed upload is as old as its beginning
    (S3) or as its completion (some that speak S3's language). forgets_completed: whether completing a completed upload
    again fails as if it had never been; S3 replays its answer for a while, and does not say for how long.
    """

    clock: Clock
    part_bytes: int = COPY_PART_BYTES
    dated_by_initiation: bool = True
    forgets_completed: bool = False
    objects: dict[str, Version] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    observers: list[Callable[[Written], None]] = field(default_factory=list)

    def _now(self) -> datetime:
        return self.clock.now().replace(microsecond=0)

    def _write(self, key: str, after: Version | None, by: str) -> None:
        before = self.objects.get(key)
        if after is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = after
        for observer in self.observers:
            observer(Written(key, before, after, by))

    def _put(self, key: str, body: bytes, by: str) -> str:
        version = Version(body, md5(body), self._now())
        self._write(key, version, by)
        return version.etag

    def head(self, key: str) -> ObjectInfo | None:
        version = self.objects.get(key)
        return None if version is None else _info(key, version)

    def get(self, key: str) -> StoredObject | None:
        version = self.objects.get(key)
        if version is None:
            return None
        if len(version.body) > MAX_OBJECT_BYTES:
            raise BudgetExceededError(f"{key}: too large to be read whole")
        return StoredObject(body=version.body, etag=version.etag, last_modified=version.last_modified)

    def get_range(self, key: str, offset: int, length: int, *, etag: str) -> bytes:
        return self._exactly(key, etag).body[offset : offset + length]

    def first_part_size(self, key: str, *, etag: str) -> int | None:
        sizes = self._exactly(key, etag).part_sizes
        return sizes[0] if sizes else None

    def _exactly(self, key: str, etag: str) -> Version:
        version = self.objects.get(key)
        if version is None or version.etag != etag:
            raise SourceChangedError(f"{key} was replaced while it was being read")
        return version

    def create(self, key: str, body: bytes) -> str:
        if key in self.objects:
            raise StaleWriteError(f"{key}: it exists")
        return self._put(key, body, "create")

    def replace(self, key: str, body: bytes, *, expected_etag: str) -> str:
        self._expect(key, expected_etag)
        return self._put(key, body, "replace")

    def _expect(self, key: str, etag: str) -> None:
        version = self.objects.get(key)
        if version is None or version.etag != etag:
            raise StaleWriteError(f"{key}: it has changed")

    def delete(self, key: str) -> None:
        if key in self.objects:
            self._write(key, None, "delete")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found = sorted((key for key in self.objects if key.startswith(prefix)), key=str.encode)
        return iter([_info(key, self.objects[key]) for key in found])

    def list_folders(self, prefix: str, *, after: str = "") -> Iterator[str]:
        rests = [key.removeprefix(prefix) for key in self.objects if key.startswith(prefix)]
        folders = {rest.split("/", 1)[0] + "/" for rest in rests if "/" in rest}
        later = (folder for folder in folders if not after or folder.encode() > f"{after}/".encode())
        return (folder.removesuffix("/") for folder in sorted(later, key=str.encode))

    def presign_get(self, key: str, *, expires_s: int, download_as: str | None = None) -> str:  # noqa: ARG002 - S3's alone
        return self._presign("GET", key, expires_s, create_only=False)

    def presign_put(self, key: str, *, expires_s: int, create_only: bool) -> str:
        return self._presign("PUT", key, expires_s, create_only=create_only)

    def _presign(self, method: str, key: str, expires_s: int, *, create_only: bool) -> str:
        until = (self.clock.now() + timedelta(seconds=expires_s)).isoformat()
        return f"memory://bucket/{quote(key)}?method={method}&create_only={int(create_only)}&until={quote(until)}"

    def presign_parts(self, key: str, *, parts: int, expires_s: int) -> PresignedParts:
        upload_id = f"upload-{len(self.uploads) + 1}"
        self.uploads[upload_id] = Upload(key, (), self._now())
        signed = self._presign("PUT", key, expires_s, create_only=False) + f"&upload={upload_id}"
        return PresignedParts(
            put=tuple(f"{signed}&part={number}" for number in range(1, parts + 1)),
            complete=signed.replace("method=PUT", "method=POST"),
        )

    def copy(self, source_key: str, target_key: str, *, source_etag: str, size_bytes: int) -> str:
        self._expect(source_key, source_etag)
        assert len(self.objects[source_key].body) == size_bytes
        return self._put(target_key, self.objects[source_key].body, "copy")

    def stage_copy(self, source_key: str, target_key: str, *, source_etag: str, size_bytes: int) -> StagedCopy:
        self._expect(source_key, source_etag)
        body = self.objects[source_key].body
        parts = tuple(body[at : at + self.part_bytes] for at in range(0, size_bytes, self.part_bytes))
        upload_id = f"upload-{len(self.uploads) + 1}"
        self.uploads[upload_id] = Upload(target_key, parts, self._now())
        etags = tuple(md5(part) for part in parts)
        return StagedCopy(upload_id=upload_id, part_etags=etags, expected_etag=multipart_etag(etags))

    def complete_copy(self, target_key: str, staged: StagedCopy, *, expected_etag: str) -> None:
        upload = self.uploads.get(staged.upload_id)
        if upload is None or upload.state == "aborted" or (upload.state == "completed" and self.forgets_completed):
            raise NotFoundError(f"{target_key}: no such upload")
        if upload.state == "completed":
            return
        if (
            upload.key != target_key
            or not upload.parts
            or tuple(md5(part) for part in upload.parts) != staged.part_etags
        ):
            raise ValueError(f"{target_key}: these are not the parts of {staged.upload_id}")
        if target_key not in self.objects:
            raise NotFoundError(f"{target_key}: it is gone")
        self._expect(target_key, expected_etag)
        upload.state = "completed"
        self._write(target_key, self._joined(upload), "complete_copy")

    def _joined(self, upload: Upload) -> Version:
        etag = multipart_etag(tuple(md5(part) for part in upload.parts))
        moment = upload.initiated if self.dated_by_initiation else self._now()
        return Version(b"".join(upload.parts), etag, moment, tuple(len(part) for part in upload.parts))

    def abort_copy(self, target_key: str, upload_id: str) -> None:
        upload = self.uploads.get(upload_id)
        if upload is not None and upload.key == target_key and upload.state == "open":
            upload.state = "aborted"

    # What others do to the bucket.

    def put(self, key: str, body: bytes) -> str:
        """A customer's plain upload."""
        return self._put(key, body, "put")

    def put_multipart(self, key: str, body: bytes, *, part_bytes: int) -> str:
        """A customer's multipart upload."""
        parts = tuple(body[at : at + part_bytes] for at in range(0, len(body), part_bytes))
        version = self._joined(Upload(key, parts, self._now()))
        self._write(key, version, "put_multipart")
        return version.etag

    def restore(self, key: str, version: Version) -> None:
        """An old version comes back as it was, as when a delete marker is removed."""
        self._write(key, version, "restore")

    def follow_get(self, url: str, *, if_match: str | None = None) -> bytes | None:
        """GET of a presigned URL; None when there is no such object. StaleWriteError when If-Match fails."""
        version = self.objects.get(self._check(url, "GET", create_only=False))
        if version is not None and if_match is not None and version.etag != if_match:
            raise StaleWriteError("If-Match")
        return None if version is None else version.body

    def follow_put(self, url: str, body: bytes, *, create_only: bool = False) -> str:
        """PUT to a presigned URL; `create_only` sends `If-None-Match: *`. StaleWriteError when that fails."""
        key = self._check(url, "PUT", create_only=create_only)
        if create_only and key in self.objects:
            raise StaleWriteError(f"{key}: it exists")
        return self._put(key, body, "presigned_put")

    def _check(self, url: str, method: str, *, create_only: bool) -> str:
        parts = urlsplit(url)
        signed = {name: values[0] for name, values in parse_qs(parts.query).items()}
        expired = datetime.fromisoformat(signed["until"]) < self.clock.now()
        if signed["method"] != method or expired or (signed["create_only"] == "1" and not create_only):
            raise RefusedUrlError(method)
        return unquote(parts.path.removeprefix("/"))


def _info(key: str, version: Version) -> ObjectInfo:
    return ObjectInfo(key=key, etag=version.etag, last_modified=version.last_modified, size_bytes=len(version.body))
