"""The pass: read the columns, decide, compare with the planned rows that stand in the table, write what differs."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import numpy as np

from mailtide.database.bulk import Source
from mailtide.database.checked import checked_beside
from mailtide.database.compare import compare
from mailtide.database.differences import Differences
from mailtide.database.first_schedule import first_schedule
from mailtide.database.locked import LockedFile, locked_file
from mailtide.database.replace import change_in_place, copy_beside, forget_pages, replace_whole
from mailtide.database.run_history import follows
from mailtide.database.write import RunRow, write_differences
from mailtide.machine.prepare import Prepare, Prepared, prepare_whole
from mailtide.machine.report import DAYS, DailyVolume, PassReport, Profile
from mailtide.rules.columns import NO_CODE, Desired, Int64, Outcome
from mailtide.rules.config import Rules
from mailtide.rules.dates import days_since_epoch

if TYPE_CHECKING:
    from mailtide.database.leave import Leave

HARD_LINKS_WARNING = "The file has several names (hard links), so it was changed in place rather than replaced."
_CHUNK_ROWS = 1 << 18
_THREADS_A_CORE = 2
"""More only wait for each other, each with its pages in hand."""
_PAGES_A_DIFFERENCE = 3
"""That are written: of the table, and of its two indexes where the row comes or goes."""
NO_CONTACTS_WARNING = "The database has no contacts, so its schedule is empty."


class _Stopwatch:
    """Seconds by step."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)

    def total(self) -> float:
        return round(time.perf_counter() - self._start, 3)


def run_pass(
    path: Path,
    as_of: date,
    rules: Rules,
    run_id: str,
    started_at: datetime,
    threads: int = 1,
    profile: Profile = "highperf",
    *,
    check: bool = True,
    prepare: Prepare = prepare_whole,
    leave: "Leave | None" = None,
    touched: bool = False,
) -> PassReport:
    """Bring email_schedules of the file at `path` up to date, and say what was done.

    started_at: an aware time, written into the rows. threads: 1 to 32, of which at most two a core are started. check:
    have the pages of the tables checked before anything is written. prepare: decides which rows should stand. leave: files
    to write beside. touched: the run has changed the file before, so it leaves its row and its files even when the pass
    finds no difference. The file is locked against everybody throughout, and ends as it was or as it should be.

    Raises DatabaseError, one sentence, when the file cannot be used; it is untouched then.
    """
    watch = _Stopwatch()
    threads = min(threads, _THREADS_A_CORE * (os.process_cpu_count() or 1))
    with locked_file(path) as locked:
        source = Source(locked.content, locked.header, locked.content_descriptor)
        replaces = profile == "highperf" and locked.link_count == 1
        checked = replace(locked.schema, tables=locked.schema.tables if check else {})
        with checked_beside(source, checked, threads) as verdict, ExitStack() as copies:
            # A first schedule and new rules change most of the rows, and the disk has time to spare until then.
            expects_many = not follows(locked.connection, locked.schema, rules.sha256)
            copy = copies.enter_context(copy_beside(locked)) if replaces and expects_many else None
            with watch.step("read"):
                read = prepare(source, locked.schema, rules, days_since_epoch(as_of), threads)
            verdict.go_on()
            with watch.step(read.step):
                outcome = read.decide()
            with watch.step("compare"):
                ids = read.ids
                found = compare(source, locked.schema, ids, outcome.desired, rules.send_time, threads, read.standing)
            writes = touched or not found.is_empty
            # SQLite writes with one thread.
            counter = copies.enter_context(ThreadPoolExecutor(1)) if threads > 1 else None
            counting = counter.submit(_count, outcome.desired, as_of) if counter else None
            skipped = _skipped_contacts(read, outcome)
            warnings = _warnings(locked, read, profile)

            def write(connection: apsw.Connection, *, insert: bool = True) -> None:
                what = locked.preparation, ids, outcome.desired, found, rules.send_time, run()
                tell = partial(leave.write, connection, source, *what) if leave else lambda: None
                write_differences(connection, locked.schema, *what, insert=insert, before_commit=tell)

            def run() -> RunRow:
                return RunRow(
                    run_id, as_of, rules.sha256, read.contact_rows, outcome.eligible, skipped, started_at, watch.total()
                )

            def approve() -> None:
                with watch.step("check"):
                    verdict.wait()

            if replaces and writes and (copy is not None or not _is_little(found, locked)):
                with watch.step("write"):
                    copy = copy or copies.enter_context(copy_beside(locked))
                    # Only the private copy is written before the verdict.
                    load = first_schedule(
                        locked, ids, outcome.desired, rules.send_time, run().stamp, threads, is_read=leave is not None
                    )
                    copy.finished()
                    verdict.afterwards(partial(forget_pages, locked, is_read=leave is not None))
                    if load is None:
                        replace_whole(locked, copy, write, threads, approve)
                    else:
                        replace_whole(locked, copy, partial(write, insert=False), threads, approve, load)
            else:
                approve()
                with watch.step("write"):
                    if writes:
                        change_in_place(locked, write)
    told = counting.result() if counting else _count(outcome.desired, as_of)
    return PassReport(
        as_of=as_of,
        run_id=run_id,
        rules_sha256=rules.sha256,
        profile=profile,
        threads=threads,
        contacts=read.contact_rows,
        eligible=outcome.eligible,
        skipped_contacts=skipped,
        rows=told.rows,
        skips=told.skips,
        daily=told.daily,
        inserted=len(found.insert),
        updated=len(found.update_row),
        deleted=len(found.delete),
        unchanged=found.unchanged,
        changed=not found.is_empty,
        notes={name: count for name, count in {**outcome.notes, **read.quality}.items() if count},
        warnings=warnings,
        seconds={**watch.seconds, "total": watch.total()},
    )


