"""candidates.bin: what one chunk machine delivers, and how much of it is believed.

Layout: the magic bytes, the format's version (2 bytes), the length of the header (4 bytes), the header as JSON, then the
blocks as the header counts them, each compressed with zlib, and the SHA-256 of all that. Numbers are little-endian.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import Field, ValidationError

from mailtide.contracts import Contract, TaskDocument, TaskName
from mailtide.machine.chunks.columns import Cursor, UnreadableError

MAGIC = b"mailtide"
VERSION = 1
MAX_BLOCK_CONTACTS = 1 << 16
MAX_HEADER_BYTES = 16 << 20
_HEAD = struct.Struct("<8sHI")
_DIGEST_BYTES = 32
_LEVEL = 1
_MIN_ROW_BYTES = 4
"""The fewest bytes that a row of a table takes in a file of SQLite: its pointer, length, rowid and record header."""
_CONTACT_BYTES, _SECTION_BYTES, _ROW_BYTES = 64, 64, 48
"""More than a contact, the columns of a section and a row take before they are compressed."""

type Count = Annotated[int, Field(ge=0)]


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


@dataclass(frozen=True, slots=True)
class Part:
    """A part whose frame and header were checked; `blocks` are still compressed."""

    header: PartHeader
    blocks: list[memoryview]


def write_part(header: PartHeader, blocks: list[bytes]) -> bytes:
    """The bytes of candidates.bin. blocks: compressed, as `compress` gives them, in the order of header.blocks."""
    described = header.model_dump_json().encode()
    body = b"".join([_HEAD.pack(MAGIC, VERSION, len(described)), described, *blocks])
    return body + hashlib.sha256(body).digest()


def compress(contacts: int, raw: bytes) -> tuple[Block, bytes]:
    """A block as it is stored."""
    stored = zlib.compress(raw, _LEVEL)
    return Block(contacts=contacts, raw_bytes=len(raw), stored_bytes=len(stored)), stored


def read_part(data: bytes) -> Part:
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
    return Part(header, _cut(header, body[_HEAD.size + length :]))


def _cut(header: PartHeader, stored: memoryview) -> list[memoryview]:
    sizes = [block.stored_bytes for block in header.blocks]
    if sum(sizes) != len(stored) or sum(block.contacts for block in header.blocks) != header.contacts:
        raise UnreadableError("their lengths contradict one another")
    blocks: list[memoryview] = []
    for size in sizes:
        blocks.append(stored[:size])
        stored = stored[size:]
    return blocks


def check_header(header: PartHeader, document: TaskDocument, task: str, rules_sha256: str, sources_sha256: str) -> None:
    """Whether these are the candidates that a merge waits for. Raises UnreadableError."""
    wanted = {
        "run": document.run,
        "task": task,
        "as_of": document.as_of,
        "source_etag": document.source.etag,
        "source_size_bytes": document.source.size_bytes,
        "rules_sha256": rules_sha256,
        "sources_sha256": sources_sha256,
    }
    names = {
        "run": "another run",
        "task": "another chunk",
        "as_of": "another day",
        "source_etag": "another version of the database",
        "source_size_bytes": "another version of the database",
        "rules_sha256": "other rules",
        "sources_sha256": "other campaigns",
    }
    for name, value in wanted.items():
        if getattr(header, name) != value:
            raise UnreadableError(f"they are of {names[name]}")
    skipped = sum(header.skipped_contacts.values())
    if header.rows > header.source_size_bytes // _MIN_ROW_BYTES or header.eligible + skipped != header.rows:
        raise UnreadableError("their counts are impossible")
    if header.contacts + header.skipped_contacts.get("invalid_id", 0) != header.rows:
        raise UnreadableError("their counts are impossible")


def check_lengths(header: PartHeader, most_sections: int) -> None:
    """Whether the blocks can be as long as they say. most_sections: of a block, at most. Raises UnreadableError."""
    most = (
        header.contacts * (_CONTACT_BYTES + most_sections * _ROW_BYTES)
        + len(header.blocks) * most_sections * _SECTION_BYTES
        + header.source_size_bytes // _MIN_ROW_BYTES * _ROW_BYTES
    )
    if sum(block.raw_bytes for block in header.blocks) > most:
        raise UnreadableError("a block is longer than it can be")


def decompress(block: Block, stored: memoryview) -> Cursor:
    """The columns of a block. Raises UnreadableError."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(stored, block.raw_bytes + 1)
    except zlib.error:
        raise UnreadableError("a block cannot be decompressed") from None
    if len(raw) != block.raw_bytes or not stream.eof or stream.unused_data:
        raise UnreadableError("a block does not have its length")
    return Cursor(raw)
