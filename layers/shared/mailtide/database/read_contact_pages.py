"""Contacts from the file's pages: well-formed values in bulk, the rowids of all other rows for the slow path (spec §2)."""

from collections import Counter

import numpy as np

from mailtide.database.bulk import parse_small
from mailtide.database.contact_part import SLOW_STATE, STATE_BY_BYTES, ContactPart
from mailtide.database.id_range import EVERY_ID, IdRange
from mailtide.database.pages.file import PageFile, UnusualPagesError
from mailtide.database.pages.proof import TableProof
from mailtide.database.pages.records import Records, Values
from mailtide.database.pages.scan import positions, scan_pages
from mailtide.database.pages.texts import MAX_BITS, bits, days, inside, plain, unprinted, width_of
from mailtide.database.schema import Table
from mailtide.rules.columns import NO_STATE, Bool, Int32, Int64, UInt8

_SPACE, _FIRST_PRINTED, _AT, _DOT = ord(" "), ord("!"), ord("@"), ord(".")
_ONE = np.uint64(1)
_LETTERS = np.array([chr(byte).isascii() and chr(byte).isalpha() for byte in range(256)], np.bool_)
_MAX_STATE, _MAX_ZIP, _ZIP_DIGITS, _MAX_PHONE = 60, 10, 5, 60
_MAX_SLOW = 10_000
_SLOTS_A_TEXT = 16
_ALPHABET = np.uint8(26)
_TEXTS_AT_ONCE = 4_096


def read_contact_pages(
    file: PageFile,
    table: Table,
    names: tuple[str, ...],
    suppressions: set[str],
    threads: int,
    within: IdRange = EVERY_ID,
    proof: TableProof | None = None,
) -> tuple[list[ContactPart], Int64]:
    """The contacts in parts, and the rowids of those that must be read slowly, ascending.

    names: id, email, state, zip_code, birth_date, effective_date and phone_number. within: a range of rowids.
    proof: is made on the way. Raises UnusualPagesError, also when so many rows are unusual that SQLite is faster.
    """
    reader = _Reader(table, names, suppressions)
    found = scan_pages(file, table, threads, reader.part, within, proof)
    slow = np.concatenate([rowids for _, rowids in found])
    if len(slow) > _MAX_SLOW + sum(part.rows for part, _ in found) // 8:
        raise UnusualPagesError
    return [part for part, _ in found], slow


class _Reader:
    """Makes the parts of one batch of records after the other."""

    def __init__(self, table: Table, names: tuple[str, ...], suppressions: set[str]) -> None:
        """Raises UnusualPagesError."""
        self._wanted, self._columns = positions(table, names), len(table.columns)
        self._suppressions = suppressions
        stored = [email.encode() for email in suppressions if email.isascii() and len(email) <= MAX_BITS]
        self._mask = (1 << (_SLOTS_A_TEXT * len(stored)).bit_length()) - 1
        self._slots = np.zeros(self._mask + 1, np.bool_)
        for start in range(0, len(stored), _TEXTS_AT_ONCE):
            self._slots[_sums_of(stored[start : start + _TEXTS_AT_ONCE]) & self._mask] = True
        self._id_is_rowid = table.rowid_alias == names[0]
        if table.rowid_alias in names[1:]:
            raise UnusualPagesError

    def part(self, records: Records) -> tuple[ContactPart, Int64]:
        """The usual rows, and the rowids of the others."""
        number, email, state, zip_code, birth, effective, phone = records.columns(self._wanted, self._columns)
        ids, known = (records.rowid, ~records.bad) if self._id_is_rowid else number.integers()
        email_bad, email_valid, suppressed = self._emails(email)
        states, state_bad = _states(state)
        zips, zip_bad = _zips(zip_code)
        born, born_bad = days(birth)
        began, began_bad = days(effective)
        bad = records.bad | ~known | email_bad | state_bad | zip_bad | born_bad | began_bad | _phone_is_odd(phone)
        good = ~bad
        part = ContactPart(
            id=ids[good],
            email_valid=email_valid[good],
            suppressed=suppressed[good],
            state=states[good],
            zip=zips[good],
            birth=born[good],
            effective=began[good],
            has_phone=~phone.is_null[good],
            quality=Counter(),
            rows=int(np.count_nonzero(good)),
        )
        return part, records.rowid[bad]

    def _emails(self, values: Values) -> tuple[Bool, Bool, Bool]:
        """Which must be read slowly, which are valid (`is_email`), and which are suppressed."""
        usual = values.is_text & (values.length <= MAX_BITS)
        length = np.where(usual, values.length, np.int32(0))
        seen = values.window(width_of(int(length.max(initial=0))))
        all_of_it = inside(length)
        odd = bits(unprinted(seen, _FIRST_PRINTED)) & all_of_it != 0
        at = bits(seen == _AT) & all_of_it
        is_single = (at != 0) & (at & at - _ONE == 0) & (at & _ONE == 0)
        # With a character on either side, within the domain.
        dots = bits(seen == _DOT) & all_of_it >> _ONE & ~((at << np.uint64(2)) - _ONE)
        valid = is_single & (dots != 0) & ~odd
        return odd | ~(usual | values.is_null), valid, self._suppressed(seen, length)

    def _suppressed(self, seen: UInt8, length: Int32) -> Bool:
        """Which of the texts are suppressed. seen: is changed."""
        suppressed = np.zeros(len(seen), np.bool_)
        if self._suppressions:
            seen *= np.arange(seen.shape[1], dtype=np.uint8) < length.astype(np.uint8)[:, None]
            # The bit that sets a small letter apart.
            seen |= (seen - np.uint8(ord("A")) < _ALPHABET).view(np.uint8) << np.uint8(5)
            for row in np.flatnonzero(self._slots.take(_sums(seen) & self._mask)).tolist():
                suppressed[row] = seen[row, : length[row]].tobytes().decode("latin-1") in self._suppressions
        return suppressed


