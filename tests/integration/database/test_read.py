"""The bulk reader gives what the reading rules give, on any values, in any encoding, by any number of threads."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.database import bulk, values
from mailtide.database.bulk import Source
from mailtide.database.header import read_header
from mailtide.database.read import InputsRead, read_inputs
from mailtide.database.schema import read_schema
from mailtide.errors import DatabaseError
from mailtide.rules.columns import NO_DATE, NO_STATE
from mailtide.rules.zip_lookup import state_of_zip
from tests.integration.pass_.files import INVALID_TEXT, WILD

CODECS = {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}
CONTACT_COLUMNS = ("id", "email", "state", "zip_code", "birth_date", "effective_date", "phone_number")
INVALID = object()

encodings = st.sampled_from(sorted(CODECS))
cells = st.one_of(
    st.sampled_from(WILD),
    st.sampled_from(["2026-01-01", "1950-12-31", "x@y.zz", "CA", "90210", "555-0100"]),
    st.just(INVALID),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=12).filter(lambda text: text.encode("utf-8", "ignore").decode() == text),
    st.binary(max_size=12),
    st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}.{0,3}\Z"),
    st.from_regex(r"\A[ab@.\s]{1,9}\Z"),
)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Source, apsw.Connection]]:
    with path.open("rb") as file:
        source = Source(path, read_header(file.read(100), path.stat().st_size))
    connection = source.open()
    try:
        yield source, connection
    finally:
        connection.close()


def read(path: Path, threads: int = 1) -> InputsRead:
    """What SQLite reads; what is read from the pages is the same."""
    with opened(path) as (source, connection), path.open("rb") as file:
        schema = read_schema(connection)
        found = read_inputs(source, schema, threads)
        assert_same(read_inputs(Source(path, source.header, file.fileno()), schema, threads), found)
        return found


def assert_same(one: InputsRead, other: InputsRead) -> None:
    assert (one.contact_rows, one.invalid_ids, one.quality) == (other.contact_rows, other.invalid_ids, other.quality)
    for name in ("contacts", "history", "held"):
        parts = getattr(one.inputs, name), getattr(other.inputs, name)
        for column in parts[0].__slots__:
            arrays = [getattr(part, column) for part in parts]
            if column == "email_type":
                names = (np.array(read.inputs.types, object) for read in (one, other))
                arrays = [types[codes] for types, codes in zip(names, arrays, strict=True)]
            assert arrays[0].dtype == arrays[1].dtype, column
            assert np.array_equal(*arrays), column


def insert(connection: apsw.Connection, table: str, row: tuple[object, ...], encoding: str) -> None:
    marks = ", ".join("CAST(? AS TEXT)" if value is INVALID else "?" for value in row)
    bound: list[Any] = [INVALID_TEXT[encoding] if value is INVALID else value for value in row]
    connection.execute(f"INSERT INTO {table} VALUES ({marks})", bound)


def raw_rows(path: Path, table: str, columns: tuple[str, ...], codec: str) -> list[list[values.Cell]]:
    """Each cell as it is stored, decoded one by one."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        wanted = ", ".join(
            f"typeof({c}), CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END" for c in columns
        )
        return [
            [values.decode_cell(row[at], row[at + 1], codec) for at in range(0, len(row), 2)]
            for row in connection.execute(f"SELECT {wanted} FROM {table}")
        ]
    finally:
        connection.close()


def day(cell: values.Cell) -> int:
    found = values.read_date(cell)
    return NO_DATE if found is None else found


