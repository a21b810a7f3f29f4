"""What a merge asks of candidates.bin beyond its frame, and its blocks, compressed and back."""

import zlib

from mailtide.contracts.candidates import MIN_ROW_BYTES, Block, PartHeader, UnreadableError
from mailtide.machine.chunks.columns import Cursor

_LEVEL = 1
_CONTACT_BYTES, _SECTION_BYTES, _ROW_BYTES = 64, 64, 48
"""More than a contact, the columns of a section and a row take before they are compressed."""


def compress(contacts: int, raw: bytes) -> tuple[Block, bytes]:
    """A block as it is stored."""
    stored = zlib.compress(raw, _LEVEL)
    return Block(contacts=contacts, raw_bytes=len(raw), stored_bytes=len(stored)), stored


def check_lengths(header: PartHeader, most_sections: int) -> None:
    """Whether the blocks can be as long as they say. most_sections: of a block, at most. Raises UnreadableError."""
    most = (
        header.contacts * (_CONTACT_BYTES + most_sections * _ROW_BYTES)
        + len(header.blocks) * most_sections * _SECTION_BYTES
        + header.source_size_bytes // MIN_ROW_BYTES * _ROW_BYTES
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
