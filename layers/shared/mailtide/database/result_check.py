"""Whether a remote database can be the result of a run: told by a few ranged reads, trusting nothing in it. No numpy.

The file is not downloaded, so what stands on pages that are not read is believed. A result of a run is never refused: each
rule here follows from what the pass writes (spec §9, §10) and from what it leaves alone, whatever else the customer keeps there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import apsw

from mailtide.contracts import Likeness
from mailtide.database.header import HEADER_BYTES, Header, read_header
from mailtide.database.likeness import page_digest, surplus_bytes, tables_digest
from mailtide.database.ranged import BlockCache, RangeReader, open_ranged
from mailtide.database.schedules_schema import DUE_INDEX, KEY_INDEX, is_prepared
from mailtide.database.schema import Schema, Table, read_schema
from mailtide.database.untrusted import clear_errors
from mailtide.errors import BudgetExceededError, DatabaseError

MAX_REQUESTS = 24
MAX_BYTES = 3 << 19
"""Of 1.5 MiB; a schema that is larger leaves the rest unread, and believed."""
_DEADLINE_S = 30.0
"""Of pages that lead in circles; what a result needs are a few milliseconds beside the requests."""
_COUNTS = ("contacts", "eligible", "inserted", "updated", "deleted", "unchanged")
_ROWS = 40
"""Of each stretch of the schedule."""
_LARGEST_ID = (1 << 63) - 1

_PLANNED = "status IN ('pre-scheduled', 'skipped')"
_SOUND = """contact_id IS NOT NULL AND priority IS NOT NULL
    AND date(event_date) IS event_date AND date(scheduled_send_date) IS scheduled_send_date AND scheduled_send_date >= :as_of
    AND (email_type IN ('birthday', 'effective_date', 'aep', 'post_window')
         OR substr(email_type, 1, 9) IN ('campaign_', 'followup_'))"""
"""Of a planned row that a run of the day `as_of` has written; no row is planned for a day that is over."""
_READ = (
    "scheduler_run_id", "status", "contact_id", "priority", "event_date", "scheduled_send_date", "email_type",
)  # fmt: skip
_SAME_KEY = " AND ".join(
    f"found.{name} = newest.{name}" for name in ("contact_id", "email_type", "event_date", "campaign_instance_id")
)
_SAME_DUE = "found.status = newest.status AND found.scheduled_send_date = newest.scheduled_send_date"


@dataclass(frozen=True, slots=True)
class ExpectedResult:
    """What is known of a result before it is looked at. report: what its machine says of it."""

    run_id: str
    as_of: date
    report: Mapping[str, object]
    likeness: Likeness | None
    """Of the source; None when planning has not taken it."""

    @property
    def names(self) -> dict[str, str | int]:
        """Run and day, as they stand in the run's row and in the report."""
        return {"run_id": self.run_id, "as_of": self.as_of.isoformat()}

    @property
    def texts(self) -> dict[str, str | int]:
        """What stands in the run's row, as text."""
        rules = self.report.get("rules_sha256")
        return self.names | ({"rules_sha256": rules} if isinstance(rules, str) else {})

    @property
    def counts(self) -> dict[str, int]:
        """What stands there in numbers, as far as the report tells them."""
        told = {name: self.report.get(name) for name in _COUNTS}
        return {name: count for name, count in told.items() if isinstance(count, int) and 0 <= count <= _LARGEST_ID}


def problem_of(reader: RangeReader, expected: ExpectedResult) -> str | None:
    """Why a database cannot be the result of a run, as a phrase; None when nothing speaks against it.

    At most MAX_REQUESTS requests and MAX_BYTES bytes. Raises SourceChangedError.
    """
    if any(expected.report.get(name, own) != own for name, own in expected.names.items()):
        return "its report is of another run or day"
    cache = BlockCache(reader, MAX_REQUESTS, MAX_BYTES)
    try:
        header = read_header(cache.read(0, HEADER_BYTES), cache.size_bytes)
        return _unlike(cache, header, expected.likeness) or _unfit(cache, expected)
    except BudgetExceededError:
        return None
    except DatabaseError as error:
        sentence = str(error).removesuffix(".")
        return f"its database cannot be used: {sentence[:1].lower()}{sentence[1:]}"


def _unlike(cache: BlockCache, header: Header, likeness: Likeness | None) -> str | None:
    """What a run does not change, and yet is different."""
    if likeness is None:
        return None
    if (header.page_size, header.codec, header.is_wal) != (
        likeness.page_size_bytes,
        likeness.encoding,
        likeness.is_wal,
    ):
        return "its database has another page size, encoding or journal mode than the organisation's"
    if surplus_bytes(header, cache.size_bytes) > likeness.surplus_bytes:
        return "its database is longer than its header says"
    for told in likeness.contact_pages:
        if page_digest(cache.read((told.page - 1) * header.page_size, header.page_size)) != told.sha256:
            return "its database has other contacts than the organisation's"
    return None


