"""How fast this machine does the pass: the real one, over an invented database, as one machine and as chunks with a merge."""

import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from shutil import copyfile
from statistics import median

from mailtide.contracts import SourceRef, TaskDocument, TaskKind, TaskPlan, TaskUrls
from mailtide.database.borders import chunk_borders
from mailtide.database.estimate import inspect_database
from mailtide.database.id_range import IdRange
from mailtide.database.invented import invent_database
from mailtide.database.local_reader import LocalReader
from mailtide.database.partial_file import open_partial
from mailtide.database.read_chunk import read_chunk
from mailtide.machine.chunks.chunk import propose_chunk
from mailtide.machine.chunks.prepare import MergePreparation
from mailtide.machine.prepare import Prepare, prepare_whole
from mailtide.machine.schedule_pass import run_pass
from mailtide.machines import MachineSize
from mailtide.rules.config import load_rules

AS_OF = date(2026, 11, 21)
_RUN = "0" * 20
_NOWHERE = TaskUrls(source_get="", claim_put="", claim_get="", manifest_put="", error_put="", deliver_put={})
_NO_SIZE = MachineSize(cpu_kind="shared", cpus=1, memory_mb=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One kind of task: contacts of one task, and median seconds by step."""

    kind: TaskKind
    contacts: int
    seconds: dict[str, float]

    @property
    def contacts_per_s(self) -> dict[str, float]:
        """By step; steps too short to be seen are left out."""
        return {step: round(self.contacts / taken, 1) for step, taken in self.seconds.items() if taken > 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """What the databases of the measurement weigh, for each contact."""

    database: float
    schedule: float
    """What the schedule added."""
    candidates: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Everything that was measured."""

    tasks: tuple[Measured, ...]
    bytes_per_contact: Bytes
    start_up_s: float


def calibrate(folder: Path, *, contacts: int, threads: int, chunks: int, rounds: int) -> Calibrated:
    """Measure each kind of task `rounds` times. folder: an empty one, with room for a few copies of the database."""
    source = folder / "source.db"
    made = invent_database(source, contacts, 1, 0.01)
    documents = _documents(source, threads, chunks)
    seconds: dict[TaskKind, list[dict[str, float]]] = {"whole": [], "chunk": [], "merge": []}
    parts: tuple[tuple[str, bytes], ...] = ()
    for _ in range(rounds):
        size_bytes, taken = _pass(source, folder, threads, prepare_whole)
        seconds["whole"].append(taken)
        done = [_chunk(source, folder, document, threads) for document in documents[:-1]]
        seconds["chunk"] += [taken for _, taken in done]
        parts = tuple((document.task.task, data) for document, (data, _) in zip(documents[:-1], done, strict=True))
        seconds["merge"].append(_pass(source, folder, threads, MergePreparation(documents[-1], parts))[1])
    of_each: dict[TaskKind, int] = {"whole": contacts, "chunk": contacts // len(parts), "merge": contacts}
    return Calibrated(
        tasks=tuple(Measured(kind=kind, contacts=of_each[kind], seconds=_medians(seconds[kind])) for kind in seconds),
        bytes_per_contact=Bytes(
            database=made.size_bytes / contacts,
            schedule=(size_bytes - made.size_bytes) / contacts,
            candidates=sum(len(data) for _, data in parts) / contacts,
        ),
        start_up_s=median(_start_up_s() for _ in range(3)),
    )


def _pass(source: Path, folder: Path, threads: int, prepare: Prepare) -> tuple[int, dict[str, float]]:
    """A first schedule: bytes of the file with it, and seconds by step."""
    path = folder / "pass.db"
    copyfile(source, path)
    now = datetime.now(UTC)
    report = run_pass(path, AS_OF, load_rules(None), "calibrate", now, threads, prepare=prepare)
    return path.stat().st_size, {step: taken for step, taken in report.seconds.items() if step != "total"}


def _chunk(source: Path, folder: Path, document: TaskDocument, threads: int) -> tuple[bytes, dict[str, float]]:
    """The candidates of one chunk, and seconds by step."""
    start_s = time.monotonic()
    with LocalReader(source) as reader, open_partial(reader, folder / "part.db") as partial:
        read = read_chunk(partial, IdRange(document.task.first_id, document.task.last_id), threads)
        fetch_s = partial.file.fetch_s
    read_s = time.monotonic()
    made = propose_chunk(document, load_rules(None), read, threads)
    return made.data, {"read": read_s - start_s - fetch_s, "decide": time.monotonic() - read_s}


def _documents(source: Path, threads: int, chunks: int) -> list[TaskDocument]:
    """Of every chunk, then of the merge."""
    with LocalReader(source) as reader:
        borders = chunk_borders(reader, inspect_database(reader), chunks)
    ends = zip((None, *(border + 1 for border in borders)), (*borders, None), strict=True)
    plans = [
        TaskPlan(
            task=f"chunk-{number:04}", kind="chunk", first_id=first, last_id=last, sizes=(_NO_SIZE,), threads=threads
        )
        for number, (first, last) in enumerate(ends, 1)
    ]
    plans.append(TaskPlan(task="merge", kind="merge", sizes=(_NO_SIZE,), threads=threads))
    return [_document(source, plan) for plan in plans]


def _document(source: Path, plan: TaskPlan) -> TaskDocument:
    now = datetime.now(UTC)
    return TaskDocument(
        org="calibrate",
        run=_RUN,
        task=plan,
        attempt=1,
        source=SourceRef(etag="", last_modified=now, size_bytes=source.stat().st_size),
        as_of=AS_OF,
        planned_at=now,
        rules_yaml=None,
        rules_sha256=load_rules(None).sha256,
        profile="highperf",
        urls=_NOWHERE,
        written_at=now,
    )


def _medians(samples: list[dict[str, float]]) -> dict[str, float]:
    return {step: round(median(sample[step] for sample in samples), 4) for step in samples[0]}


def _start_up_s() -> float:
    """A new process up to where it would begin its task."""
    start_s = time.monotonic()
    subprocess.run([sys.executable, "-c", "import mailtide.machine.work"], check=True)
    return round(time.monotonic() - start_s, 3)
