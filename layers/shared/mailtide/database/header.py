"""The 100-byte header of an SQLite file, checked before SQLite sees the file. No numpy.

Source: https://www.sqlite.org/fileformat2.html, section 1.3.
"""

from dataclasses import dataclass

from mailtide.errors import DatabaseError

HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\x00"
_CODECS = {0: "utf-8", 1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}
MISSING_WAL_WARNING = (
    "The database is in WAL mode and came without a -wal file; if rows were only there, they are missing "
    "(upload a copy made by SQLite's backup)."
)


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says and the size of the file does not contradict."""

    page_size: int
    usable_size: int
    """Page size less the bytes reserved at the end of each page."""
    page_count: int
    codec: str
    """Python's name of the text encoding."""
    is_wal: bool
    auto_vacuum: bool
    is_blank: bool
    """No table was ever made in it."""


def read_header(head: bytes, size_bytes: int) -> Header:
    """Parse and check the first 100 bytes of a file of `size_bytes`. Raises DatabaseError."""
    if size_bytes == 0:
        raise DatabaseError("The database file is empty (0 bytes).")
    if not head.startswith(_MAGIC):
        raise DatabaseError("The file is not an SQLite database (or it is encrypted).")
    if len(head) < HEADER_BYTES or size_bytes < 512:
        raise DatabaseError(f"The database is truncated: it has only {size_bytes} bytes.")
    page_size = _page_size(head)
    _check_versions(head)
    usable = page_size - head[20]
    if usable < 480:
        raise DatabaseError(f"The database header is damaged: {head[20]} of {page_size} bytes a page are reserved.")
    return Header(
        page_size=page_size,
        usable_size=usable,
        page_count=_page_count(head, page_size, size_bytes),
        codec=_codec(head),
        is_wal=head[19] == 2,
        auto_vacuum=_number(head, 52) != 0,
        is_blank=_number(head, 44) == 0,
    )


def _number(head: bytes, offset: int) -> int:
    return int.from_bytes(head[offset : offset + 4], "big")


def _page_size(head: bytes) -> int:
    stored = int.from_bytes(head[16:18], "big")
    page_size = 65_536 if stored == 1 else stored
    if page_size < 512 or page_size > 65_536 or page_size & (page_size - 1):
        raise DatabaseError(f"The database header is damaged: it gives a page size of {stored}.")
    return page_size


def _check_versions(head: bytes) -> None:
    if head[18] not in (1, 2) or head[19] not in (1, 2) or head[21:24] != b"\x40\x20\x20":
        raise DatabaseError("The database header is damaged, or written by a later SQLite.")
    if _number(head, 44) > 4:
        raise DatabaseError(f"The database header is damaged: it gives a schema format of {_number(head, 44)}.")


def _page_count(head: bytes, page_size: int, size_bytes: int) -> int:
    """The count of the header where it is valid (its two change counters agree), else what the size gives."""
    on_disk = size_bytes // page_size
    stored = _number(head, 28)
    if stored == 0 or head[24:28] != head[92:96]:
        stored = on_disk
    if stored > on_disk or stored == 0:
        raise DatabaseError(
            f"The database is truncated: its header counts {stored} pages of {page_size} bytes, "
            f"and the file has {size_bytes} bytes."
        )
    return stored


def _codec(head: bytes) -> str:
    encoding = _number(head, 56)
    if encoding not in _CODECS:
        raise DatabaseError(f"The database header is damaged: it gives {encoding} as the text encoding.")
    return _CODECS[encoding]
