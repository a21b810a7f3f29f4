"""The pass: read the columns, decide, compare with the planned rows that stand in the table, write what differs."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path

import apsw
import numpy as np

from mailtide.database.bulk import Source
from mailtide.database.checked import checked_beside
from mailtide.database.compare import Differences, compare
from mailtide.database.first_schedule import first_schedule
from mailtide.database.leave import Leave
from mailtide.database.locked import LockedFile, locked_file
from mailtide.database.replace import change_in_place, copy_beside, replace_whole
from mailtide.database.run_history import stands_for
from mailtide.database.write import RunRow, write_differences
from mailtide.machine.prepare import Prepare, Prepared, prepare_whole
from mailtide.machine.report import DAYS, DailyVolume, PassReport, Profile
from mailtide.rules.columns import NO_CODE, Desired, Outcome
from mailtide.rules.config import Rules
from mailtide.rules.dates import days_since_epoch

HARD_LINKS_WARNING = "The file has several names (hard links), so it was changed in place rather than replaced."
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
    leave: Leave | None = None,
    touched: bool = False,
) -> PassReport:
    """Bring email_schedules of the file at `path` up to date, and say what was done.

    started_at: an aware time, written into the rows. threads: 1 to 32. check: have the pages of the tables
    checked before anything is written. prepare: decides which rows should stand. leave: files to write beside. touched: the
    run has changed the file before, so it leaves its row and its files even when the pass finds no difference. The file is
    locked against everybody throughout, and ends as it was or as it should be.

    Raises DatabaseError, one sentence, when the file cannot be used; it is untouched then.
    """
    watch = _Stopwatch()
    with locked_file(path) as locked:
        source = Source(locked.content, locked.header, locked.content_descriptor)
        replaces = profile == "highperf" and locked.link_count == 1
        checked = replace(locked.schema, tables=locked.schema.tables if check else {})
        with checked_beside(source, checked, threads) as verdict, ExitStack() as copies:
            # A new day nearly always changes something, and the disk has time to spare until then.
            is_new_day = not stands_for(locked.connection, locked.schema, as_of)
            copy = copies.enter_context(copy_beside(locked)) if replaces and is_new_day else None
            with watch.step("read"):
                read = prepare(source, locked.schema, rules, days_since_epoch(as_of), threads)
            verdict.go_on()
            with watch.step(read.step):
                outcome = read.decide()
            with watch.step("compare"):
                ids = read.ids
                found = compare(source, locked.schema, ids, outcome.desired, rules.send_time, threads, read.standing)
            writes = touched or not found.is_empty
            skipped = _skipped_contacts(read, outcome)
            warnings = _warnings(locked, read, profile)

            def write(connection: apsw.Connection, *, insert: bool = True) -> None:
                write_differences(
                    connection, locked.schema, locked.preparation, ids, outcome.desired, found, rules.send_time,
                    run(), insert=insert,
                )  # fmt: skip
                if leave is not None:
                    leave.write(
                        connection, source, locked.preparation, ids, outcome.desired, found, rules.send_time, run()
                    )

            def run() -> RunRow:
                return RunRow(
                    run_id, as_of, rules.sha256, read.contact_rows, outcome.eligible, skipped, started_at, watch.total()
                )

            def approve() -> None:
                with watch.step("check"):
                    verdict.wait()

            if replaces and writes:
                with watch.step("write"):
                    copy = copy or copies.enter_context(copy_beside(locked))
                    # Only the private copy is written before the verdict.
                    load = first_schedule(locked, ids, outcome.desired, rules.send_time, run().stamp, threads)
                    if load is None:
                        replace_whole(locked, copy, write, threads, approve)
                    else:
                        replace_whole(locked, copy, partial(write, insert=False), threads, approve, load)
            else:
                approve()
                with watch.step("write"):
                    if writes:
                        change_in_place(locked, write)
    rows, skips = _counts(outcome.desired)
    return PassReport(
        as_of=as_of,
        run_id=run_id,
        rules_sha256=rules.sha256,
        profile=profile,
        threads=threads,
        contacts=read.contact_rows,
        eligible=outcome.eligible,
        skipped_contacts=skipped,
        rows=rows,
        skips=skips,
        daily=_daily(outcome.desired, as_of),
        **_changes(found),
        notes={name: count for name, count in {**outcome.notes, **read.quality}.items() if count},
        warnings=warnings,
        seconds={**watch.seconds, "total": watch.total()},
    )


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


def _changes(found: Differences) -> dict[str, int]:
    return {
        "inserted": len(found.insert),
        "updated": len(found.update_row),
        "deleted": len(found.delete),
        "unchanged": found.unchanged,
        "changed": not found.is_empty,
    }


def _counts(desired: Desired) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Rows by type and status, and skipped rows by reason; names ascending."""
    skipped = desired.skip_reason != NO_CODE
    planned = np.bincount(desired.email_type[~skipped], minlength=len(desired.types))
    left_out = np.bincount(desired.email_type[skipped], minlength=len(desired.types))
    rows = {
        name: {status: int(counts[code]) for status, counts in (("pre-scheduled", planned), ("skipped", left_out))}
        for name, code in sorted((name, code) for code, name in enumerate(desired.types))
        if planned[code] or left_out[code]
    }
    by_reason = np.bincount(desired.skip_reason[skipped], minlength=len(desired.reasons))
    return rows, {name: int(count) for name, count in sorted(zip(desired.reasons, by_reason, strict=True)) if count}


def _daily(desired: Desired, as_of: date) -> DailyVolume:
    """Planned rows by type and day from `as_of` on."""
    planned = desired.skip_reason == NO_CODE
    places = desired.send[planned].astype(np.int64) - days_since_epoch(as_of)
    within = (places >= 0) & (places < DAYS)
    cells = desired.email_type[planned][within] * DAYS + places[within]
    counts = np.bincount(cells, minlength=len(desired.types) * DAYS).reshape(-1, DAYS)
    trimmed = {name: np.trim_zeros(counts[code], "b").tolist() for code, name in enumerate(desired.types)}
    by_type = {name: days for name, days in sorted(trimmed.items()) if days}
    return DailyVolume(first_day=as_of, counts=by_type, later=int(len(places) - within.sum()))