def _is_little(found: Differences, locked: LockedFile) -> bool:
    """Whether changing the file in place writes less than copying it does."""
    return len(found) * _PAGES_A_DIFFERENCE < locked.header.page_count // 2


def _skipped_contacts(read: Prepared, outcome: Outcome) -> dict[str, int]:
    counts = {"invalid_id": read.invalid_ids, **outcome.skipped_contacts}
    return {reason: count for reason, count in counts.items() if count}


def _warnings(locked: LockedFile, read: Prepared, profile: Profile) -> list[str]:
    warnings = list(locked.warnings)
    if not read.contact_rows:
        warnings.append(NO_CONTACTS_WARNING)
    if profile == "highperf" and locked.link_count > 1:
        warnings.append(HARD_LINKS_WARNING)
    return warnings


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the report counts of the desired rows."""

    rows: dict[str, dict[str, int]]
    """By type and status, types ascending."""
    skips: dict[str, int]
    """Skipped rows by reason, ascending."""
    daily: DailyVolume


def _count(desired: Desired, as_of: date) -> _Counted:
    """Count the rows, chunk by chunk, so that little memory is needed."""
    types, first = len(desired.types), days_since_epoch(as_of)
    planned, left_out = np.zeros(types, np.int64), np.zeros(types, np.int64)
    reasons, days = np.zeros(len(desired.reasons), np.int64), np.zeros(types * DAYS, np.int64)
    later = 0
    for start in range(0, len(desired), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        email_type, reason = desired.email_type[chunk], desired.skip_reason[chunk]
        is_skipped = reason != NO_CODE
        left_out += np.bincount(email_type[is_skipped], minlength=types)
        reasons += np.bincount(reason[is_skipped], minlength=len(reasons))
        email_type, place = email_type[~is_skipped], desired.send[chunk][~is_skipped] - np.int32(first)
        planned += np.bincount(email_type, minlength=types)
        within = (place >= 0) & (place < DAYS)
        days += np.bincount((email_type * np.int32(DAYS) + place)[within], minlength=len(days))
        later += int(len(place) - np.count_nonzero(within))
    rows = {
        name: {"pre-scheduled": int(planned[code]), "skipped": int(left_out[code])}
        for name, code in sorted((name, code) for code, name in enumerate(desired.types))
        if planned[code] or left_out[code]
    }
    skips = {name: int(count) for name, count in sorted(zip(desired.reasons, reasons, strict=True)) if count}
    return _Counted(rows, skips, _daily(desired, days.reshape(-1, DAYS), as_of, later))


def _daily(desired: Desired, counts: Int64, as_of: date, later: int) -> DailyVolume:
    """counts: planned rows by type and day from `as_of` on, shape (types, DAYS)."""
    trimmed = {name: np.trim_zeros(counts[code], "b").tolist() for code, name in enumerate(desired.types)}
    by_type = {name: days for name, days in sorted(trimmed.items()) if days}
    return DailyVolume(first_day=as_of, counts=by_type, later=later)
