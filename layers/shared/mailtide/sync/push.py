"""Bringing a local file back: only the ranges that differ from the published version travel, and only over that version."""

import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from mailtide.database.blocks import BLOCK_BYTES, Blocks, blocks_of
from mailtide.database.private_copy import private_copy
from mailtide.database.run_tables import last_run
from mailtide.database.untrusted import open_untrusted
from mailtide.errors import InputError, StaleWriteError
from mailtide.runs import keys, lock, store
from mailtide.runs.services import Services
from mailtide.sync.published import Progress, PublishedVersion, find_published, no_progress, read_blocks

MIN_PART_BYTES = 5 * 1024 * 1024
"""S3's smallest part, but for the last one."""
MAX_PARTS = 5_000
_CONNECTIONS = 8


class Parts(Protocol):
    """A multipart upload. Every method may raise TransientError."""

    def begin(self, key: str) -> str:
        """The id of a new upload."""

    def put(self, key: str, upload_id: str, number: int, body: bytes) -> str:
        """Send a part (from 1 on); its ETag."""

    def copy(
        self, key: str, upload_id: str, number: int, *, source_key: str, source_etag: str, start: int, length: int
    ) -> str:
        """Take a part from an object that stands in the bucket; its ETag. StaleWriteError when that is no longer the version."""

    def complete(self, key: str, upload_id: str, part_etags: list[str], *, expected_etag: str | None) -> str:
        """Put the object together, over the version `expected_etag` only, or (None) where there is none; its ETag.
        StaleWriteError when another version stands there, or the upload is gone."""

    def abort(self, key: str, upload_id: str) -> None:
        """Gone afterwards."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did. sent_bytes travelled, copied_bytes were taken from the published version inside the bucket."""

    org: str
    key: str
    etag: str
    size_bytes: int
    sent_bytes: int
    copied_bytes: int


def push(services: Services, parts: Parts, org: str, path: Path, progress: Progress = no_progress) -> Pushed:
    """Put a local file that is based on the published version in the place of the organisation's database, which starts a run.

    The file may be in use: a consistent copy is taken first. InputError, one sentence that says what to do, when the bucket
    holds another version than the one that the file is based on, or a run is at work.
    """
    with TemporaryDirectory(prefix="mailtide-push-") as name:
        copy = Path(name) / "contacts.db"
        with private_copy(path) as private:
            private.path.rename(copy)
        version = _base_of(services, org, path, copy)
        if _is_held(services, org):
            raise InputError(_at_work(org))
        return _Push(services, parts, org, copy, version, progress).carry_out()


def _base_of(services: Services, org: str, path: Path, copy: Path) -> PublishedVersion | None:
    """The published version, which the file must be based on; None where the organisation has no database yet."""
    if store.read_source(services.bucket, org) is None:
        return None
    version = find_published(services.bucket, org)
    with closing(open_untrusted(copy)) as connection:
        stands = last_run(connection, "scheduler_runs")
    if stands is None:
        raise InputError(f"{path} has no schedule of {org}; mailtide upload puts it in the place of what is there.")
    if stands != version.run:
        raise InputError(
            f"The bucket holds a newer version of {org} than the one that {path} is based on; mailtide sync pull it first."
        )
    return version


def _is_held(services: Services, org: str) -> bool:
    """Whether a run that has not ended holds the lock."""
    owner = lock.take(services, org, name := secrets.token_hex(10))
    if owner is not None:
        lock.release(services, org, name)
    return owner is None


def _at_work(org: str) -> str:
    return f"A run of {org} is at work; push again when it has ended (mailtide runs list {org} shows it)."


def _conflict(org: str) -> InputError:
    return InputError(f"The bucket got a newer version of {org} meanwhile; mailtide sync pull it, then push again.")


def multipart_etag(part_etags: list[str]) -> str:
    """The ETag of an object of such parts (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html)."""
    digest = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in part_etags), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(part_etags)}"