def _unfit(cache: BlockCache, expected: ExpectedResult) -> str | None:
    """What is wrong with the schema, the record of the run, or the schedule."""
    with open_ranged(cache, deadline_s=_DEADLINE_S) as connection, clear_errors():
        schema = read_schema(connection)
        if expected.likeness is not None and tables_digest(connection) != expected.likeness.tables_sha256:
            return "its database has other tables than the organisation's"
        if not is_prepared(connection, schema):
            return "its database lacks the tables or the indexes of a schedule"
        return _unrecorded(connection, schema, expected) or _unscheduled(connection, schema, expected)


def _unrecorded(connection: apsw.Connection, schema: Schema, expected: ExpectedResult) -> str | None:
    """What is wrong with the run's row in scheduler_runs."""
    wanted = expected.counts | expected.texts
    runs = schema.tables["scheduler_runs"]
    # SQLite compares as it has stored, whatever types the columns have.
    same = " AND ".join(f"{runs.column(name)} = :{name}" for name in wanted)
    own = f"{runs.column('run_id')} = :run_id"
    last = f"{runs.rowid} = (SELECT max({runs.rowid}) FROM {runs.sql_name})"
    for where in (f"{last} AND {own}", own):
        found = connection.execute(f"SELECT {same} FROM {runs.sql_name} WHERE {where} LIMIT 1", wanted).get
        if found is not None:
            return None if found else "the record of the run in its database is not what its manifest says"
    return "its database holds no record of the run"


def _unscheduled(connection: apsw.Connection, schema: Schema, expected: ExpectedResult) -> str | None:
    """What is wrong with the rows of email_schedules: with some of the first, of the last, and of those between."""
    table, counts = schema.tables["email_schedules"], expected.counts
    row, inserted = table.rowid, counts.get("inserted", 0)
    ends = f"SELECT (SELECT min({row}) FROM {table.sql_name}), (SELECT max({row}) FROM {table.sql_name})"
    found: list[Any] = connection.execute(ends).fetchall()
    first, last = found[0]
    standing = inserted + counts.get("updated", 0) + counts.get("unchanged", 0)
    if (0 if last is None else last - first + 1) < standing:
        return "its schedule has fewer rows than its manifest says"
    if last is None:
        return None
    stretches = ((first, ">=", "ASC"), ((first + last) // 2, ">=", "ASC"), (last, "<=", "DESC"))
    if any(_count_odd(connection, table, expected, *stretch) for stretch in stretches):
        return "its schedule holds rows that no run plans"
    # New rows have the largest ids, until SQLite has none left.
    return _unfinished(connection, table, expected, last) if inserted and last < _LARGEST_ID else None


def _count_odd(
    connection: apsw.Connection, table: Table, expected: ExpectedResult, at: int, side: str, order: str
) -> int:
    """Planned rows that bear the run's id and that the run cannot have written, in one stretch."""
    columns = ", ".join(str(table.column(name)) for name in _READ)
    stretch = (
        f"SELECT {columns} FROM {table.sql_name} NOT INDEXED WHERE {table.rowid} {side} :at "
        f"ORDER BY {table.rowid} {order} LIMIT {_ROWS}"
    )
    odd = f"scheduler_run_id = :run_id AND {_PLANNED} AND NOT coalesce(({_SOUND}), 0)"
    return int(
        str(connection.execute(f"SELECT count(*) FROM ({stretch}) WHERE {odd}", expected.texts | {"at": at}).get)
    )


def _unfinished(connection: apsw.Connection, table: Table, expected: ExpectedResult, last: int) -> str | None:
    """Whether the newest row is one that the run has added, and both indexes lead to it."""
    leads_to = ", ".join(
        f"EXISTS (SELECT 1 FROM {table.sql_name} AS found INDEXED BY {index} WHERE {same} AND {more} "
        f"AND found.{table.rowid} = newest.{table.rowid})"
        for index, same, more in ((KEY_INDEX, _SAME_KEY, f"found.{_PLANNED}"), (DUE_INDEX, _SAME_DUE, "1"))
    )
    own = f"newest.scheduler_run_id = :run_id AND newest.{_PLANNED}"
    found: list[Any] = connection.execute(
        f"SELECT {own}, {leads_to} FROM {table.sql_name} AS newest WHERE newest.{table.rowid} = :at",
        expected.texts | {"at": last},
    ).fetchall()
    if not found or not found[0][0]:
        return "its schedule does not end with the rows of the run"
    return None if all(found[0]) else "the indexes of its schedule do not lead to its rows"
