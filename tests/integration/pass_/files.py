"""Real database files made from drawn tables, with values spelled in every way that files have them."""

import datetime
from pathlib import Path
from random import Random
from typing import Any

import apsw

from tests.reference.tables import Tables

type Row = dict[str, Any]

ENCODINGS = ("UTF-8", "UTF-8", "UTF-16le", "UTF-16be")
INVALID_TEXT = {"UTF-8": b"2026-01-0\xff", "UTF-16le": b"2\x00\x00\xd8", "UTF-16be": b"\x00\x32\xd8\x00"}
WILD: tuple[Any, ...] = (
    None, "", "  ", 0, 1, 5, -1, 2**63 - 1, 3.0, 2.5, 1e300, -0.0, b"", b"2026-01-01", b"x@y.z", "x", "é", "2026-02-30",
    "2026-01-01", "2026-01-01T10:00:00+02:00", "2026-01-01é", "02/03/2026", "26-1-1", " 2026-01-01", "1899-12-31",
    "2100-12-31", "2101-01-01", "٢٠٢٦-٠١-٠١", "+7", " 8 ", "1_0", "9" * 40, "0x10", "TRUE", " Yes ", "no", "a@b.c",
    "a@@b.c", "a@b", "a@.c", "a@b.", "@b.c", "a b@c.d", "é@b.c", "a@b.c.", "a@b..c", "a\0b@c.d", "\u2003a@b.c\u00a0",
    "K@b.c", "line\nbreak@b.c", "tx", " Ca ", "California", "ﬂ", "ſc", "10001", "10001-1234", "501", "2139.0", 2139,
    2139.0, 100, 99, 99999, 100000, 1e15, -10001, "１０００１", "Pending", " scheduled ", "sent", "SENT ", "Pre-Scheduled",
    " skipped", "birthday", "Birthday", "frequency_limit", "08:30:00", "offer", "x" * 300, "x" * 70_000, "\0", "a\0",
    "2026-01-01\0", "1234567890", "12345", "ab\ncd", "\x1f", "\x7f@b.c",
)  # fmt: skip

CREATE = {
    "contacts": "id {id}, email {t}, state {t}, zip_code {t}, birth_date {d}, effective_date {d}, phone_number {t}",
    "email_schedules": (
        "id INTEGER PRIMARY KEY, contact_id {i}, email_type {t}, event_date {d}, scheduled_send_date {d}, "
        "scheduled_send_time {t}, status {t}, skip_reason {t}, priority {i}, campaign_instance_id {i}, "
        "email_template {t}, sms_template {t}, actual_send_datetime {d}"
    ),
    "campaign_types": (
        "name {t}, respect_exclusion_windows {b}, enable_followups {b}, days_before_event {i}, "
        "target_all_contacts {b}, priority {i}, active {b}"
    ),
    "campaign_instances": (
        "id {id}, campaign_type {t}, instance_name {t}, email_template {t}, sms_template {t}, "
        "active_start_date {d}, active_end_date {d}"
    ),
    "contact_campaigns": "contact_id {i}, campaign_instance_id {i}, trigger_date {d}, status {t}",
    "suppressions": "email {t}",
    "tracking_clicks": "contact_id {i}, clicked_at {d}",
    "contact_events": "contact_id {i}, event_type {t}, created_at {d}, metadata {t}",
}
OLDER = (
    # With the parts of the event date beside it, with the parts alone, and with neither.
    f"{CREATE['email_schedules']}, event_year {{i}}, event_month {{i}}, event_day {{i}}",
    "id INTEGER PRIMARY KEY, contact_id {i}, email_type {t}, event_year {i}, event_month {i}, event_day {i}, "
    "scheduled_send_date {d}, status {t}, skip_reason {t}",
    "id INTEGER PRIMARY KEY, contact_id {i}, email_type {t}, scheduled_send_date {d}, status {t}, actual_send_datetime {d}",
)
"""Shapes of email_schedules that older systems left behind."""
TYPES = (
    {"id": "INTEGER PRIMARY KEY", "t": "TEXT", "d": "DATE", "i": "INTEGER", "b": "BOOLEAN"},
    {"id": "", "t": "", "d": "", "i": "", "b": ""},
    {"id": "INTEGER", "t": "TEXT COLLATE NOCASE", "d": "TEXT", "i": "INTEGER", "b": "INTEGER"},
)


