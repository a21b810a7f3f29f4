"""What planning knows of a local database: by the same few reads as in a bucket, and with what stands in its -wal. No numpy."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from mailtide.database.estimate import DatabaseFacts, inspect_database
from mailtide.database.header import HEADER_BYTES, read_header
from mailtide.database.local_reader import LocalReader
from mailtide.database.locked import resolved
from mailtide.database.private_copy import private_copy
from mailtide.database.schema import Schema, read_schema
from mailtide.database.untrusted import open_untrusted


def inspect_file(path: Path) -> DatabaseFacts:
    """The facts of a database as it stands at one moment; the file and what lies beside it are not changed.

    One without a -wal is read in place, a sample of it only. One with a -wal is copied first, into a temporary folder.
    Raises DatabaseError, and SourceChangedError when the file is written to meanwhile.
    """
    real = resolved(path)
    wal = real.with_name(f"{real.name}-wal")
    if not (wal.is_file() and wal.stat().st_size):
        with LocalReader(real) as reader:
            return inspect_database(reader)
    with private_copy(real) as copy, LocalReader(copy.path) as reader:
        facts = inspect_database(reader)
        return replace(facts, journal_mode_wal=True, bytes_read=reader.size_bytes)


def schema_of(path: Path) -> Schema:
    """The schema of a database; the file and what lies beside it are not changed. Raises DatabaseError."""
    real = resolved(path)
    wal = real.with_name(f"{real.name}-wal")
    if not (wal.is_file() and wal.stat().st_size):
        with real.open("rb") as file:
            read_header(file.read(HEADER_BYTES), real.stat().st_size)
        with closing(open_untrusted(real)) as connection:
            return read_schema(connection)
    with private_copy(real) as copy:
        return copy.schema
