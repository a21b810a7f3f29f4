"""How one stored value is read (spec §2 "Reading values"), exactly and slowly; the bulk readers must agree with this.

A cell is what SQLite stores, with text decoded strictly: None, int, float, str or bytes. No numpy.
"""

import json
from datetime import date
from math import isfinite

from mailtide.rules.states import STATE_INDEX

type Cell = int | float | str | bytes | None

FIRST_YEAR, LAST_YEAR = 1900, 2100
_EPOCH = date(1970, 1, 1).toordinal()
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_TRUE_WORDS = frozenset({"1", "t", "true", "y", "yes"})
_DIGITS = frozenset("0123456789")


def decode_cell(kind: str, value: int | float | bytes | None, encoding: str) -> Cell:
    """The cell of `typeof(c)` and `CASE typeof(c) WHEN 'text' THEN CAST(c AS BLOB) ELSE c END`.

    encoding: a Python codec name. Text that is blank, or not valid in the encoding, is None.
    """
    if kind != "text" or not isinstance(value, bytes):
        return value
    try:
        text = value.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text if text.strip() else None


def read_text(cell: Cell) -> str | None:
    """Text as it stands; anything that is not text is None."""
    return cell if isinstance(cell, str) else None


def shown_text(cell: Cell) -> str | None:
    """Text, or the text of a number (a column's affinity may have turned one into the other); a blob is None."""
    return None if cell is None or isinstance(cell, bytes) else str(cell)


def read_date(cell: Cell) -> int | None:
    """Days since 1970-01-01 of the first ten characters; None where invalid or outside years 1900..2100."""
    if not isinstance(cell, str):
        return None
    text = cell[:10]
    if len(text) != 10 or text[4] != "-" or text[7] != "-" or not _DIGITS.issuperset(text[:4] + text[5:7] + text[8:]):
        return None
    return civil_day(int(text[:4]), int(text[5:7]), int(text[8:]))


def civil_day(year: int | None, month: int | None, day: int | None) -> int | None:
    """Days since 1970-01-01 of a year 1900..2100, month and day; None where one is missing or no such day exists."""
    if year is None or month is None or day is None or not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return date(year, month, day).toordinal() - _EPOCH
    except (ValueError, OverflowError):
        return None


def read_integer(cell: Cell) -> int | None:
    """A signed 64-bit integer, from an integer, a real without a fraction, or trimmed text of a sign and digits."""
    number: int | None = None
    if isinstance(cell, int):
        number = cell
    elif isinstance(cell, float):
        number = int(cell) if isfinite(cell) and cell == int(cell) else None
    elif isinstance(cell, str):
        number = _digits(cell.strip())
    return number if number is not None and _INT64_MIN <= number <= _INT64_MAX else None


def _digits(text: str) -> int | None:
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    if not unsigned or not _DIGITS.issuperset(unsigned):
        return None
    significant = unsigned.lstrip("0") or "0"
    if len(significant) > 19:
        return None
    return -int(significant) if text[0] == "-" else int(significant)


def read_flag(cell: Cell, *, default: bool) -> bool:
    """NULL is the default; a number is true when not 0; text is true when it is 1, t, true, y or yes; a blob is false."""
    if cell is None:
        return default
    if isinstance(cell, str):
        return cell.strip().lower() in _TRUE_WORDS
    return not isinstance(cell, bytes) and cell != 0


def read_status(cell: Cell) -> str | None:
    """A status or other keyword, trimmed and lower-cased; None when it is not text."""
    return cell.strip().lower() if isinstance(cell, str) else None


def read_state(cell: Cell) -> int | None:
    """Index into STATES of the trimmed, upper-cased text; None when it is not one of the 51."""
    return STATE_INDEX.get(cell.strip().upper()) if isinstance(cell, str) else None


def read_zip(cell: Cell) -> int:
    """The five-digit ZIP, -1 for none: leading ASCII digits, 3 or 4 padded on the left, more than five cut."""
    text = (shown_text(cell) or "").strip()
    length = next((index for index, char in enumerate(text[:5]) if char not in _DIGITS), len(text[:5]))
    return int(text[:length]) if length >= 3 else -1


def normal_email(cell: Cell) -> str | None:
    """The trimmed, lower-cased address by which suppressions compare; None when it is not text."""
    return cell.strip().lower() if isinstance(cell, str) else None


def is_email(cell: Cell) -> bool:
    r"""Whether the trimmed text matches `^[^@\s]+@[^@\s]+\.[^@\s]+$`, in linear time."""
    if not isinstance(cell, str):
        return False
    local, at, domain = cell.strip().partition("@")
    if not local or not at or "@" in domain or "." not in domain[1:-1]:
        return False
    return not any(char.isspace() for char in local) and not any(char.isspace() for char in domain)


def answered_yes(metadata: Cell) -> bool:
    """Whether the metadata of an `eligibility_answered` event says yes (spec §8); not strict JSON says nothing."""
    if not isinstance(metadata, str):
        return False
    try:
        values = json.loads(metadata, parse_constant=_refuse_constant, parse_int=float)
    except (ValueError, RecursionError):
        return False
    if not isinstance(values, dict):
        return False
    count = values.get("main_questions_yes_count")
    return values.get("has_medical_conditions") is True or (isinstance(count, float) and count > 0)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