def respelled(value: object, random: Random) -> object:
    """A value that often, not always, reads as the same."""
    if isinstance(value, datetime.date):
        return value.isoformat() + random.choice(["", "", "", " 00:00:00", "T23:59:59Z", "x"])
    if isinstance(value, bool):
        return random.choice([int(value), str(value), "Y" if value else "n"])
    if isinstance(value, int):
        return random.choice([value, value, value, str(value), f" {value} "])
    if isinstance(value, str) and value:
        return random.choice([value, value, value, value.upper(), f" {value}\t"])
    return value


class FileMaker:
    """Writes one file. With `spoiling` above 0 that share of the cells is respelled or replaced by anything."""

    def __init__(self, path: Path, random: Random, spoiling: float) -> None:
        self.random, self.spoiling = random, spoiling
        self.encoding = random.choice(ENCODINGS)
        self.types = TYPES[0] if not spoiling else random.choice(TYPES)
        self.db = apsw.Connection(str(path))
        self.db.pragma("page_size", random.choice([512, 1024, 4096, 65536]))
        self.db.pragma("encoding", self.encoding)
        self.db.pragma("foreign_keys", False)

    def cell(self, value: object) -> tuple[str, list[Any]]:
        """SQL of a value and what it binds."""
        if isinstance(value, datetime.date):
            value = value.isoformat()
        if self.random.random() < self.spoiling:
            return "?", [respelled(value, self.random)]
        if self.random.random() < self.spoiling / 2:
            if self.random.random() < 0.05:
                return "CAST(? AS TEXT)", [INVALID_TEXT[self.encoding]]
            return "?", [self.random.choice(WILD)]
        return "?", [value]

    def table(self, name: str, rows: list[Row], keys: tuple[str, ...] = (), create: str | None = None) -> None:
        """Create a table with its rows in any order. keys: columns that stay as they are."""
        columns = (create or CREATE[name]).format(**self.types)
        spelled = self.random.choice([name, name.upper(), name.title()])
        self.db.execute(f"CREATE TABLE {spelled} ({columns}, extra_column)")
        rows = self.random.sample(rows, len(rows))
        for row in rows:
            names: list[str] = []
            marks: list[str] = []
            bindings: list[Any] = []
            for column in (part.split()[0] for part in columns.split(", ")):
                value = row.get(column)
                mark, bound = ("?", [value]) if column in keys else self.cell(value)
                names.append(column)
                marks.append(mark)
                bindings += bound
            self.db.execute(f"INSERT INTO {spelled} ({', '.join(names)}) VALUES ({', '.join(marks)})", bindings)

    def older(self, row: Row) -> Row:
        """A row whose event date stands in its parts, and perhaps in event_date too."""
        event = row["event_date"]
        parts = dict.fromkeys(("event_year", "event_month", "event_day"))
        if isinstance(event, datetime.date) and self.random.random() < 0.8:
            parts = {"event_year": event.year, "event_month": event.month, "event_day": event.day}
            event = self.random.choice([None, None, event])
        return {**row, **parts, "event_date": event}

    def schedules(self, rows: list[Row]) -> None:
        """The schedule, now and then in an older shape."""
        if self.random.random() < 0.7:
            self.table("email_schedules", rows, ("id",))
        else:
            self.table("email_schedules", [self.older(row) for row in rows], ("id",), self.random.choice(OLDER))

    def write(self, tables: Tables) -> None:
        """Write all tables and close the file."""
        key = ("id",) if self.types["id"] == "INTEGER PRIMARY KEY" or self.random.random() < 0.7 else ()
        self.db.execute("BEGIN")
        self.table("contacts", tables.contacts, key)
        self.schedules(tables.schedules)
        self.table("campaign_types", tables.campaign_types, ("name",))
        self.table("campaign_instances", tables.instances, ("id",))
        self.table("contact_campaigns", [{**row, "status": row["status"] or None} for row in tables.targets])
        self.table("suppressions", [{"email": email} for email in tables.suppressions])
        self.table("tracking_clicks", tables.clicks)
        yes = [
            {**row, "metadata": str(row["metadata"]).replace("'", '"').replace("True", "true")} for row in tables.events
        ]
        self.table("contact_events", yes)
        if self.random.random() < 0.5:
            self.db.execute("DROP TABLE suppressions")
        self.db.execute("COMMIT")
        self.db.close()
