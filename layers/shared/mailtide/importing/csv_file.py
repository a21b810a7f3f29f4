"""CSV as people have it, in bounded memory: any usual separator, one bad line refused without the next ones.

The bytes are split into lines first, so that an open quote, a giant line or bytes that are no text cost their own line only.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO

from mailtide.errors import InputError
from mailtide.importing.records import Record, Records, Refusal, column_name

MAX_LINE_BYTES = 1 << 20
MAX_LINES_A_RECORD = 50
_BLOCK_BYTES = 1 << 20
_DELIMITERS = ",;\t|"
_BOM = b"\xef\xbb\xbf"
_FOREIGN = {
    b"\xff\xfe": "UTF-16 text; save it as UTF-8", b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; save it as CSV", b"\x1f\x8b": "compressed; unpack it first",
    b"SQLite format 3\x00": "an SQLite database, not CSV",
}  # fmt: skip

type Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Line:
    """One line without its end; None for one longer than MAX_LINE_BYTES."""

    number: int
    data: bytes | None


def read_csv(file: IO[bytes], known: set[str], is_headless: Callable[[list[str]], bool], progress: Progress) -> Records:
    """The columns and the lines of a CSV file whose first line names the columns.

    known: names by which the separator is found out. is_headless: tells from the first line's cells that it is no header;
    the columns are then named `email`. progress: called with bytes read. Raises InputError for what is no CSV at all.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = _lines(file, progress)
    first = next((line for line in lines if line.data is None or line.data.strip()), None)
    if first is None:
        raise InputError("The file is empty; its first line must name the columns.")
    text = _header_text(first)
    delimiter = ""
    if text[:4].lower() == "sep=" and len(text) == 5:
        delimiter = text[4]
        first = next(lines, _Line(first.number, b""))
        text = _header_text(first)
    delimiter = delimiter or _delimiter(text, known)
    cells = _cells(text, delimiter)
    if cells is None:
        raise InputError("The first line is not CSV; it must name the columns.")
    if is_headless(cells):
        return Records(["email"], _records(chain([_Line(first.number, text.encode())], lines), ",", 1))
    return Records([column_name(cell) for cell in cells], _records(lines, delimiter, len(cells)))


def check_is_text(start: bytes) -> None:
    """Refuse a file that by its first 16 bytes is something else. Raises InputError."""
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            raise InputError(f"The file is {what}.")


def _lines(file: IO[bytes], progress: Progress) -> Iterator[_Line]:
    """Lines that end in LF, CR LF or, when the first block has no LF, CR."""
    number, kept, is_long, read = 1, b"", False, 0
    end = b""
    while block := file.read(_BLOCK_BYTES):
        read += len(block)
        progress(read)
        end = end or (b"\n" if b"\n" in block or b"\r" not in block else b"\r")
        parts = block.split(end)
        for part in parts[:-1]:
            yield _line(number, kept + part, is_long=is_long)
            number, kept, is_long = number + 1, b"", False
        is_long = is_long or len(kept) + len(parts[-1]) > MAX_LINE_BYTES
        kept = b"" if is_long else kept + parts[-1]
    if kept or is_long:
        yield _line(number, kept, is_long=is_long)


def _line(number: int, data: bytes, *, is_long: bool) -> _Line:
    if is_long or len(data) > MAX_LINE_BYTES:
        return _Line(number, None)
    return _Line(number, (data.removeprefix(_BOM) if number == 1 else data).removesuffix(b"\r"))


def _header_text(line: _Line) -> str:
    try:
        text = "\0" if line.data is None else line.data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError("The first line is no text; it must name the columns, in UTF-8.")
    return text


def _delimiter(header: str, known: set[str]) -> str:
    """The separator by which the header has most names that are known; of equals the first."""

    def names_known(delimiter: str) -> int:
        return sum(column_name(cell) in known for cell in _cells(header, delimiter) or [])

    return max(_DELIMITERS, key=names_known)


def _cells(text: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _records(lines: Iterator[_Line], delimiter: str, width: int) -> Iterator[Record | Refusal]:
    waiting: list[_Line] = []
    while True:
        line = waiting.pop(0) if waiting else next(lines, None)
        if line is None:
            return
        try:
            text = _text(line)
            cells = _parsed(text, delimiter)
            if cells is None:
                cells = _spanning(text, delimiter, lines, waiting)
            if cells and any(cells):
                yield _record(line.number, cells, width)
        except _LineError as refused:
            yield Refusal(line.number, str(refused))


class _LineError(Exception):
    """Why a line is refused."""


def _text(line: _Line) -> str:
    if line.data is None:
        raise _LineError(f"it is longer than {MAX_LINE_BYTES >> 20} MiB")
    try:
        return line.data.decode()
    except UnicodeDecodeError:
        raise _LineError("it is not UTF-8 text") from None


def _parsed(text: str, delimiter: str) -> list[str] | None:
    """The cells of a line; None when a quote is still open at its end."""
    if '"' not in text and "\r" not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
        raise _LineError(f"it is not CSV: {error}") from None


def _spanning(text: str, delimiter: str, lines: Iterator[_Line], waiting: list[_Line]) -> list[str]:
    """The cells of a record whose quotes span lines; when they never close, only the first line is given up."""
    taken: list[_Line] = []
    while len(taken) < MAX_LINES_A_RECORD and len(text) < MAX_LINE_BYTES:
        line = waiting.pop(0) if waiting else next(lines, None)
        if line is None:
            break
        taken.append(line)
        try:
            text = f"{text}\n{_text(line)}"
            cells = _parsed(text, delimiter)
        except _LineError:
            break
        if cells is not None:
            return cells
    waiting[:0] = taken
    raise _LineError("a quote is opened and not closed")


def _record(number: int, cells: list[str], width: int) -> Record:
    if len(cells) != width:
        raise _LineError(f"it has {len(cells)} columns instead of {width}")
    return Record(number, [cell.strip() or None for cell in cells])
