"""Packed columns of integers: the least value, and what each is above it, in as few bytes as the greatest needs.

All little-endian. A column is `width` (1 byte: 0, 1, 2, 4 or 8), `base` (8 bytes, modulo 2^64), then its values.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from mailtide.contracts.candidates import UnreadableError
from mailtide.rules.columns import Int64

_HEAD = struct.Struct("<BQ")
_DTYPES: dict[int, np.dtype[np.unsignedinteger]] = {
    1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8"),
}  # fmt: skip
HEAD_BYTES = _HEAD.size
MAX_WIDTH = 8

type UInt64 = NDArray[np.uint64]


def pack(values: NDArray[np.signedinteger] | UInt64) -> bytes:
    """The column of integers of up to 64 bits; shape (n,)."""
    if not len(values):
        return _HEAD.pack(0, 0)
    base = int(values.min()) % 2**64
    wide = values.astype(np.uint64) if values.dtype == np.uint64 else values.astype(np.int64).view(np.uint64)
    above = wide - np.uint64(base)
    greatest = int(above.max())
    width = next(width for width in (0, *_DTYPES) if greatest < 1 << 8 * width)
    return _HEAD.pack(width, base) + (above.astype(_DTYPES[width]).tobytes() if width else b"")


class Cursor:
    """Reads columns one after the other; nothing is allocated before the bytes for it are known to be there."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def left(self) -> int:
        """The bytes that are left."""
        return len(self._data) - self._at

    def number(self, width: int) -> int:
        """An unsigned integer of `width` bytes. Raises UnreadableError."""
        return int.from_bytes(self._take(width), "little")

    def unsigned(self, count: int, *, most_constant: int) -> UInt64:
        """A column of `count` values, modulo 2^64. most_constant: how many there may be of a column without bytes."""
        width, base = _HEAD.unpack(self._take(_HEAD.size))
        if width not in (0, *_DTYPES):
            raise UnreadableError("a column has an unknown width")
        if not width:
            if count > most_constant:
                raise UnreadableError("it counts more rows than it can have")
            return np.full(count, base, np.uint64)
        stored: UInt64 = np.frombuffer(self._take(count * width), _DTYPES[width]).astype(np.uint64)
        return stored + np.uint64(base)

    def signed(self, count: int, *, most_constant: int) -> Int64:
        """Likewise, as signed integers."""
        return self.unsigned(count, most_constant=most_constant).view(np.int64)

    def _take(self, count: int) -> memoryview:
        if count > self.left:
            raise UnreadableError("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]
