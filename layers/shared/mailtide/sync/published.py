"""Which object holds the schedule that is published at this moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

from mailtide.contracts import ChangesetLink, Latest, SourceRef
from mailtide.database.blocks import Blocks, parse_blocks
from mailtide.errors import InputError, SourceChangedError
from mailtide.ports import Bucket
from mailtide.runs import keys, store

type Progress = Callable[[str, int, int], None]
"""Told of each step: what is done, bytes so far, bytes in all."""


def no_progress(what: str, done_bytes: int, total_bytes: int) -> None:
    """Nobody looks."""
    del what, done_bytes, total_bytes


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """The object. run: the last run in its scheduler_runs, None where latest.json cannot say."""

    org: str
    key: str
    etag: str
    size_bytes: int
    run: str | None
    source: SourceRef
    latest: Latest


def find_published(bucket: Bucket, org: str) -> PublishedVersion:
    """The published version. InputError, one sentence, when there is none, or when a newer upload waits for its run."""
    latest = store.read_latest(bucket, org).value
    source = store.read_source(bucket, org)
    if source is None:
        raise InputError(f"The organisation {org!r} has no database in the bucket.")
    if not store.is_handled(latest, source) or latest.intent is not None:
        moment = f"{source.last_modified:%Y-%m-%d %H:%M:%S} UTC"
        raise InputError(f"The database of {org} of {moment} has no schedule yet; try again when its run has ended.")
    if latest.file is not None and latest.source is not None and store.same_source(latest.source, source):
        file = latest.file
        return PublishedVersion(org, file.key, file.etag, file.size_bytes, latest.written_by, source, latest)
    if source.etag != latest.published_etag:
        ended = latest.status or "failed"
        raise InputError(
            f"The last run of {org} ended as {ended}, so its database has no schedule; see mailtide runs show {org} {latest.run}."
        )
    key = keys.source(org)
    return PublishedVersion(org, key, source.etag, source.size_bytes, latest.written_by, source, latest)


def chain_to(version: PublishedVersion, run: str | None) -> list[ChangesetLink] | None:
    """The changesets that lead from a run's schedule to the published one; None when latest.json does not have them all."""
    follows = {link.previous_run: link for link in version.latest.chain}
    found: list[ChangesetLink] = []
    while run != version.run:
        link = follows.pop(run, None)
        if link is None:
            return None
        found.append(link)
        run = link.run
    return found


def read_blocks(bucket: Bucket, version: PublishedVersion) -> Blocks | None:
    """The digests of the version's blocks; None when there are none (any more)."""
    if version.run is None:
        return None
    key = keys.shared(version.org, version.run, "contacts.blocks")
    info = bucket.head(key)
    if info is None:
        return None
    parts = _cut([(0, info.size_bytes)])
    blocks = parse_blocks(b"".join(bucket.get_range(key, at, length, etag=info.etag) for at, length in parts))
    return blocks if blocks.size_bytes == version.size_bytes else None


RANGE_BYTES = 8 * 1024 * 1024
"""The most that one request reads."""
_CONNECTIONS = 8


def fetch(
    bucket: Bucket, version: PublishedVersion, path: Path, wanted: list[tuple[int, int]], progress: Progress
) -> None:
    """Read ranges (offset, length) of a version into the same places of a file, which need not exist.

    InputError when the object was replaced meanwhile.
    """
    pieces = _cut(wanted)
    total_bytes, done_bytes = sum(length for _, length in pieces), 0

    def read(piece: tuple[int, int]) -> bytes:
        return bucket.get_range(version.key, *piece, etag=version.etag)

    path.touch()
    with ThreadPoolExecutor(_CONNECTIONS) as pool, path.open("r+b") as file:
        try:
            # A few at a time: what has arrived waits in memory.
            for group in batched(pieces, 2 * _CONNECTIONS, strict=False):
                for (at, length), body in zip(group, pool.map(read, group), strict=True):
                    file.seek(at)
                    file.write(body)
                    done_bytes += length
                    progress("fetching", done_bytes, total_bytes)
        except SourceChangedError:
            raise InputError(f"{version.org} got a new version meanwhile; pull again.") from None


def _cut(wanted: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [
        (at, min(RANGE_BYTES, offset + length - at))
        for offset, length in wanted
        for at in range(offset, offset + length, RANGE_BYTES)
    ]