class _Push:
    """One upload."""

    def __init__(
        self,
        services: Services,
        parts: Parts,
        org: str,
        copy: Path,
        version: PublishedVersion | None,
        progress: Progress,
    ) -> None:
        self._services, self._parts, self._org, self._copy = services, parts, org, copy
        self._version, self._progress = version, progress
        self._size_bytes = copy.stat().st_size
        self._key = keys.source(org)
        self._part_bytes = _part_bytes(self._size_bytes)
        self._sent_bytes = self._copied_bytes = 0

    def carry_out(self) -> Pushed:
        """Stage all parts without the lock, then complete the upload under it."""
        same = self._same_parts()
        upload_id = self._parts.begin(self._key)
        try:
            etags = self._stage(upload_id, same)
            etag = self._complete(upload_id, etags)
        except BaseException:
            self._parts.abort(self._key, upload_id)
            raise
        return Pushed(self._org, self._key, etag, self._size_bytes, self._sent_bytes, self._copied_bytes)

    def _same_parts(self) -> set[int]:
        """Numbers (from 0 on) of the parts that the published version has in the same place."""
        # S3 takes ranges only out of objects that are larger than a part.
        if self._version is None or self._version.size_bytes <= MIN_PART_BYTES:
            return set()
        published = read_blocks(self._services.bucket, self._version)
        if published is None or self._part_bytes % published.block_bytes:
            return set()
        mine = blocks_of(self._copy, published.block_bytes)
        a_part = self._part_bytes // published.block_bytes
        return {number for number in range(self._count()) if _are_same(mine, published, number * a_part, a_part)}

    def _count(self) -> int:
        return -(-self._size_bytes // self._part_bytes)

    def _stage(self, upload_id: str, same: set[int]) -> list[str]:
        etags: list[str] = []

        def stage(number: int) -> str:
            return self._stage_part(upload_id, number, copied=number in same)

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            try:
                for number, etag in enumerate(pool.map(stage, range(self._count()))):
                    self._note(number, copied=number in same)
                    etags.append(etag)
            except StaleWriteError:
                raise _conflict(self._org) from None
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return etags

    def _stage_part(self, upload_id: str, number: int, *, copied: bool) -> str:
        start, length = self._range(number)
        if copied and self._version is not None:
            return self._parts.copy(
                self._key,
                upload_id,
                number + 1,
                source_key=self._version.key,
                source_etag=self._version.etag,
                start=start,
                length=length,
            )
        with self._copy.open("rb") as file:
            file.seek(start)
            return self._parts.put(self._key, upload_id, number + 1, file.read(length))

    def _range(self, number: int) -> tuple[int, int]:
        start = number * self._part_bytes
        return start, min(self._part_bytes, self._size_bytes - start)

    def _note(self, number: int, *, copied: bool) -> None:
        length = self._range(number)[1]
        if copied:
            self._copied_bytes += length
        else:
            self._sent_bytes += length
        self._progress("pushing", self._sent_bytes + self._copied_bytes, self._size_bytes)

    def _complete(self, upload_id: str, etags: list[str]) -> str:
        """Under the organisation's lock, and over the version that the file is based on."""
        services, owner = self._services, secrets.token_hex(10)
        if lock.take(services, self._org, owner) is None:
            raise InputError(_at_work(self._org))
        try:
            expected = self._version.source if self._version else None
            if store.read_source(services.bucket, self._org) != expected:
                raise _conflict(self._org)
            return self._parts.complete(self._key, upload_id, etags, expected_etag=expected.etag if expected else None)
        except StaleWriteError:
            # The answer to a first, successful request may have been lost.
            info = services.bucket.head(self._key)
            if info is not None and info.etag == multipart_etag(etags):
                return info.etag
            raise _conflict(self._org) from None
        finally:
            lock.release(services, self._org, owner)


def _part_bytes(size_bytes: int) -> int:
    """Equal parts, whole blocks each, at least of S3's smallest size and not too many."""
    least = -(-size_bytes // MAX_PARTS)
    return max(MIN_PART_BYTES, -(-least // BLOCK_BYTES) * BLOCK_BYTES)


def _are_same(mine: Blocks, published: Blocks, first: int, count: int) -> bool:
    """Whether some blocks are the same in both files; never for what reaches beyond the published one."""
    last = min(first + count, len(mine))
    start, end = first * 16, last * 16
    whole = last * mine.block_bytes <= published.size_bytes or (
        last == len(mine) == len(published) and mine.size_bytes == published.size_bytes
    )
    return whole and mine.digests[start:end] == published.digests[start:end]