@given(
    st.lists(st.tuples(cells, cells, cells, cells, cells, cells), max_size=12), encodings, st.booleans(), st.booleans()
)
def test_contacts(rows: list[tuple[object, ...]], encoding: str, is_typed: bool, has_suppressions: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        connection = apsw.Connection(str(path))
        connection.pragma("encoding", encoding)
        connection.execute("BEGIN")
        kinds = ("TEXT", "TEXT", "INTEGER", "DATE", "DATE", "NUMERIC") if is_typed else ("",) * 6
        columns = ", ".join(f"{name} {kind}" for name, kind in zip(CONTACT_COLUMNS[1:], kinds, strict=True))
        connection.execute(f"CREATE TABLE contacts (id INTEGER PRIMARY KEY, {columns})")
        connection.execute("CREATE TABLE suppressions (email)")
        for number, row in enumerate(rows):
            insert(connection, "contacts", (number * 7 - 20, *row), encoding)
            if has_suppressions and number % 2:
                insert(connection, "suppressions", (row[0],), encoding)
        connection.execute("COMMIT")
        connection.close()
        found = read(path)
        raw = raw_rows(path, "contacts", CONTACT_COLUMNS, CODECS[encoding])
        listed = raw_rows(path, "suppressions", ("email",), CODECS[encoding])
    suppressed = {values.normal_email(cell) for (cell,) in listed} - {None}
    contacts = found.inputs.contacts
    assert contacts.id.tolist() == [row[0] for row in raw]
    assert contacts.email_valid.tolist() == [values.is_email(row[1]) for row in raw]
    assert contacts.suppressed.tolist() == [values.normal_email(row[1]) in suppressed for row in raw]
    states = [values.read_state(row[2]) for row in raw]
    assert contacts.state.tolist() == [NO_STATE if state is None else state for state in states]
    zips = np.array([values.read_zip(row[3]) for row in raw], np.int64)
    assert contacts.zip_state.tolist() == state_of_zip(zips).tolist()
    assert contacts.birth.tolist() == [day(row[4]) for row in raw]
    assert contacts.effective.tolist() == [day(row[5]) for row in raw]
    assert contacts.has_phone.tolist() == [row[6] is not None for row in raw]
    for name, column in (("invalid_birth_date", 4), ("invalid_effective_date", 5)):
        invalid = sum(row[column] is not None and values.read_date(row[column]) is None for row in raw)
        assert found.quality.get(name, 0) == invalid


@given(st.lists(st.tuples(*[cells] * 8), max_size=10), encodings)
def test_history(rows: list[tuple[object, ...]], encoding: str) -> None:
    statuses = [
        "sent",
        "Delivered ",
        "scheduled",
        "processing",
        "failed",
        "pre-scheduled",
        " Skipped",
        None,
        "cancelled",
    ]
    columns = (
        "contact_id", "email_type", "event_date", "scheduled_send_date", "actual_send_datetime",
        "campaign_instance_id", "priority", "event_year",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        connection = apsw.Connection(str(path))
        connection.pragma("encoding", encoding)
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, email, state)")
        connection.execute("INSERT INTO contacts VALUES (1, 'a@b.c', 'TX'), (5, 'a@b.c', 'TX')")
        declared = ", ".join(columns)
        connection.execute(
            f"CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, {declared}, status, event_month, event_day)"
        )
        for number, row in enumerate(rows):
            contact = (1, "5", row[0])[number % 3]
            year = (2026, None, row[7])[number % 3]
            values_of_row = (number, contact, *row[1:7], year, statuses[number % len(statuses)], 2, 28 + number % 2)
            insert(connection, "email_schedules", values_of_row, encoding)
        connection.execute("COMMIT")
        connection.close()
        found = read(path).inputs
        raw = raw_rows(
            path, "email_schedules", ("id", *columns, "status", "event_month", "event_day"), CODECS[encoding]
        )

    expected, held = [], []
    for stored_id, contact, kind, event, send, actual, campaign, priority, year, status, month, of_month in raw:
        contact_id, state = values.read_integer(contact), values.read_status(status)
        if contact_id not in (1, 5) or not isinstance(kind, str) or state in ("pre-scheduled", "skipped"):
            continue
        date = values.read_date(event)
        if date is None:
            parts = [values.read_integer(part) for part in (year, month, of_month)]
            date = values.civil_day(*parts)
        index = (1, 5).index(contact_id)
        key = (index, kind, NO_DATE if date is None else date, values.read_integer(campaign) or 0)
        rank = values.read_integer(priority)
        if state in ("scheduled", "processing", "sent", "delivered"):
            sent = state in ("sent", "delivered")
            expected.append((stored_id, *key, day(send), day(actual), sent, 10 if rank is None else rank))
        elif date is not None:
            held.append(key)
    history, types = found.history, found.types
    assert [
        (row_id, who, types[code], event_day, instance, send_day, actual_day, was_sent, order)
        for row_id, who, code, event_day, instance, send_day, actual_day, was_sent, order in zip(
            history.row_id.tolist(), history.contact.tolist(), history.email_type.tolist(), history.event.tolist(),
            history.campaign.tolist(), history.send.tolist(), history.actual.tolist(), history.was_sent.tolist(),
            history.priority.tolist(), strict=True,
        )
    ] == expected  # fmt: skip
    keys = zip(found.held.contact.tolist(), found.held.email_type.tolist(), found.held.event.tolist(),
               found.held.campaign.tolist(), strict=True)  # fmt: skip
    assert [(who, types[code], event_day, instance) for who, code, event_day, instance in keys] == held


@given(st.lists(st.tuples(*[cells] * 4), max_size=10), encodings, st.booleans())
def test_targets_and_clicks(rows: list[tuple[object, ...]], encoding: str, without_rowid: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        connection = apsw.Connection(str(path))
        connection.pragma("encoding", encoding)
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, email, state)")
        connection.execute("INSERT INTO contacts VALUES (1, 'a@b.c', 'TX'), (5, 'a@b.c', 'TX')")
        connection.execute("CREATE TABLE campaign_instances (id, campaign_type, instance_name)")
        connection.execute("INSERT INTO campaign_instances VALUES (7, 'a', 'x'), (9, 'b', 'y')")
        tail = "WITHOUT ROWID" if without_rowid else ""
        key = "number INTEGER PRIMARY KEY, "
        columns = f"{key}contact_id, campaign_instance_id, trigger_date, status"
        connection.execute(f"CREATE TABLE contact_campaigns ({columns}) {tail}")
        connection.execute(f"CREATE TABLE tracking_clicks ({key}contact_id, clicked_at) {tail}")
        for number, row in enumerate(rows):
            status = ("pending", " Scheduled", None, row[3])[number % 4]
            pair = ((1, "7"), (5, 9), row[:2], (1, row[1]))[number % 4]
            insert(connection, "contact_campaigns", (number, *pair, row[2], status), encoding)
            insert(connection, "tracking_clicks", (number, *pair[:1], row[2]), encoding)
        connection.execute("COMMIT")
        connection.close()
        found = read(path, threads=2).inputs
        raw = raw_rows(
            path,
            "contact_campaigns",
            ("contact_id", "campaign_instance_id", "trigger_date", "status"),
            CODECS[encoding],
        )
    targets, clicks = [], []
    for contact, instance, trigger, status in raw:
        contact_id, instance_id, date = (
            values.read_integer(contact),
            values.read_integer(instance),
            values.read_date(trigger),
        )
        if contact_id in (1, 5) and date is not None:
            clicks.append(((1, 5).index(contact_id), date))
            if instance_id in (7, 9) and (status is None or values.read_status(status) in ("pending", "scheduled")):
                targets.append(((1, 5).index(contact_id), (7, 9).index(instance_id), date))
    columns_read = (found.targets.contact, found.targets.instance, found.targets.trigger)
    assert list(zip(*(column.tolist() for column in columns_read), strict=True)) == targets
    signals = (found.signals.click_contact, found.signals.click_day)
    assert list(zip(*(column.tolist() for column in signals), strict=True)) == clicks


def test_many_rows_by_any_number_of_threads(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, email, state, birth_date)")
    count = 2 * bulk.CHUNK_ROWS + 1234
    connection.execute("BEGIN")
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) INSERT INTO contacts "
        "SELECT (i - 5000) * (1 + i % 3 * 1000003), 'p' || i || '@example.com', 'TX', "
        "CASE WHEN i % 1000 THEN date('1940-01-01', i % 30000 || ' days') ELSE 'odd' END "
        "FROM n WHERE true ON CONFLICT DO NOTHING",
        (count,),
    )
    connection.execute("INSERT INTO contacts VALUES (9223372036854775807, 'last@b.c', 'CA', NULL)")
    connection.execute("INSERT INTO contacts VALUES (-9223372036854775808, 'first@b.c', 'CA', NULL)")
    connection.execute("COMMIT")
    total = connection.execute("SELECT count(*) FROM contacts").get
    connection.close()
    one, four = read(path, 1), read(path, 4)
    assert one.contact_rows == len(one.inputs.contacts) == total
    assert one.quality == four.quality == {"invalid_birth_date": one.quality["invalid_birth_date"]}
    for name in ("id", "email_valid", "birth", "state"):
        assert np.array_equal(getattr(one.inputs.contacts, name), getattr(four.inputs.contacts, name))
    assert one.inputs.contacts.id[[0, -1]].tolist() == [-(2**63), 2**63 - 1]


