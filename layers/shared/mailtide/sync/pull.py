"""Bringing a local file to the published version: whole, by the changesets in between, or by the blocks that differ."""

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from mailtide.contracts import ChangesetLink
from mailtide.database.blocks import Blocks, blocks_of, differing, ranges
from mailtide.database.changeset_apply import apply_file
from mailtide.database.changeset_between import bring_over
from mailtide.database.changeset_merge import Applied
from mailtide.database.locked import locked_file
from mailtide.database.run_tables import last_run
from mailtide.database.snapshot import consistent_copy
from mailtide.errors import InputError, MailtideError
from mailtide.ports import Bucket
from mailtide.sync.published import (
    RANGE_BYTES,
    Progress,
    PublishedVersion,
    chain_to,
    fetch,
    find_published,
    no_progress,
    read_blocks,
)

COUNTS = ("inserted", "updated", "deleted", "kept", "replaced", "moved", "gone")

type Way = Literal["current", "changesets", "blocks", "whole", "new"]


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did. way: how the published version came; moved_bytes: that the bucket sent, of size_bytes in all.

    run: the run whose schedule stands in the file now. Counts as of Applied, over all changesets.
    """

    org: str
    way: Way
    run: str | None
    moved_bytes: int
    size_bytes: int
    changesets: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    kept: int = 0
    replaced: int = 0
    moved: int = 0
    gone: int = 0


def pull(bucket: Bucket, org: str, path: Path, progress: Progress = no_progress) -> Pulled:
    """Bring the file at `path` to the published version; where there is none, make it.

    A file that is there keeps everything but its planned mails: its history wins, its other tables are not touched. It is
    locked while it is written, as `mailtide schedule` locks it, and ends as it was or as it should be.

    Raises InputError when there is nothing to pull, DatabaseError when the file cannot be used.
    """
    version = find_published(bucket, org)
    if not path.exists():
        _fetch_new(bucket, version, path, progress)
        return Pulled(org, "new", version.run, version.size_bytes, version.size_bytes)
    stands = _last_run(path)
    if version.run is not None and stands == version.run:
        return Pulled(org, "current", version.run, 0, version.size_bytes)
    links = chain_to(version, stands) if version.run is not None else None
    if links is not None and sum(link.size_bytes for link in links) < version.size_bytes:
        found = _by_changesets(bucket, version, path, links, progress)
        if found is not None:
            return found
    return _by_blocks(bucket, version, path, progress)


def _last_run(path: Path) -> str | None:
    with locked_file(path) as locked:
        return last_run(locked.connection, locked.preparation.runs)


def _fetch_new(bucket: Bucket, version: PublishedVersion, path: Path, progress: Progress) -> None:
    """Fetch the whole of it beside the path, and rename it when it is complete."""
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}.")
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        fetch(bucket, version, partial, [(0, version.size_bytes)], progress)
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _by_changesets(
    bucket: Bucket, version: PublishedVersion, path: Path, links: list[ChangesetLink], progress: Progress
) -> Pulled | None:
    """Apply the changesets in between; None when one of them is no longer there."""
    total = Applied("", "")
    with TemporaryDirectory(prefix="mailtide-pull-") as folder:
        files = []
        for link in links:
            info = bucket.head(link.key)
            if info is None:
                return None
            part = replace(version, key=link.key, etag=info.etag, size_bytes=info.size_bytes)
            files.append(Path(folder) / f"{link.run}.changeset")
            fetch(bucket, part, files[-1], [(0, info.size_bytes)], progress)
        moved_bytes = sum(file.stat().st_size for file in files)
        for file in files:
            _add(total, apply_file(file, path))
    return Pulled(version.org, "changesets", version.run, moved_bytes, version.size_bytes, len(links), **_counts(total))


def _by_blocks(bucket: Bucket, version: PublishedVersion, path: Path, progress: Progress) -> Pulled:
    """Make the published file of a copy of this one and the blocks that differ, and take its schedule over."""
    with TemporaryDirectory(prefix="mailtide-pull-") as name:
        folder = Path(name)
        here, there = folder / "here.db", folder / "published.db"
        consistent_copy(path, here)
        blocks = read_blocks(bucket, version)
        if blocks is None:
            wanted = [(0, version.size_bytes)]
            fetch(bucket, version, there, wanted, progress)
        else:
            wanted = _patch(bucket, version, here, there, blocks, progress)
        moved_bytes = sum(length for _, length in wanted) + (len(blocks.to_bytes()) if blocks else 0)
        done = bring_over(there, here, path, folder / "changes")
    way: Way = "blocks" if blocks is not None else "whole"
    return Pulled(version.org, way, version.run, moved_bytes, version.size_bytes, 0, **_counts(done))


def _patch(
    bucket: Bucket, version: PublishedVersion, here: Path, there: Path, blocks: Blocks, progress: Progress
) -> list[tuple[int, int]]:
    """Make `there` the published file; returns the ranges that were fetched for it."""
    shutil.copyfile(here, there)
    os.truncate(there, version.size_bytes)
    mine = blocks_of(here, blocks.block_bytes)
    wanted = list(ranges(differing(mine, blocks), blocks.block_bytes, version.size_bytes, RANGE_BYTES))
    fetch(bucket, version, there, wanted, progress)
    if blocks_of(there, blocks.block_bytes).digests != blocks.digests:
        raise MailtideError("The published database did not arrive as its digests say; try again.")
    return wanted


def _add(total: Applied, other: Applied) -> None:
    for name in COUNTS:
        setattr(total, name, getattr(total, name) + getattr(other, name))


def _counts(done: Applied) -> dict[str, int]:
    return {name: getattr(done, name) for name in COUNTS}
