"""What the readers of contacts share: a chunk's columns, and the judging of addresses and states in bulk."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mailtide.rules.columns import NO_STATE, Bool, Int32, Int64, UInt8
from mailtide.rules.states import STATES

_AT, _DOT, _NEWLINE, _FIRST_PRINTED, _LAST_PRINTED = ord("@"), ord("."), ord("\n"), 0x21, 0x7E


@dataclass(frozen=True, slots=True)
class ContactPart:
    """One chunk's columns, shape (n,); rows without a readable id are left out, and counted in `quality`."""

    id: Int64
    email_valid: Bool
    suppressed: Bool
    state: UInt8
    zip: Int32
    birth: Int32
    effective: Int32
    has_phone: Bool
    quality: Counter[str]
    rows: int


def judge_emails(text: UInt8, count: int) -> tuple[Bool, Bool]:
    """Which addresses must be read again, and which are valid (`is_email`), from one buffer with a line for each.

    text: `count` lines of stored bytes; empty for NULL.
    """
    ends = np.append(np.flatnonzero(text == _NEWLINE), len(text))
    if len(ends) != count:
        return np.ones(count, np.bool_), np.zeros(count, np.bool_)
    starts = np.concatenate(([0], ends[:-1] + 1))
    strange = np.flatnonzero(((text < _FIRST_PRINTED) | (text > _LAST_PRINTED)) & (text != _NEWLINE))
    slow = np.zeros(count, np.bool_)
    slow[np.searchsorted(ends, strange)] = True
    ats = np.flatnonzero(text == _AT)
    first = np.searchsorted(ats, starts)
    single = np.searchsorted(ats, ends) - first == 1
    at = np.append(ats, 0)[np.where(single, first, -1)]
    # A dot with a character on either side, within the domain: at positions at + 2 up to end - 2.
    dots = np.append(np.flatnonzero(text == _DOT), len(text))
    has_dot = dots[np.minimum(np.searchsorted(dots, at + 2), len(dots) - 1)] < ends - 1
    return slow, single & (at > starts) & has_dot & ~slow


def _state_table() -> UInt8:
    """Index into STATES by two bytes, NO_STATE for letters that name none, NO_STATE - 1 for the slow path."""
    table = np.full(65_536, NO_STATE - 1, np.uint8)
    letters = [ord(char) for char in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"]
    for first in letters:
        table[[first << 8 | second for second in letters]] = NO_STATE
    table[[ord(" ") << 8 | ord(" "), ord("-") << 8 | ord("-")]] = NO_STATE
    for index, name in enumerate(STATES):
        for upper in (name[0], name[0].lower()):
            for lower in (name[1], name[1].lower()):
                table[ord(upper) << 8 | ord(lower)] = index
    return table


STATE_BY_BYTES = _state_table()
SLOW_STATE = NO_STATE - 1
