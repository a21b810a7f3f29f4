"""The reader of CSV: what the csv module writes comes back, and no bytes make it fail otherwise than by a sentence."""

import csv
import io
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from mailtide.errors import InputError
from mailtide.importing.csv_file import MAX_LINES_A_RECORD, read_csv
from mailtide.importing.records import Record, Records, Refusal

KNOWN = {"id", "email", "state"}
NAMES = ["id", "email", "state"]
cells = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r\x1c\x1d\x1e\x85\u2028\u2029"), max_size=8
)


def read(data: bytes) -> Records:
    return read_csv(io.BytesIO(data), KNOWN, lambda _: False, lambda _: None)


@given(
    st.lists(st.tuples(cells, cells, cells), max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
)
def test_what_is_written_is_read(
    rows: list[tuple[str, str, str]], delimiter: str, end: str, quoting: int, bom: bool
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]  # a constant
    writer.writerow(NAMES)
    writer.writerows(rows)
    found = read((b"\xef\xbb\xbf" if bom else b"") + text.getvalue().encode())
    assert found.names == NAMES
    values = [line.values for line in found.lines if isinstance(line, Record)]
    assert values == [[cell.strip() or None for cell in row] for row in rows if any(row)]


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([b'"', b"\n", b",", b"a", b"\r", b"\0", b"\xff", b";"])).map(b"".join)
)
def test_any_bytes_give_lines_in_order(data: bytes) -> None:
    lines = list(read(b"id,email,state\n" + data).lines)
    numbers = [line.number for line in lines]
    assert numbers == sorted(set(numbers))
    assert all(isinstance(line, Refusal) or len(line.values) == 3 for line in lines)
    with suppress(InputError):
        assert len(list(read(data).lines)) <= len(data)


def test_an_open_quote_costs_its_own_line_only() -> None:
    good = "".join(f"{number},a{number}@x.co,TX\n" for number in range(200))
    lines = list(read(f'id,email,state\n"7,open@x.co,TX\n{good}'.encode()).lines)
    assert lines[0] == Refusal(2, "a quote is opened and not closed")
    assert [line.number for line in lines if isinstance(line, Record)] == list(range(3, 203))
    spanning = '1,"a\n\nb",TX\n2,c@x.co,TX\n'
    assert [line.number for line in read(f"id,email,state\n{spanning}".encode()).lines] == [2, 5]
    long = '1,"' + "\n" * (MAX_LINES_A_RECORD + 1) + '",TX\n2,c@x.co,TX\n'
    found = list(read(f"id,email,state\n{long}".encode()).lines)
    assert isinstance(found[0], Refusal)
    assert isinstance(found[-1], Record) or found[-1].reason == "a quote is opened and not closed"
