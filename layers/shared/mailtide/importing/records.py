"""One line of a file of others: what it says, or why it is refused."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailtide.errors import InputError

MAX_TEXT = 10_000
"""Characters of one value."""
_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Record:
    """The values of one line, one a column; None where there is none. `number` counts lines (Parquet: rows) from 1."""

    number: int
    values: list[str | None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that is not taken, and why: a phrase that shows no address."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Records:
    """The names of the columns, as `column_name` spells them, and the lines in order."""

    names: list[str]
    lines: Iterator[Record | Refusal]


def column_name(given: str) -> str:
    """How the name of a column compares: `Birth Date`, `birth-date` and `BIRTH_DATE` are one."""
    return given.strip().lower().replace(" ", "_").replace("-", "_")


def check_names(names: list[str], known: Iterable[str], *, ignore_unknown: bool) -> None:
    """Refuse a file whose columns are none of ours or stand there twice. Raises InputError."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"The first line names a column twice: {_listed(twice)}.")
    columns = set(known)
    unknown = [name for name in names if name not in columns]
    if unknown and not ignore_unknown:
        raise InputError(
            f"The first line names columns that the table does not have: {_listed(unknown)} (it has "
            f"{', '.join(sorted(columns))}); --ignore-unknown leaves them out."
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"
