"""A feedback file without the lines about one person."""

import csv
import io
import json
from dataclasses import dataclass

from mailtide.database.erase_person import Person, address_pattern
from mailtide.database.values import normal_email, read_integer


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The file as it should be, and how many lines were taken out."""

    body: bytes
    removed: int


def without_person(body: bytes, person: Person, *, is_csv: bool) -> Rewritten:
    """Leave out every line that names the person's contact_id, address or one of their mails; a line that cannot be read
    when the address stands anywhere in it."""
    if is_csv:
        return _csv(body, person)
    lines = body.splitlines(keepends=True)
    kept = [line for line in lines if not _names(line, person)]
    return Rewritten(b"".join(kept), len(lines) - len(kept))


def _names(line: bytes, person: Person) -> bool:
    if address_pattern(person.email).search(line.decode("utf-8", "replace").lower()):
        return True
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and _is_about({str(name): value for name, value in found.items()}, person)


def _is_about(fields: dict[str, object], person: Person) -> bool:
    contact, key = fields.get("contact_id"), fields.get("idempotency_key")
    if isinstance(contact, int | float | str) and read_integer(contact) in person.ids:
        return True
    if isinstance(key, str) and key.strip().lower() in person.mail_keys:
        return True
    return any(isinstance(value, str) and normal_email(value) == person.email for value in fields.values())


def _csv(body: bytes, person: Person) -> Rewritten:
    """CSV by its own rules, so that a record of several lines goes as a whole. What is no CSV goes line by line."""
    text = body.decode("utf-8", "surrogateescape")
    try:
        delimiter = max(",;\t|", key=text.split("\n", 1)[0].count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error:
        lines = body.splitlines(keepends=True)
        kept_lines = [line for line in lines if not _names(line, person)]
        return Rewritten(b"".join(kept_lines), len(lines) - len(kept_lines))
    header = (
        [name.strip().lower().replace(" ", "_").replace("-", "_").lstrip("\ufeff") for name in rows[0]] if rows else []
    )
    kept = [row for row in rows if not _row_names(row, header, person)]
    if len(kept) == len(rows):
        return Rewritten(body, 0)
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(kept)
    return Rewritten(out.getvalue().encode("utf-8", "surrogateescape"), len(rows) - len(kept))


def _row_names(row: list[str], header: list[str], person: Person) -> bool:
    pattern = address_pattern(person.email)
    if any(pattern.search(cell.lower()) for cell in row):
        return True
    return _is_about(dict(zip(header, row, strict=False)), person)
