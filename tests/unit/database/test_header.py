"""The header of a file, and what is said of one that lies."""

from pathlib import Path

import apsw
import pytest

from mailtide.database.header import read_header
from mailtide.errors import DatabaseError


@pytest.fixture
def head(tmp_path: Path) -> bytes:
    connection = apsw.Connection(str(tmp_path / "a.db"))
    connection.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, email, state)")
    connection.close()
    return (tmp_path / "a.db").read_bytes()


def changed(head: bytes, offset: int, data: bytes) -> bytes:
    return head[:offset] + data + head[offset + len(data) :]


def test_an_ordinary_header(head: bytes) -> None:
    header = read_header(head[:100], len(head))
    assert (header.page_size, header.usable_size, header.page_count, header.codec) == (4096, 4096, 2, "utf-8")
    assert not header.is_wal
    assert not header.is_blank


def test_a_stale_page_count_is_not_believed(head: bytes) -> None:
    stale = changed(changed(head, 28, b"\0\0\xff\xff"), 92, b"\xff\xff\xff\xff")
    assert read_header(stale[:100], len(head)).page_count == 2


def test_the_largest_page_is_written_as_one(head: bytes) -> None:
    assert read_header(changed(head, 16, b"\0\1")[:100], 2 * 65536).page_size == 65536


@pytest.mark.parametrize(
    ("offset", "data", "sentence"),
    [
        (0, b"SQLCipher maybe?", "not an SQLite database"),
        (16, b"\0\0", "page size of 0"),
        (16, b"\x03\xe8", "page size of 1000"),
        (18, b"\x09\x09", "later SQLite"),
        (20, b"\xff", ""),
        (21, b"\0\0\0", "damaged"),
        (28, b"\0\0\xff\xff", "truncated"),
        (44, b"\0\0\0\x09", "schema format of 9"),
        (56, b"\0\0\0\x07", "text encoding"),
    ],
)
def test_lies(head: bytes, offset: int, data: bytes, sentence: str) -> None:
    if sentence:
        with pytest.raises(DatabaseError, match=sentence):
            read_header(changed(head, offset, data)[:100], len(head))
    else:
        assert read_header(changed(head, offset, data)[:100], len(head)).usable_size == 4096 - 255


@pytest.mark.parametrize(
    ("size", "sentence"), [(0, "empty"), (16, "truncated"), (99, "truncated"), (4096, "truncated")]
)
def test_cut_files(head: bytes, size: int, sentence: str) -> None:
    with pytest.raises(DatabaseError, match=sentence):
        read_header(head[: min(size, 100)], size)
