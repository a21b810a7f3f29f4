"""The databases that organisations upload: invented people, and files that no run can use."""

import sqlite3
from pathlib import Path

from tests.chaos.draw import Upload

_PLACES = [("CA", "90001"), ("TX", "75001"), ("NY", "10001"), ("NV", "89101"), ("FL", "33101")]


def make(path: Path, upload: Upload) -> bytes:
    """The bytes of an upload, the same for the same one and path."""
    if upload.quality == "no database":
        return f"Dear sir or madam, please find attached {path.name}\n".encode() * 200
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as db:
        if upload.quality == "no email":
            db.execute(f"CREATE TABLE contacts (id INTEGER PRIMARY KEY, state TEXT DEFAULT '{path.stem}')")
        else:
            _fill(db, path.stem, upload)
    db.close()
    body = path.read_bytes()
    return body[: len(body) // 2] if upload.quality == "truncated" else body


def _fill(db: sqlite3.Connection, name: str, upload: Upload) -> None:
    db.execute(
        "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, zip_code TEXT, state TEXT, birth_date TEXT, "
        "effective_date TEXT, phone_number TEXT)"
    )
    for number in range(1, upload.contacts + 1):
        state, zip_code = _PLACES[number % len(_PLACES)]
        born = f"1950-{number % 12 + 1:02}-{(number + upload.first_day) % 28 + 1:02}"
        person = (number, f"p{number}@{name}.example.com", zip_code, state, born, "2015-03-01", None)
        db.execute("INSERT INTO contacts VALUES (?,?,?,?,?,?,?)", person)