def _sums(lowered: UInt8) -> Int64:
    """A number of each row of text, by which few texts are alike; the bytes behind a text are zeros."""
    total = np.zeros(len(lowered), np.uint64)
    for index, word in enumerate(lowered.view(np.uint64).T):
        mixed = (word ^ np.uint64(index + 1)) * np.uint64(0x9E3779B97F4A7C15)
        total += np.where(word == 0, np.uint64(0), mixed ^ mixed >> np.uint64(29))
    return total.view(np.int64)


def _sums_of(stored: list[bytes]) -> Int64:
    """`_sums` of the given texts; it does not depend on the width of the window that they are in."""
    width = width_of(max(map(len, stored)))
    joined = b"".join(text.ljust(width, b"\0") for text in stored)
    return _sums(np.frombuffer(joined, np.uint8).reshape(len(stored), width))


def _states(values: Values) -> tuple[UInt8, Bool]:
    """Codes of states, and which must be read slowly: all text but two bytes, or the letters of a name."""
    codes = np.full(len(values.kind), NO_STATE, np.uint8)
    length = values.length
    bad = ~values.is_null
    rows = np.flatnonzero(values.is_text & (length >= 2) & (length <= _MAX_STATE))
    if len(rows):
        length = length[rows]
        seen = values[rows].window(width_of(int(length.max())))
        found = STATE_BY_BYTES[seen[:, 0].astype(np.int32) << 8 | seen[:, 1]]
        # The table's blanks and dashes stand for what the bulk query wrote; stored text is judged slowly.
        odd = (found == SLOW_STATE) | ~_LETTERS[seen[:, 0]]
        longer = np.flatnonzero(length > 2)
        if len(longer):
            name, size = seen[longer], length[longer]
            last = name[np.arange(len(name)), size - 1]
            is_name = _LETTERS[name[:, 0]] & _LETTERS[name[:, 1]] & _LETTERS[last] & plain(name, size)
            found[longer], odd[longer] = NO_STATE, ~is_name
        codes[rows], bad[rows] = found, odd
    return codes, bad


def _zips(values: Values) -> tuple[Int32, Bool]:
    """ZIPs, -1 for none, and which must be read slowly."""
    number, is_integer = values.integers()
    whole = is_integer & (number >= 100) & (number <= 99_999)
    zips = np.where(whole, number, -1).astype(np.int32)
    bad = ~(values.is_null | whole | (is_integer & (number < 100)))
    length = values.length
    rows = np.flatnonzero(values.is_text & (length >= _ZIP_DIGITS) & (length <= _MAX_ZIP))
    if len(rows):
        length = length[rows]
        seen = values[rows].window(16)
        found = parse_small(np.ascontiguousarray(seen[:, :_ZIP_DIGITS]))
        odd = found < 0
        longer = np.flatnonzero(length > _ZIP_DIGITS)
        if len(longer):
            odd[longer] |= ~plain(seen[longer], length[longer])
        zips[rows], bad[rows] = found, odd
    return zips, bad


def _phone_is_odd(values: Values) -> Bool:
    """Which numbers must be read slowly: text that may be blank. Anything else that is not NULL is a number."""
    length = values.length
    bad = values.is_text.copy()
    rows = np.flatnonzero(values.is_text & (length >= 1) & (length <= _MAX_PHONE))
    if len(rows):
        first = values.buffer.take(values.at[rows])
        seen = values[rows].window(width_of(int(length[rows].max())))
        bad[rows] = (first == _SPACE) | ~plain(seen, length[rows])
    return bad
