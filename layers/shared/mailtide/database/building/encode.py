"""Records and integers as the file format writes them."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mailtide.rules.columns import Int8, Int32, Int64

INTEGER_BYTES = np.array([0, 1, 2, 3, 4, 6, 8, 0, 0, 0], np.int32)
"""By serial type 1..9; integers 0 and 1 take no bytes (types 8 and 9)."""
_LARGEST = ((1, 0x7F), (2, 0x7FFF), (3, 0x7F_FFFF), (4, 0x7FFF_FFFF), (5, 0x7FFF_FFFF_FFFF), (6, 2**63 - 1))


def serial_types(values: Int32 | Int64) -> Int8:
    """The serial type of each integer, shape (n,)."""
    magnitude = np.where(values < 0, ~values, values)
    kinds = np.full(len(values), 6, np.int8)
    for kind, largest in reversed(_LARGEST[:-1]):
        if largest <= np.iinfo(values.dtype).max:
            kinds[magnitude <= largest] = kind
    kinds[values == 0] = 8
    kinds[values == 1] = 9
    return kinds


def varint_bytes(values: Int32 | Int64) -> Int8:
    """How many bytes each integer from 0 on takes as a varint, shape (n,)."""
    width = np.ones(len(values), np.int8)
    for bits in range(7, 8 * values.itemsize - 1, 7):
        width += values >= 1 << bits
    return width


@lru_cache(4_096)
def varint(value: int) -> bytes:
    """An integer from 0 to 2^56 - 1."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))


class Place:
    """An integer or a day of a record that is filled in later: its serial type is known, its value is not."""

    def __init__(self, serial_type: int) -> None:
        self.serial_type = serial_type


DAY_BYTES = 10
DAY = Place(2 * DAY_BYTES + 13)
"""The place of a day as text, like 2026-01-31."""


def record(values: Sequence[str | int | Place | None]) -> tuple[bytes, list[int]]:
    """A record with zeros at its places, and where each place stands in it."""
    stored = [_place(value.serial_type) if isinstance(value, Place) else _stored(value) for value in values]
    header = b"".join([kind for kind, _ in stored])
    bodies = [body for _, body in stored]
    size = varint(len(header) + 1 if len(header) < 0x7F else len(header) + 2)
    start = len(size) + len(header)
    places = [index for index, value in enumerate(values) if isinstance(value, Place)]
    return b"".join((size, header, *bodies)), [start + sum(map(len, bodies[:index])) for index in places]


@lru_cache(16)
def _place(serial_type: int) -> tuple[bytes, bytes]:
    size = DAY_BYTES if serial_type == DAY.serial_type else int(INTEGER_BYTES[serial_type])
    return varint(serial_type), bytes(size)


@lru_cache(1 << 16)
def _stored(value: str | int | None) -> tuple[bytes, bytes]:
    """The serial type and the bytes of a value; rows share most of theirs."""
    if value is None:
        return varint(0), b""
    if isinstance(value, str):
        text = value.encode()
        return varint(2 * len(text) + 13), text
    kind = int(serial_types(np.array([value], np.int64))[0])
    width = int(INTEGER_BYTES[kind])
    return varint(kind), value.to_bytes(width, "big", signed=True) if width else b""