@pytest.mark.parametrize(
    ("table", "statement", "sentence"),
    [
        ("contacts (id, email, state)", "INSERT INTO contacts (id) VALUES ('7'), (7)", "Two contacts have the id 7"),
        ("campaign_types (name)", "INSERT INTO campaign_types VALUES ('a'), ('a')", "name 'a' twice"),
        (
            "campaign_instances (id, campaign_type, instance_name)",
            "INSERT INTO campaign_instances (id) VALUES (1), (' 1')",
            "id 1 twice",
        ),
    ],
)
def test_duplicates_are_errors(tmp_path: Path, table: str, statement: str, sentence: str) -> None:
    connection = apsw.Connection(str(tmp_path / "a.db"))
    if not table.startswith("contacts"):
        connection.execute("CREATE TABLE contacts (id, email, state)")
    connection.execute(f"CREATE TABLE {table}")
    connection.execute(statement)
    connection.close()
    with pytest.raises(DatabaseError, match=sentence):
        read(tmp_path / "a.db")


def test_a_table_with_a_column_named_rowid(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "a.db"))
    connection.execute('CREATE TABLE CONTACTS (ID TEXT, "RowId", oid, Email, "State")')
    connection.execute("INSERT INTO contacts VALUES ('3', 'x', 1, 'a@b.c', 'TX'), (NULL, 'x', 1, 'a@b.c', 'TX')")
    connection.close()
    found = read(tmp_path / "a.db")
    assert found.inputs.contacts.id.tolist() == [3]
    assert (found.contact_rows, found.invalid_ids) == (2, 1)
