"""Days and texts of columns: dates as day numbers, and texts that repeat as codes into one list."""

import threading
from collections.abc import Callable

import numpy as np

from mailtide.database.bulk import DATE_WIDTH, parse_dates
from mailtide.database.pages.file import UnusualPagesError
from mailtide.database.pages.records import Values
from mailtide.rules.columns import NO_DATE, Bool, Int32, UInt8

NULL_TEXT, OTHER_TEXT = -1, -2
_MAX_BYTES = 200
_MAX_DATE_BYTES = 40
_MAX_TEXTS = 4_096
_FIRST_PRINTED, _LAST_PRINTED = 0x20, 0x7E
_MULTIPLIER = 0x9E3779B97F4A7C15

type UInt64 = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]


def width_of(longest: int) -> int:
    """The smallest multiple of 8 that holds so many bytes, at least 8."""
    return max(8, -(-longest // 8) * 8)


def plain(bytes_: UInt8, length: Int32) -> Bool:
    """Whether the first `length` bytes of each row are printable ASCII; bytes_: shape (n, w) -> (n,)."""
    printable = (bytes_ >= _FIRST_PRINTED) & (bytes_ <= _LAST_PRINTED)
    printable |= np.arange(bytes_.shape[1], dtype=np.int32) >= length[:, None]
    return printable.all(axis=1)


def days(values: Values) -> tuple[Int32, Bool]:
    """Days of dates, NO_DATE for NULL; and which rows must be read exactly and slowly (what `read_date` may see otherwise)."""
    day = np.full(len(values.kind), NO_DATE, np.int32)
    length = values.length
    bad = ~values.is_null
    rows = np.flatnonzero(values.is_text & (length >= DATE_WIDTH) & (length <= _MAX_DATE_BYTES))
    if len(rows):
        chosen, length = values[rows], length[rows]
        seen = chosen.window(width_of(int(length.max())))
        day[rows], wrong = parse_dates(seen[:, :DATE_WIDTH])
        wrong |= day[rows] == NO_DATE
        longer = np.flatnonzero(length > DATE_WIDTH)
        if len(longer):
            wrong[longer] |= ~plain(seen[longer], length[longer])
        bad[rows] = wrong
        day[bad] = NO_DATE
    return day, bad


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
