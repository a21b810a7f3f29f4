"""One trial: a file, a few uses of it in a process of their own, and what was wrong with how they ended.

A use may end well or refuse the file with one sentence. Anything else is a finding: another error, a crash, a hang, more
memory than allowed, a refused file that is not byte for byte as it was, something left beside it.
"""

import hashlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType
from typing import Any

import apsw

from mailtide.database.due import due_mails
from mailtide.database.inspect_local import inspect_file
from mailtide.database.untrusted import open_untrusted
from mailtide.errors import BudgetExceededError, InputError
from mailtide.machine.dry_run import dry_run
from mailtide.machine.explain import explain
from mailtide.machine.schedule_pass import run_pass
from mailtide.reporting.collect import collect_facts
from mailtide.rules.config import load_rules
from tests.fuzz_files.seeds import AS_OF
from tests.support.chunks import parts_of_file

RULES = load_rules()
STARTED = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
SENTENCE_LIMIT = 400
_PACKAGE = str(Path(sys.modules["mailtide"].__file__ or "").parent)
_ADDRESS_SPACE_BYTES = 8 << 30

type Use = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one trial may take."""

    seconds: float = 20.0
    memory_mb: int = 400
    """Resident memory of the process above what it had when it began."""


@dataclass(slots=True)
class Verdict:
    """How a trial ended."""

    sentences: dict[str, str | None] = field(default_factory=dict)
    """By use: the sentence with which it refused the file, None when it did not."""
    finding: str | None = None
    lines: set[int] = field(default_factory=set)
    """Names of the lines of mailtide that were reached, for the process family that ran it."""
    seconds: float = 0.0
    memory_mb: float = 0.0


def _pass(path: Path, threads: int, profile: str) -> None:
    run_pass(path, AS_OF, RULES, "run-1", STARTED, threads, "reliable" if profile == "reliable" else "highperf")
    again = run_pass(path, AS_OF, RULES, "run-2", STARTED, 1)
    if again.changed:
        raise AssertionError(
            f"a second pass inserted {again.inserted}, updated {again.updated} and deleted {again.deleted} rows"
        )


def _due(path: Path) -> None:
    for _ in due_mails(path, AS_OF, Counter()):
        pass


def _chunks(path: Path) -> None:
    """Three chunks and a merge make of the file what one machine makes of it, or both refuse it."""
    with TemporaryDirectory() as folder:
        alone, cut = Path(folder) / "alone.db", Path(folder) / "cut.db"
        shutil.copyfile(path, alone)
        shutil.copyfile(path, cut)
        refusal = _refusal(lambda: _done(run_pass(alone, AS_OF, RULES, "run-1", STARTED)))
        one = None if refusal else _rows(alone)

        def merge() -> None:
            parts = parts_of_file(cut, RULES, AS_OF, (20, 60), 2)
            run_pass(cut, AS_OF, RULES, "run-1", STARTED, prepare=parts)

        if (sentence := _refusal(merge)) is None and not refusal and _rows(cut) != one:
            raise AssertionError("chunks made another schedule")
        if bool(sentence) != bool(refusal):
            raise AssertionError(f"one machine says {refusal!r}, chunks say {sentence!r}")


def _rows(path: Path) -> list[Any]:
    """The schedule's rows, as bytes; none where there is no schedule."""
    names = ("contact_id", "email_type", "event_date", "scheduled_send_date", "status", "skip_reason", "priority")
    cells = ", ".join(f"CAST({name} AS BLOB)" for name in names)
    connection = open_untrusted(path)
    try:
        return connection.execute(f"SELECT id, {cells} FROM email_schedules ORDER BY id").fetchall()
    except apsw.SQLError:
        return []
    finally:
        connection.close()


def _refusal(work: Callable[[], None]) -> str | None:
    try:
        work()
    except InputError as error:
        return str(error)
    return None


USES: dict[str, Use] = {
    "plan": lambda path: _done(inspect_file(path)),
    "pass": lambda path: _pass(path, 1, "highperf"),
    "pass-threads": lambda path: _pass(path, 3, "highperf"),
    "pass-reliable": lambda path: _pass(path, 2, "reliable"),
    "chunks": _chunks,
    "dry-run": lambda path: _done(dry_run(path, AS_OF, RULES, "run-1", STARTED)),
    "explain": lambda path: _done(explain(path, 7, AS_OF, RULES)),
    "report": lambda path: _done(collect_facts(path, AS_OF, RULES)),
    "due": _due,
}


