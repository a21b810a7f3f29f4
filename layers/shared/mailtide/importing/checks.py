"""What makes a line of contacts or suppressions one that goes in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mailtide.database.values import is_email, normal_email, read_date, read_integer, read_state, read_zip
from mailtide.errors import InputError
from mailtide.importing.records import MAX_TEXT, Record, Records, Refusal
from mailtide.rules.zip_table import NO_STATE, ZIP_COUNT, zip_states

_DATES = ("birth_date", "effective_date")


@dataclass(frozen=True, slots=True)
class GoodLine:
    """A line that is in order. values: by the columns that are taken, the id left out."""

    number: int
    id: int | None
    email_key: str | None
    """By which addresses compare: trimmed and lower-cased."""
    values: list[str | None]
    has_state: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """The columns that are taken, the id left out, and each line, checked."""

    columns: list[str]
    lines: Iterator[GoodLine | Refusal]


def check_contacts(records: Records, known: set[str]) -> Checked:
    """Check lines of contacts: a whole id or a valid address, real dates. Raises InputError when both columns are missing."""
    if "id" not in records.names and "email" not in records.names:
        raise InputError("The first line names neither a column id nor a column email.")
    return _checked(records, known, _contact)


def check_suppressions(records: Records, known: set[str]) -> Checked:
    """Check lines of suppressions: a valid address each. Raises InputError when there is no column email."""
    if "email" not in records.names:
        raise InputError("The first line names no column email.")
    return _checked(records, known, _suppression)


def _checked(
    records: Records, known: set[str], check: Callable[[int, dict[str, str | None], list[str]], GoodLine | Refusal]
) -> Checked:
    taken = [(place, name) for place, name in enumerate(records.names) if name in known]
    columns = [name for _, name in taken if name != "id" or check is _suppression]

    def lines() -> Iterator[GoodLine | Refusal]:
        for record in records.lines:
            if isinstance(record, Record):
                row = {name: record.values[place] for place, name in taken}
                reason = _unstorable(row)
                yield Refusal(record.number, reason) if reason else check(record.number, row, columns)
            else:
                yield record

    return Checked(columns, lines())


def _unstorable(row: dict[str, str | None]) -> str | None:
    for name, value in row.items():
        if value is not None and (len(value) > MAX_TEXT or "\0" in value):
            return f"{name} is longer than {MAX_TEXT:,} characters" if len(value) > MAX_TEXT else f"{name} holds a NUL"
    return None


def _contact(number: int, row: dict[str, str | None], columns: list[str]) -> GoodLine | Refusal:
    given, contact_id = row.get("id"), read_integer(row.get("id"))
    if given is not None and contact_id is None:
        return Refusal(number, f"id is {_shown(given)}; it must be a whole number")
    if contact_id is None and row.get("email") is None:
        return Refusal(number, "it has neither an id nor an e-mail address")
    if "email" in row and not is_email(row["email"]):
        return Refusal(number, "email is empty" if row["email"] is None else "email is no e-mail address")
    for name in _DATES:
        day = row.get(name)
        if day is not None and read_date(day) is None:
            return Refusal(
                number, f"{name} is {_shown(day)}; it must be a day like 1950-03-15, of the years 1900 to 2100"
            )
    values = [row[name] for name in columns]
    return GoodLine(number, contact_id, normal_email(row.get("email")), values, _has_state(row))


def _suppression(number: int, row: dict[str, str | None], columns: list[str]) -> GoodLine | Refusal:
    if not is_email(row["email"]):
        return Refusal(number, "email is empty" if row["email"] is None else "email is no e-mail address")
    return GoodLine(number, None, normal_email(row["email"]), [row[name] for name in columns], has_state=True)


def _has_state(row: dict[str, str | None]) -> bool:
    """Whether the pass finds a state; true when the file does not say where anybody lives."""
    if "state" not in row and "zip_code" not in row:
        return True
    zip_code = read_zip(row.get("zip_code"))
    by_zip = 0 <= zip_code < ZIP_COUNT and zip_states()[zip_code] != NO_STATE
    return by_zip or read_state(row.get("state")) is not None


def _shown(value: str) -> str:
    text = "".join(char if char.isprintable() else "?" for char in value[:30])
    return f"'{text}'" if len(value) <= 30 else f"'{text}…'"
