"""Digests of a file's blocks: they tell which ranges of two versions differ, so that only those travel. No numpy."""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mailtide.errors import DatabaseError

BLOCK_BYTES = 16 * 1024
DIGEST_BYTES = 16
_HEAD = struct.Struct(">8sIQ")
_MAGIC = b"mtblock1"
_READ_BLOCKS = 256


@dataclass(frozen=True, slots=True)
class Blocks:
    """The first 16 bytes of the SHA-256 of each block of a file, in order; the last block may be shorter."""

    block_bytes: int
    size_bytes: int
    digests: bytes

    def __len__(self) -> int:
        return len(self.digests) // DIGEST_BYTES

    def digest(self, index: int) -> bytes:
        """Of one block; empty beyond the end."""
        return self.digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]

    def to_bytes(self) -> bytes:
        """As it is stored: eight letters, block size (4 bytes), file size (8 bytes, big-endian), the digests."""
        return _HEAD.pack(_MAGIC, self.block_bytes, self.size_bytes) + self.digests


def parse_blocks(body: bytes) -> Blocks:
    """The stored form read back. DatabaseError when it is something else."""
    wrong = DatabaseError("The digests of the published database cannot be read.")
    if len(body) < _HEAD.size:
        raise wrong
    magic, block_bytes, size_bytes = _HEAD.unpack_from(body)
    digests = body[_HEAD.size :]
    if magic != _MAGIC or not 512 <= block_bytes <= 1 << 26:
        raise wrong
    if len(digests) != -(-size_bytes // block_bytes) * DIGEST_BYTES:
        raise wrong
    return Blocks(block_bytes, size_bytes, digests)


def digest_of(block: bytes) -> bytes:
    """The digest of one block."""
    return hashlib.sha256(block).digest()[:DIGEST_BYTES]


def blocks_of(path: Path, block_bytes: int = BLOCK_BYTES) -> Blocks:
    """The digests of a file that nobody writes meanwhile."""
    with path.open("rb") as file:
        digests = [
            digest_of(part[at : at + block_bytes])
            for part in iter(lambda: file.read(block_bytes * _READ_BLOCKS), b"")
            for at in range(0, len(part), block_bytes)
        ]
    return Blocks(block_bytes, path.stat().st_size, b"".join(digests))


def differing(old: Blocks, new: Blocks) -> Iterator[int]:
    """The indexes of the blocks of `new` that `old` does not have in the same place. Block sizes must be equal."""
    return (index for index in range(len(new)) if new.digest(index) != old.digest(index))


def ranges(indexes: Iterable[int], block_bytes: int, size_bytes: int, most_bytes: int) -> Iterator[tuple[int, int]]:
    """Neighbouring blocks as (offset, length), none longer than `most_bytes`. indexes: ascending."""
    first, last = -1, -2
    most = max(1, most_bytes // block_bytes)
    for index in indexes:
        if index != last + 1 or index - first >= most:
            if first >= 0:
                yield _range(first, last, block_bytes, size_bytes)
            first = index
        last = index
    if first >= 0:
        yield _range(first, last, block_bytes, size_bytes)


def _range(first: int, last: int, block_bytes: int, size_bytes: int) -> tuple[int, int]:
    start = first * block_bytes
    return start, min((last + 1) * block_bytes, size_bytes) - start
