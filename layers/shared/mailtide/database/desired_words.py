"""The desired rows as one integer each, found by type, campaign and contact: a standing row needs one look (spec §9).

A word holds the event in its high bits and all else that is compared in the low ones, so that equal words are equal rows.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mailtide.rules.columns import Bool, Codes, Desired, Int32, Int64, Numbers
from mailtide.rules.distinct import distinct

_CHUNK_ROWS, _CHUNK_CELLS = 1 << 17, 1 << 20
_MAX_WORD_BITS, _NARROW_BITS = 62, 32
_MAX_CELLS_A_ROW = 4
_SMALL = 1 << 16

type Word = Int64 | NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class _Range:
    """One column of a word: values low .. high take so many bits."""

    low: int
    high: int

    @staticmethod
    def of(values: Codes | Numbers) -> "_Range":
        return _Range(int(values.min()), int(values.max()))

    @property
    def bits(self) -> int:
        return (self.high - self.low).bit_length()

    def holds(self, values: Codes | Numbers) -> Bool:
        inside: Bool = (values >= self.low) & (values <= self.high)
        return inside


@dataclass(frozen=True, slots=True, kw_only=True)
class RowColumns:
    """What is compared, in the codes of the desired rows; every array has shape (n,)."""

    email_type: Codes
    campaign: Numbers
    event: Int32
    send: Int32
    reason: Codes
    priority: Numbers
    email_template: Codes
    sms_template: Codes

    @property
    def details(self) -> tuple[Codes | Numbers, ...]:
        """All but the key."""
        return self.send, self.reason, self.priority, self.email_template, self.sms_template


class Words:
    """Finds desired rows, and tells which are equal. Made by `words_of`."""

    def __init__(self, desired: Desired, contacts: int) -> None:
        self._contacts = contacts
        self._columns = RowColumns(
            email_type=desired.email_type,
            campaign=desired.campaign,
            event=desired.event,
            send=desired.send,
            reason=desired.skip_reason,
            priority=desired.priority,
            email_template=desired.email_template,
            sms_template=desired.sms_template,
        )
        self._contact = desired.contact
        self._campaigns = distinct(desired.campaign[desired.campaign != 0])
        self._event = _Range.of(desired.event)
        self._details = [_Range.of(values) for values in self._columns.details]
        # One bit more than they need: set where no desired row can be equal.
        self.detail_bits = sum(column.bits for column in self._details) + 1
        self._groups = self._group_codes(len(desired.types))
        self._cells = (int(self._groups.max(initial=-1)) + 1) * contacts
        self.word: Word = np.empty(0, np.int64)
        self.place = np.empty(0, np.int32)

    def _group_codes(self, types: int) -> Int32:
        """The number of each type and campaign that desired rows have, -1 for others."""
        combined = np.zeros(types * (len(self._campaigns) + 1), np.bool_)
        for start in range(0, len(self._contact), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            combined[self._combined(self._columns.email_type[rows], self._columns.campaign[rows])] = True
        codes: Int32 = np.where(combined, np.cumsum(combined) - 1, -1).astype(np.int32)
        return codes

    def _combined(self, email_type: Codes, campaign: Numbers) -> Codes | Int64:
        """Type and campaign as one index, of known types and campaigns."""
        if not len(self._campaigns):
            return email_type
        rank = np.where(campaign == 0, 0, np.searchsorted(self._campaigns, campaign) + 1)
        combined: Int64 = email_type.astype(np.int64) * (len(self._campaigns) + 1) + rank
        return combined

    @property
    def is_possible(self) -> bool:
        """Whether the words are narrow enough, and the places not too many."""
        most = min(_MAX_CELLS_A_ROW * len(self._contact) + _SMALL, np.iinfo(np.int32).max)
        return self._bits <= _MAX_WORD_BITS and self._cells <= most

    @property
    def _bits(self) -> int:
        return self._event.bits + self.detail_bits

    def make_room(self) -> None:
        """To be called before anything is filled in."""
        # They are looked at in no order: half the bytes miss the processor's cache half as often.
        narrow = self._bits <= _NARROW_BITS
        self.word = np.empty(len(self._contact), np.uint32) if narrow else np.empty(len(self._contact), np.int64)
        self.place = np.empty(self._cells, np.int32)

    def clear(self, start: int) -> None:
        """Note of some places that nobody has them."""
        self.place[start : start + _CHUNK_CELLS] = -1

    def fill(self, start: int) -> None:
        """Make the words of some rows, and note their places."""
        rows = slice(start, min(start + _CHUNK_ROWS, len(self.word)))
        columns = self._columns
        group = self._groups[self._combined(columns.email_type[rows], columns.campaign[rows])]
        word = (columns.event[rows] - np.int32(self._event.low)).astype(np.int64) << 1
        for values, column in zip(columns.details, self._details, strict=True):
            if column.bits:
                word <<= column.bits
                word |= values[rows] - column.low
        self.word[rows] = word
        self.place[group * np.int32(self._contacts) + self._contact[rows]] = np.arange(rows.start, rows.stop)

    def first_place(self, rows: RowColumns) -> Int32:
        """Where in `place` the contacts of each row's type and campaign begin; -1 where no desired row has its key."""
        known = (rows.email_type >= 0) & self._event.holds(rows.event)
        if len(self._campaigns):
            at = np.minimum(np.searchsorted(self._campaigns, rows.campaign), len(self._campaigns) - 1)
            known &= (rows.campaign == 0) | (self._campaigns[at] == rows.campaign)
        else:
            known &= rows.campaign == 0
        group = np.full(len(known), -1, np.int32)
        group[known] = self._groups[self._combined(rows.email_type[known], rows.campaign[known])]
        return np.where(group < 0, np.int32(-1), group * np.int32(self._contacts))

    def words(self, rows: RowColumns, possible: Bool) -> Word:
        """The words of rows with known keys. possible: whether any desired row can be equal."""
        inside = possible.copy()
        word = (rows.event.astype(np.int64) - self._event.low) << 1
        for values, column in zip(rows.details, self._details, strict=True):
            held = column.holds(values)
            inside &= held
            word = word << column.bits | np.where(held, values - column.low, 0)
        judged: Int64 = np.where(inside, word, word | 1 << self.detail_bits - 1)
        return judged.astype(np.uint32) if self.word.dtype == np.uint32 else judged


def words_of(desired: Desired, contacts: int, threads: int) -> Words | None:
    """The words of the desired rows; None where they must be found otherwise, as where two differ in the event only."""
    if not len(desired):
        return None
    words = Words(desired, contacts)
    if not words.is_possible:
        return None
    words.make_room()
    with ThreadPoolExecutor(threads) as pool:
        all_done(pool.map(words.clear, range(0, len(words.place), _CHUNK_CELLS)))
        all_done(pool.map(words.fill, range(0, len(desired), _CHUNK_ROWS)))
    return words if np.count_nonzero(words.place >= 0) == len(desired) else None


def all_done(results: Iterable[None]) -> None:
    """Wait for all of a pool's work, and raise what it raised."""
    for _ in results:
        pass
