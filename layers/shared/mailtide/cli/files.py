"""What the commands that take a database or a rules file have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from mailtide.errors import DatabaseError, RulesError, SettingsError
from mailtide.rules.config import PACKAGED, Rules, load_packaged, load_rules

_MAX_RULES_BYTES = 1 << 20


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before an error about it."""
    try:
        yield
    except DatabaseError as error:
        text = str(error)
        raise DatabaseError(text if str(path) in text else f"{path}: {text}") from error


def counted(count: int, noun: str) -> str:
    """A count with its noun: `1 read`, `2,000 reads`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size_in_words(size_bytes: int) -> str:
    """A size for people, in kB or MB."""
    return f"{size_bytes / 1e3:.0f} kB" if size_bytes < 1_000_000 else f"{size_bytes / 1e6:,.1f} MB"


def day_of(option: str, text: str) -> date:
    """The day that an option gives. Raises SettingsError."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or len(text) != 10 or not 1900 <= day.year <= 2100:
        raise SettingsError(f"{option} is {text!r}; it must be a day of the years 1900 to 2100, like 2026-11-21.")
    return day


def rules_from(name: str) -> Rules:
    """The rules of a packaged name (`default`, `origin`) or of a YAML file. Raises RulesError."""
    if name in PACKAGED:
        return load_packaged(name)
    return parsed_rules(rules_text(Path(name)), Path(name))


def parsed_rules(text: str, path: Path) -> Rules:
    """The rules that the text of a file gives. Raises RulesError, which names the file."""
    try:
        return load_rules(text)
    except RulesError as error:
        raise RulesError(f"{path}: {error}") from error


def rules_text(path: Path) -> str:
    """The text of a rules file. Raises RulesError when it cannot be read; what it says is not looked at."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_RULES_BYTES + 1)
    except OSError as error:
        raise RulesError(f"The rules file {path} cannot be read: {error.strerror}.") from error
    if len(data) > _MAX_RULES_BYTES:
        raise RulesError(f"The rules file {path} is longer than 1 MiB.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RulesError(f"The rules file {path} is not UTF-8 text.") from error
