"""What a pass would change, and what differs between two schedules, without writing to either file."""

import shutil
from datetime import date, datetime
from pathlib import Path

from mailtide.database.bulk import Source
from mailtide.database.private_copy import PrivateCopy, private_copy
from mailtide.database.read_schedule import Schedule, read_schedule
from mailtide.database.schedule_changes import ScheduleChanges, compare_schedules
from mailtide.machine.report import PassReport
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import Rules


def dry_run(
    path: Path, as_of: date, rules: Rules, run_id: str, started_at: datetime, threads: int = 1
) -> tuple[PassReport, ScheduleChanges]:
    """Run the pass on a private copy: its report, and what it would change. Raises DatabaseError.

    The disk of temporary files holds the database up to three times.
    """
    with private_copy(path) as copy:
        after = copy.path.with_name("after.db")
        shutil.copyfile(copy.path, after)
        report = run_pass(after, as_of, rules, run_id, started_at, threads)
        before = _schedule(copy, threads)
        return report, compare_schedules(before, read_file(after, threads) if report.changed else before)


def read_file(path: Path, threads: int = 1) -> Schedule:
    """The schedule of a database as it stands at one moment. Raises DatabaseError."""
    with private_copy(path, ("email_schedules",)) as copy:
        return _schedule(copy, threads)


def _schedule(copy: PrivateCopy, threads: int) -> Schedule:
    return read_schedule(Source(copy.path, copy.header), copy.schema, threads)
