"""A database as plain rows with their values read (§2)."""

import datetime
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reference import values

HISTORY = ("scheduled", "processing", "sent", "delivered")
PLANNED = ("pre-scheduled", "skipped")

type Row = dict[str, Any]


@dataclass
class Tables:
    contacts: list[Row] = field(default_factory=list)
    """id, email, state, zip_code, birth_date, effective_date, phone_number."""
    schedules: list[Row] = field(default_factory=list)
    """Rows with a readable contact_id: id, contact_id, email_type, event_date, scheduled_send_date, status, skip_reason,
    priority (10 for NULL), stored_priority, campaign_instance_id, scheduled_send_time, email_template, sms_template,
    actual_send_datetime."""
    campaign_types: list[Row] = field(default_factory=list)
    instances: list[Row] = field(default_factory=list)
    targets: list[Row] = field(default_factory=list)
    suppressions: list[str] = field(default_factory=list)
    clicks: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    invalid_ids: int = 0
    instances_left_out: int = 0


class _File:
    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.db.text_factory = bytes
        self.encoding = {b"UTF-8": "utf-8", b"UTF-16le": "utf-16-le", b"UTF-16be": "utf-16-be"}[
            self.db.execute("PRAGMA encoding").fetchone()[0]
        ]

    def rows(self, wanted: str) -> list[Row]:
        """Rows in the order of rowid, keys in lower case; text that cannot be decoded or is blank is None."""
        for (name,) in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if name.decode().lower() == wanted:
                break
        else:
            return []
        table = '"' + name.decode().replace('"', '""') + '"'
        names = [row[1].decode() for row in self.db.execute(f"PRAGMA table_info({table})")]
        quoted = ['"' + column.replace('"', '""') + '"' for column in names]
        parts = ", ".join(
            f"typeof({column}), CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END"
            for column in quoted
        )
        found = []
        for raw in self.db.execute(f"SELECT {parts} FROM {table}"):
            row = {}
            for index, column in enumerate(names):
                row[column.lower()] = self.value(raw[2 * index], raw[2 * index + 1])
            found.append(row)
        return found

    def value(self, kind: bytes, value: int | float | bytes | None) -> int | float | bytes | str | None:
        if kind != b"text" or not isinstance(value, bytes):
            return value
        try:
            decoded = value.decode(self.encoding)
        except UnicodeDecodeError:
            return None
        return decoded if decoded.strip() else None


def _old_event_date(row: Row) -> datetime.date | None:
    year, month, day = (values.integer(row.get(f"event_{part}")) for part in ("year", "month", "day"))
    if year is None or month is None or day is None:
        return None
    return values.date(f"{year:04d}-{month:02d}-{day:02d}") if min(year, month, day) >= 0 else None


def _schedule(row: Row) -> Row:
    priority = values.integer(row.get("priority"))
    return {
        **row,
        "id": values.integer(row.get("id")),
        "contact_id": values.integer(row.get("contact_id")),
        "email_type": values.text(row.get("email_type")),
        "event_date": values.date(row.get("event_date")) or _old_event_date(row),
        "scheduled_send_date": values.date(row.get("scheduled_send_date")),
        "actual_send_datetime": values.date(row.get("actual_send_datetime")),
        "status": values.status(row.get("status")),
        "stored_priority": priority,
        "priority": 10 if priority is None else priority,
        "campaign_instance_id": values.integer(row.get("campaign_instance_id")) or 0,
    }


def _campaign_type(row: Row) -> Row:
    priority = values.integer(row.get("priority"))
    return {
        "name": values.text(row["name"]),
        "respect_exclusion_windows": values.flag(row.get("respect_exclusion_windows"), True),
        "enable_followups": values.flag(row.get("enable_followups"), True),
        "days_before_event": values.integer(row.get("days_before_event")) or 0,
        "target_all_contacts": values.flag(row.get("target_all_contacts"), False),
        "priority": 10 if priority is None else priority,
        "active": values.flag(row.get("active"), True),
    }


def _instances(rows: list[Row], tables: Tables) -> None:
    for row in rows:
        start, end = (values.date(row.get(f"active_{side}_date")) for side in ("start", "end"))
        invalid = any(
            row.get(f"active_{side}_date") is not None and value is None
            for side, value in (("start", start), ("end", end))
        )
        if values.integer(row["id"]) is None or invalid:
            tables.instances_left_out += 1
            continue
        tables.instances.append(
            {
                "id": values.integer(row["id"]),
                "campaign_type": values.text(row["campaign_type"]),
                "email_template": values.text(row.get("email_template")),
                "sms_template": values.text(row.get("sms_template")),
                "active_start_date": start,
                "active_end_date": end,
            }
        )


def _contacts(rows: list[Row], tables: Tables) -> None:
    for row in rows:
        number = values.integer(row["id"])
        if number is None:
            tables.invalid_ids += 1
            continue
        dates = {key: values.date(row.get(key)) for key in ("birth_date", "effective_date")}
        tables.contacts.append({**row, "id": number, **dates})


def read(path: Path) -> Tables:
    """The tables of a file; absent ones are empty. The file must be one that the pass accepts."""
    file = _File(path)
    tables = Tables()
    _contacts(file.rows("contacts"), tables)
    schedules = [_schedule(row) for row in file.rows("email_schedules")]
    tables.schedules = sorted((row for row in schedules if row["contact_id"] is not None), key=lambda row: row["id"])
    tables.campaign_types = [row for row in map(_campaign_type, file.rows("campaign_types")) if row["name"]]
    _instances(file.rows("campaign_instances"), tables)
    for row in file.rows("contact_campaigns"):
        tables.targets.append(
            {
                "contact_id": values.integer(row["contact_id"]),
                "campaign_instance_id": values.integer(row["campaign_instance_id"]),
                "trigger_date": values.date(row.get("trigger_date")),
                "status": values.status(row.get("status")),
            }
        )
    for row in file.rows("suppressions"):
        if isinstance(row["email"], str):
            tables.suppressions.append(row["email"].strip().lower())
    for row in file.rows("tracking_clicks"):
        tables.clicks.append(
            {"contact_id": values.integer(row["contact_id"]), "clicked_at": values.date(row["clicked_at"])}
        )
    for row in file.rows("contact_events"):
        tables.events.append(
            {
                "contact_id": values.integer(row["contact_id"]),
                "event_type": row["event_type"],
                "created_at": values.date(row["created_at"]),
                "metadata": values.keys_of_json(row.get("metadata")),
            }
        )
    file.db.close()
    return tables