def _done(_result: object) -> None:
    return


def try_file(content: bytes, uses: dict[str, Use], folder: Path, limits: Limits | None = None) -> Verdict:
    """Run the uses one after the other on copies of a file. folder: empty; it is emptied again."""
    limits = limits or Limits()
    reader, writer = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _in_child(content, uses, folder, writer)
    os.close(writer)
    said = _read_all(reader, began + limits.seconds)
    finished = said is not None
    if not finished:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    verdict = _verdict(said, status)
    verdict.seconds = time.monotonic() - began
    if verdict.memory_mb > limits.memory_mb and verdict.finding is None:
        verdict.finding = f"it took {verdict.memory_mb:.0f} MB of memory"
    if not finished:
        verdict.finding = f"it hung for {limits.seconds:.0f} s"
    _empty(folder)
    return verdict


def _read_all(reader: int, until: float) -> bytes | None:
    """All that the child says, None when time is up first."""
    said = bytearray()
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            block = pipe.read(1 << 16)
            if not block:
                return bytes(said)
            said += block


def _verdict(said: bytes | None, status: int) -> Verdict:
    code = os.waitstatus_to_exitcode(status)
    try:
        told = json.loads(said or b"{}")
    except ValueError:
        told = {}
    verdict = Verdict(told.get("sentences", {}), told.get("finding"), set(told.get("lines", ())))
    verdict.memory_mb = told.get("memory_mb", 0.0)
    if code != 0 and verdict.finding is None:
        verdict.finding = f"the process ended with {code}"
    return verdict


def _in_child(content: bytes, uses: dict[str, Use], folder: Path, writer: int) -> None:
    """Never returns."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        before_kb = _resident_kb()
        lines = _watch_lines()
        sentences: dict[str, str | None] = {}
        finding = None
        for name, use in uses.items():
            sentences[name], finding = _use(name, use, content, folder)
            if finding:
                break
        memory_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
        told = {"sentences": sentences, "finding": finding, "lines": sorted(lines), "memory_mb": memory_mb}
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(told).encode())
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it is must not come back into the parent's code
        traceback.print_exc()
        os._exit(70)


def _resident_kb() -> int:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def _use(name: str, use: Use, content: bytes, folder: Path) -> tuple[str | None, str | None]:
    """The sentence of a refusal, and what was wrong."""
    path = folder / "contacts.db"
    path.write_bytes(content)
    sentence = None
    try:
        use(path)
    except (InputError, BudgetExceededError) as error:
        sentence = str(error)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        where = "".join(traceback.format_exception(error)[-3:])
        return None, f"{name}: {type(error).__name__}: {error}\n{where}"
    finding = _what_is_wrong(name, sentence, content, path)
    _empty(folder)
    return sentence, finding


def _what_is_wrong(name: str, sentence: str | None, content: bytes, path: Path) -> str | None:
    beside = sorted(other.name for other in path.parent.iterdir() if other != path)
    if sentence is not None and ("\n" in sentence or len(sentence) > SENTENCE_LIMIT or not sentence.isprintable()):
        return f"{name}: not one clear sentence: {sentence[:200]!r}"
    if (sentence is not None or not name.startswith("pass")) and path.read_bytes() != content:
        return f"{name}: the file was changed ({sentence})"
    if beside:
        return f"{name}: left {', '.join(beside)} beside the file"
    return None


def _empty(folder: Path) -> None:
    for other in folder.iterdir():
        if other.is_dir():
            shutil.rmtree(other)
        else:
            other.unlink()


def _watch_lines() -> set[int]:
    """The lines of mailtide as they are reached; each is told once, so this costs little."""
    reached: set[int] = set()
    monitoring = sys.monitoring
    tool = monitoring.COVERAGE_ID
    monitoring.use_tool_id(tool, "fuzz")

    def on_line(code: CodeType, number: int) -> object:
        if code.co_filename.startswith(_PACKAGE):
            name = f"{code.co_filename}:{number}".encode()
            reached.add(int.from_bytes(hashlib.blake2b(name, digest_size=6).digest()))
        return monitoring.DISABLE

    monitoring.register_callback(tool, monitoring.events.LINE, on_line)
    monitoring.set_events(tool, monitoring.events.LINE)
    return reached
