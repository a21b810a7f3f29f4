"""One measured piece of work in a process of its own: prints a JSON object with its seconds and its peak memory.

pass: one run of the pass. lines: one with a profile. floor: the same rows written by SQLite alone. prepare: the rows of a
finished file, by themselves.
"""

import argparse
import importlib
import json
import os
import resource
import sys
import threading
import time
from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import apsw

_TABLES = ("email_schedules", "scheduler_runs")
_CACHE_KB = 48 * 1024
_COPY_BYTES = 64 << 20
_SAMPLE_S = 0.002


def run_pass(database: Path, as_of: date, threads: int, profile: Literal["highperf", "reliable"]) -> dict[str, Any]:
    from mailtide.machine.memory import keep_freed_memory
    from mailtide.machine.schedule_pass import run_pass as measured
    from mailtide.rules.config import load_rules

    rules, now = load_rules(), datetime.now(UTC)
    # As the command and the machine do.
    keep_freed_memory()
    start, start_cpu = time.perf_counter(), time.process_time()
    report = measured(database, as_of, rules, f"bench-{now:%Y%m%dT%H%M%S%fZ}", now, threads, profile)
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - start_cpu,
        "steps": report.seconds,
        "rows": sum(sum(counts.values()) for counts in report.rows.values()),
        "differences": report.inserted + report.updated + report.deleted,
    }


def prepare(finished: Path, prepared: Path) -> dict[str, Any]:
    """Copy the rows of the schedule, in their order and without indexes, to a file of their own."""
    start = time.perf_counter()
    connection = _fast(prepared, 1)
    connection.execute("ATTACH ? AS finished", (str(finished),))
    for table in _TABLES:
        connection.execute(f"CREATE TABLE main.{table} AS SELECT * FROM finished.{table} ORDER BY rowid")
    schema: list[Any] = connection.execute(
        "SELECT sql FROM finished.sqlite_schema WHERE tbl_name IN (?, ?) AND sql IS NOT NULL ORDER BY type DESC, rowid",
        _TABLES,
    ).fetchall()
    connection.close()
    prepared.with_suffix(".json").write_text(json.dumps([sql for (sql,) in schema]), encoding="utf-8")
    return {"seconds": time.perf_counter() - start}


def write_floor(contacts: Path, prepared: Path, threads: int) -> dict[str, Any]:
    """Copy the file of contacts, insert the prepared rows, make the indexes, and put the copy on disk."""
    schema: list[str] = json.loads(prepared.with_suffix(".json").read_text(encoding="utf-8"))
    copy = contacts.with_suffix(".floor")
    start, start_cpu = time.perf_counter(), time.process_time()
    with contacts.open("rb") as source, copy.open("wb") as target:
        at = 0
        while copied := os.copy_file_range(source.fileno(), target.fileno(), _COPY_BYTES, at, at):
            at += copied
    connection = _fast(copy, threads)
    connection.execute("ATTACH ? AS prepared", (str(prepared),))
    connection.execute("BEGIN IMMEDIATE")
    for sql in schema:
        if sql.startswith("CREATE TABLE"):
            connection.execute(sql)
    for table in _TABLES:
        names = ", ".join(row[1] for row in connection.pragma("table_info", table) if row[1] != "id")
        connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM prepared.{table}")
    for sql in schema:
        if not sql.startswith("CREATE TABLE"):
            connection.execute(sql)
    connection.execute("COMMIT")
    connection.close()
    with copy.open("rb+") as file:
        os.fsync(file.fileno())
    measured = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - start_cpu}
    copy.unlink()
    return measured


def by_line(database: Path, as_of: date) -> dict[str, Any]:
    """Run the pass with one thread, and give the seconds of each line of ours that was running: [file, line, seconds]."""
    # Not what is measured: imports, and reading the rules.
    importlib.import_module("mailtide.machine.schedule_pass")
    spent: dict[tuple[str, int], float] = defaultdict(float)
    done = threading.Event()

    def sample() -> None:
        own, last = threading.get_ident(), time.perf_counter()
        while not done.wait(_SAMPLE_S):
            now = time.perf_counter()
            lines = [
                line for thread, frame in sys._current_frames().items() if thread != own and (line := _line(frame))
            ]
            for line in lines:
                spent[line] += (now - last) / len(lines)
            last = now

    sampler = threading.Thread(target=sample)
    sampler.start()
    result = run_pass(database, as_of, 1, "highperf")
    done.set()
    sampler.join()
    ordered = sorted(spent.items(), key=lambda item: -item[1])
    return result | {"lines": [[file, line, seconds] for (file, line), seconds in ordered]}


def _line(frame: FrameType | None) -> tuple[str, int] | None:
    """The innermost line of the package; None for a thread that waits for another."""
    if frame is None or frame.f_code.co_filename.endswith(("threading.py", "queue.py", "thread.py", "_base.py")):
        return None
    while frame and "/mailtide/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return (frame.f_code.co_filename.split("/mailtide/")[-1], frame.f_lineno) if frame else None


def _fast(path: Path, threads: int) -> apsw.Connection:
    """A connection with the settings that the pass gives to its own copy."""
    connection = apsw.Connection(str(path))
    connection.pragma("locking_mode", "exclusive")
    connection.pragma("journal_mode", "off")
    connection.pragma("synchronous", 0)
    connection.pragma("cache_size", -_CACHE_KB)
    connection.pragma("threads", threads - 1)
    return connection


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["pass", "prepare", "floor", "lines"])
    parser.add_argument("database", type=Path)
    parser.add_argument("prepared", type=Path, nargs="?")
    parser.add_argument("--as-of", type=date.fromisoformat)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", choices=["highperf", "reliable"], default="highperf")
    given = parser.parse_args()
    if given.work == "pass":
        result = run_pass(given.database, given.as_of, given.threads, given.profile)
    elif given.work == "lines":
        result = by_line(given.database, given.as_of)
    elif given.work == "prepare":
        result = prepare(given.database, given.prepared)
    else:
        result = write_floor(given.database, given.prepared, given.threads)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps(result))


if __name__ == "__main__":
    main()
