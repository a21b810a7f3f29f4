"""The last version of an organisation's database, kept on a volume between the tasks of a machine.

It is never trusted: what is taken of it is compared, block by block, with the digests of the wanted version, and the file that
comes of it with its ETag. It is one organisation's: before any task of another, everything is deleted, and a hostile
database that takes over the process of its task finds nothing of others.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

import httpx

from mailtide.contracts import TaskDocument
from mailtide.database.blocks import Blocks, differing, digest_of, parse_blocks, ranges
from mailtide.errors import MailtideError, SourceChangedError
from mailtide.machine import transfer
from mailtide.machine.delivery import Say

FOLDER = "mailtide"
"""Below the mount: a volume has things of the file system's own."""
MOST_RANGE_BYTES = 8 * 1024 * 1024
SMALL_GAP_BLOCKS = 8
"""Equal blocks between two differing ones that are fetched with them: a request takes as long as so many bytes."""
WORTHWHILE_SHARE = 0.8
"""When more than that differs, the whole is fetched by one request."""
OWN_PART_BYTES = 256 * 1024 * 1024
"""Of our own publications, for hosts that do not tell: were it wrong, the checksum would differ, and the whole be fetched."""
_CONNECTIONS = 8
_READ_BLOCKS = 256


class UselessError(MailtideError):
    """What is kept is of no use for this task."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """How a database came. way: `whole`, `ranges` or `kept`; moved_bytes: that the bucket sent."""

    way: str
    moved_bytes: int


@dataclass(frozen=True, slots=True)
class KeptFile:
    """One organisation's place on the volume. Whatever fails here costs a fetch, never the task."""

    path: Path

    def keep(self, database: Path, say: Say) -> None:
        """Put a database into its place; the one that stood there goes first, as a volume may hold only one."""
        partial = self.path.with_suffix(".part")
        try:
            self.path.unlink(missing_ok=True)
            shutil.copyfile(database, partial)
            partial.rename(self.path)
        except OSError as error:
            say(f"the database is not kept: {error.strerror}")
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def open_kept(cache_dir: Path | None, org: str, say: Say) -> KeptFile | None:
    """The place of an organisation's database, everything else deleted; None without a usable volume."""
    if cache_dir is None:
        return None
    folder = cache_dir / FOLDER
    name = f"{hashlib.sha256(org.encode()).hexdigest()[:32]}.db"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name != name or path.is_symlink():
                _delete(path)
    except OSError as error:
        say(f"the volume cannot be used: {error.strerror}")
        return None
    return KeptFile(folder / name)


def fetch_source(client: httpx.Client, document: TaskDocument, path: Path, kept: KeptFile | None, say: Say) -> Fetched:
    """Fetch the task's version of the database to `path`: what is kept and the ranges that changed, else the whole.

    Raises as `mailtide.machine.transfer.download`.
    """
    if kept is not None and kept.path.is_file():
        try:
            return _from_kept(client, document, path, kept.path)
        except SourceChangedError:
            raise
        except (MailtideError, OSError) as error:
            say(f"fetching all of it: {error}")
    source = document.source
    transfer.download(
        client,
        document.urls.source_get,
        path,
        etag=source.etag,
        size_bytes=source.size_bytes,
        part_bytes=document.source_part_bytes,
    )
    return Fetched("whole", source.size_bytes)


def _from_kept(client: httpx.Client, document: TaskDocument, path: Path, kept: Path) -> Fetched:
    """The wanted version made of what is kept, certainly. UselessError and other MailtideErrors when that cannot be."""
    source, part_bytes = document.source, document.source_part_bytes or OWN_PART_BYTES
    if not transfer.states_checksum(source.etag, source.size_bytes, part_bytes):
        raise UselessError("the bucket states no checksum of it")
    if document.urls.source_blocks_get is None:
        if kept.stat().st_size != source.size_bytes:
            raise UselessError("nobody has digests of it")
        shutil.copyfile(kept, path)
        fetched = Fetched("kept", 0)
    else:
        body = transfer.get_small(client, document.urls.source_blocks_get, "fetching the digests")
        blocks = parse_blocks(body)
        if blocks.size_bytes != source.size_bytes:
            raise UselessError("the digests are of another version")
        moved_bytes = _fetch_changed(client, document, path, kept, blocks)
        fetched = Fetched("ranges", len(body) + moved_bytes)
    if not transfer.matches(path, source.etag, part_bytes):
        raise UselessError("what is kept does not become the wanted version")
    return fetched


def _fetch_changed(client: httpx.Client, document: TaskDocument, path: Path, kept: Path, blocks: Blocks) -> int:
    """Write what is kept and equal, then fetch the rest; returns its bytes."""
    missing = list(_copy_equal(kept, path, blocks))
    pieces = list(ranges(_closed(missing), blocks.block_bytes, blocks.size_bytes, MOST_RANGE_BYTES))
    moved_bytes = sum(length for _, length in pieces)
    if moved_bytes > WORTHWHILE_SHARE * blocks.size_bytes:
        raise UselessError("most of it has changed")
    source = document.source
    reader = transfer.ObjectReader(client, document.urls.source_get, source.etag, source.size_bytes)
    with ThreadPoolExecutor(_CONNECTIONS) as pool, path.open("r+b") as file:
        # A few at a time: what has arrived waits in memory.
        for group in batched(pieces, 2 * _CONNECTIONS, strict=False):
            bodies = pool.map(lambda piece: reader.read(*piece), group)
            for (offset, _), body in zip(group, bodies, strict=True):
                file.seek(offset)
                file.write(body)
    return moved_bytes


def _copy_equal(kept: Path, path: Path, blocks: Blocks) -> Iterator[int]:
    """Make a file of the wanted size with the blocks of `kept` that it has in the same place; the indexes of the others."""
    size = blocks.block_bytes
    with kept.open("rb") as old, path.open("wb") as new:
        new.truncate(blocks.size_bytes)
        for first in range(0, len(blocks), _READ_BLOCKS):
            data = old.read(size * _READ_BLOCKS)
            parts = [data[at : at + size] for at in range(0, len(data), size)][: len(blocks) - first]
            mine = Blocks(size, len(data), b"".join(map(digest_of, parts)))
            theirs = _slice(blocks, first)
            changed = set(differing(mine, theirs))
            for number, part in enumerate(parts):
                if number not in changed:
                    new.seek((first + number) * size)
                    new.write(part)
            yield from (first + number for number in sorted(changed))


def _slice(blocks: Blocks, first: int) -> Blocks:
    count = min(_READ_BLOCKS, len(blocks) - first)
    digests = b"".join(blocks.digest(first + number) for number in range(count))
    return Blocks(blocks.block_bytes, count * blocks.block_bytes, digests)


def _closed(indexes: list[int]) -> Iterator[int]:
    """The indexes, and those of small gaps between them."""
    last = None
    for index in indexes:
        if last is not None and index - last - 1 <= SMALL_GAP_BLOCKS:
            yield from range(last + 1, index)
        yield index
        last = index


def _delete(path: Path) -> None:
    remove: Callable[[Path], object] = shutil.rmtree if path.is_dir() and not path.is_symlink() else Path.unlink
    remove(path)
