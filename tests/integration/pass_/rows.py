"""What stands in a file's schedule."""

import hashlib
from pathlib import Path
from typing import Any

import apsw

MEANING = (
    "contact_id, email_type, event_date, campaign_instance_id, scheduled_send_date, scheduled_send_time, status, "
    "skip_reason, priority, email_template, sms_template"
)


def query(path: Path, sql: str) -> list[Any]:
    """All rows of a query on a file, without changing it."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def schedule_of(path: Path) -> list[Any]:
    """The rows by key, without ids, run ids and times."""
    return query(path, f"SELECT {MEANING} FROM email_schedules ORDER BY 1, 2, 3, 4")


def execute(path: Path, sql: str) -> None:
    """Run statements on a file."""
    connection = apsw.Connection(str(path))
    try:
        connection.execute(sql).fetchall()
    finally:
        connection.close()


def fingerprint(path: Path) -> tuple[str, int, int, list[str]]:
    """Content, time of the last change, mode, and what lies beside the file."""
    status = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return digest, status.st_mtime_ns, status.st_mode, sorted(other.name for other in path.parent.iterdir())
