"""candidates.bin: what one chunk machine delivers. Its frame is read by collect_parts and by the merge; no numpy.

Layout: the magic bytes, the format's version (2 bytes), the length of the header (4 bytes), the header as JSON, then the
blocks as the header counts them, each compressed with zlib, and the SHA-256 of all that. Numbers are little-endian.
"""

import hashlib
import struct
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import Field, ValidationError

from mailtide.contracts.base import Contract, TaskName
from mailtide.contracts.state import SourceRef

MAGIC = b"mailtide"
VERSION = 1
MAX_BLOCK_CONTACTS = 1 << 16
MAX_HEADER_BYTES = 16 << 20
MIN_ROW_BYTES = 4
"""The fewest bytes that a row of a table takes in a file of SQLite: its pointer, length, rowid and record header."""
_HEAD = struct.Struct("<8sHI")
_DIGEST_BYTES = 32

type Count = Annotated[int, Field(ge=0)]


class UnreadableError(Exception):
    """The bytes are not what they should be; `str(error)` says how, as the end of a sentence."""


class Block(Contract):
    """One block: how many contacts, and its bytes before and after it is compressed."""

    contacts: Annotated[int, Field(ge=1, le=MAX_BLOCK_CONTACTS)]
    raw_bytes: Count
    stored_bytes: Count


class PartHeader(Contract):
    """Whose candidates these are, and what the chunk's machine counted."""

    run: str
    task: TaskName
    first_id: int | None
    last_id: int | None
    as_of: date
    source_etag: str
    source_size_bytes: Count
    rules_sha256: str
    suppressions_sha256: str
    sources_sha256: str
    """`mailtide.rules.ground.digest_of` the campaigns that were read."""
    rows: Count
    """Rows of the table contacts that belong to the chunk, those without a readable id included (in the first chunk)."""
    contacts: Count
    eligible: Count
    skipped_contacts: dict[str, Count]
    """By reason; `invalid_id` among them."""
    state_zip_mismatch: Count
    quality: dict[str, Count]
    """Values of contacts that could not be read, by kind."""
    shared_quality: dict[str, Count]
    """Likewise of tables that every chunk reads whole: the same in all chunks of a run."""
    blocks: tuple[Block, ...]

    def check(self, *, run: str, task: str, as_of: date, source: SourceRef) -> None:
        """Whether these are the candidates that somebody waits for, and their counts possible. Raises UnreadableError."""
        wanted: tuple[tuple[str, object, object], ...] = (
            ("another run", self.run, run),
            ("another chunk", self.task, task),
            ("another day", self.as_of, as_of),
            ("another version of the database", self.source_etag, source.etag),
            ("another version of the database", self.source_size_bytes, source.size_bytes),
        )
        for what, found, expected in wanted:
            if found != expected:
                raise UnreadableError(f"they are of {what}")
        skipped = sum(self.skipped_contacts.values())
        if self.rows > self.source_size_bytes // MIN_ROW_BYTES or self.eligible + skipped != self.rows:
            raise UnreadableError("their counts are impossible")
        if self.contacts + self.skipped_contacts.get("invalid_id", 0) != self.rows:
            raise UnreadableError("their counts are impossible")


@dataclass(frozen=True, slots=True)
class PartFrame:
    """A part whose frame and header were checked; `blocks` are still compressed."""

    header: PartHeader
    blocks: list[memoryview]


def write_candidates(header: PartHeader, blocks: list[bytes]) -> bytes:
    """The bytes of candidates.bin. blocks: compressed, in the order of header.blocks."""
    described = header.model_dump_json().encode()
    body = b"".join([_HEAD.pack(MAGIC, VERSION, len(described)), described, *blocks])
    return body + hashlib.sha256(body).digest()


def read_candidates(data: bytes) -> PartFrame:
    """Check frame, checksum and lengths. Raises UnreadableError."""
    if len(data) < _HEAD.size + _DIGEST_BYTES:
        raise UnreadableError("they are cut short")
    magic, version, length = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise UnreadableError("they are no candidates of mailtide")
    if version != VERSION:
        raise UnreadableError(f"they are of version {version} of the format, and version {VERSION} is read here")
    view = memoryview(data)
    body, digest = view[:-_DIGEST_BYTES], view[-_DIGEST_BYTES:]
    if length > min(MAX_HEADER_BYTES, len(body) - _HEAD.size):
        raise UnreadableError("they are cut short")
    if hashlib.sha256(body).digest() != digest:
        raise UnreadableError("they do not have their checksum")
    try:
        header = PartHeader.model_validate_json(bytes(body[_HEAD.size : _HEAD.size + length]))
    except ValidationError:
        raise UnreadableError("their header is not readable") from None
    return PartFrame(header, _cut(header, body[_HEAD.size + length :]))


def _cut(header: PartHeader, stored: memoryview) -> list[memoryview]:
    sizes = [block.stored_bytes for block in header.blocks]
    if sum(sizes) != len(stored) or sum(block.contacts for block in header.blocks) != header.contacts:
        raise UnreadableError("their lengths contradict one another")
    blocks: list[memoryview] = []
    for size in sizes:
        blocks.append(stored[:size])
        stored = stored[size:]
    return blocks
