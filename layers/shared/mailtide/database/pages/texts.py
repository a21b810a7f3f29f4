"""Days and texts of columns: dates as day numbers, and texts that repeat as codes into one list."""

import threading
from collections.abc import Callable

import numpy as np

from mailtide.database.bulk import BEFORE_MONTH, DATE_WIDTH
from mailtide.database.pages.file import UnusualPagesError
from mailtide.database.pages.records import Values
from mailtide.database.values import FIRST_YEAR, LAST_YEAR
from mailtide.rules.columns import NO_DATE, Bool, Int32, UInt8

NULL_TEXT, OTHER_TEXT = -1, -2
_MAX_BYTES = 200
_MAX_DATE_BYTES = 40
_MAX_TEXTS = 4_096
_FIRST_PRINTED, _LAST_PRINTED = 0x20, 0x7E
_MULTIPLIER = 0x9E3779B97F4A7C15
MAX_BITS = 63
_YEAR_MONTH, _DAY = np.uint64(int.from_bytes(b"0000-00-", "little")), np.uint64(int.from_bytes(b"00", "little"))
_BYTE, _HIGH_BITS = np.uint64(0xFF), np.uint64(0x8080_8080_8080_8080)
_DIGIT, _EXACT = 0x7F - 9, 0x7F
_MOST_DAY = np.uint64(_DIGIT << 8 | _DIGIT)
_MOST_YEAR_MONTH = np.uint64(int.from_bytes(bytes([_DIGIT] * 4 + [_EXACT] + [_DIGIT] * 2 + [_EXACT]), "little"))
"""Added to what is left of a byte, these reach the high bit where it is more than a digit, or not the dash."""

type UInt64 = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]


def width_of(longest: int) -> int:
    """The smallest multiple of 8 that holds so many bytes, at least 8."""
    return max(8, -(-longest // 8) * 8)


def bits(flags: Bool) -> UInt64:
    """The flags of each row as one number, the first in the lowest bit; flags: shape (n, w), w a multiple of 8 up to 64."""
    rows, width = flags.shape
    packed = np.zeros((rows, 8), np.uint8)
    packed[:, : width // 8] = np.packbits(flags.reshape(-1), bitorder="little").reshape(rows, width // 8)
    return packed.view("<u8")[:, 0]


def inside(length: Int32) -> UInt64:
    """`bits` of the first bytes of each row; length: 0 to MAX_BITS, shape (n,)."""
    return (np.uint64(1) << length.astype(np.uint64)) - np.uint64(1)


def unprinted(bytes_: UInt8, first: int) -> Bool:
    """Which bytes are no ASCII characters from `first` to the last that is printed."""
    return bytes_ - np.uint8(first) > np.uint8(_LAST_PRINTED - first)


def plain(bytes_: UInt8, length: Int32) -> Bool:
    """Whether the first `length` bytes of each row are printable ASCII; bytes_: shape (n, w) -> (n,). length: up to MAX_BITS."""
    odd: Bool = bits(unprinted(bytes_, _FIRST_PRINTED)) & inside(length) == 0
    return odd


def days(values: Values) -> tuple[Int32, Bool]:
    """Days of dates, NO_DATE for NULL; and which rows must be read exactly and slowly (what `read_date` may see otherwise)."""
    length = values.length
    known = values.is_text & (length >= DATE_WIDTH) & (length <= _MAX_DATE_BYTES)
    day = np.full(len(known), NO_DATE, np.int32)
    if known.any():
        found, valid = _days(values.window(16).view("<u8"))
        known &= valid
        longer = np.flatnonzero(known & (length > DATE_WIDTH))
        if len(longer):
            known[longer] = plain(values[longer].window(width_of(_MAX_DATE_BYTES)), length[longer])
        np.copyto(day, found, where=known)
    return day, ~(known | values.is_null)


def _days(words: UInt64) -> tuple[Int32, Bool]:
    """The days of texts `dddd-dd-dd`, and which are dates of the years that count; words: the first 16 bytes, shape (n, 2)."""
    # What is left of a digit is its value, and of a dash nothing.
    year_month, day = words[:, 0] ^ _YEAR_MONTH, words[:, 1] & np.uint64(0xFFFF) ^ _DAY
    odd = ((year_month + _MOST_YEAR_MONTH) | year_month) & _HIGH_BITS
    odd |= ((day + _MOST_DAY) | day) & _HIGH_BITS
    pairs = year_month * np.uint64(10) + (year_month >> np.uint64(8))
    year = (pairs & _BYTE).astype(np.int32) * 100 + (pairs >> np.uint64(16) & _BYTE).astype(np.int32)
    month = (pairs >> np.uint64(40) & _BYTE).astype(np.int32)
    of_month = (day & _BYTE).astype(np.int32) * 10 + (day >> np.uint64(8)).astype(np.int32)
    valid = (odd == 0) & (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (month >= 1) & (month <= 12) & (of_month >= 1)
    at = np.where(valid, (year - FIRST_YEAR) * 12 + month - 1, 0)
    found = BEFORE_MONTH.take(at) + of_month
    valid &= found <= BEFORE_MONTH.take(at + 1)
    return found, valid


class Texts:
    """A list of texts that grows as columns are read, by any number of threads."""

    def __init__(self, decode: Callable[[bytes], str | None]) -> None:
        """decode: the text of stored bytes, None for what reads as no text."""
        self.texts: list[str] = []
        self._decode = decode
        self._codes: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def codes(self, values: Values) -> Int32:
        """The index of each text in `texts`; NULL_TEXT, or OTHER_TEXT for what is no text, or not one that can be a code.

        Raises UnusualPagesError when there are too many different texts.
        """
        codes = np.where(values.is_null, np.int32(NULL_TEXT), np.int32(OTHER_TEXT))
        length = values.length
        rows = np.flatnonzero(values.is_text & (length <= _MAX_BYTES))
        if len(rows):
            length = length[rows]
            width = width_of(int(length.max()))
            seen = values[rows].window(width)
            seen *= np.arange(width, dtype=np.int32) < length[:, None]
            codes[rows] = self._coded(seen.view(np.uint64), length)
        return codes

    def _coded(self, words: UInt64, length: Int32) -> Int32:
        mixed = length.astype(np.uint64)
        for column in words.T:
            mixed = (mixed ^ column) * np.uint64(_MULTIPLIER)
            mixed ^= mixed >> np.uint64(29)
        _, first, which = np.unique(mixed, return_index=True, return_inverse=True)
        if (words != words[first][which]).any() or (length != length[first][which]).any():
            # Two texts of one hash: nobody meets that by chance.
            raise UnusualPagesError
        known = [self._code(words[row].tobytes()[: length[row]]) for row in first.tolist()]
        return np.array(known, np.int32)[which]

    def _code(self, stored: bytes) -> int:
        code = self._codes.get(stored)
        if code is not None:
            return code
        text = self._decode(stored)
        with self._lock:
            if stored not in self._codes:
                if len(self._codes) >= _MAX_TEXTS:
                    raise UnusualPagesError
                self._codes[stored] = OTHER_TEXT if text is None else len(self.texts)
                if text is not None:
                    self.texts.append(text)
            return self._codes[stored]
