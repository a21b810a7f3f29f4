"""A run that is cut into chunks, laid out in a bucket as plan_run and launch_machine lay it out."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from mailtide.contracts import DELIVERIES, FeedbackInput, Manifest, PartInput, TaskDocument, TaskKind, TryError
from mailtide.machine.work import Ended, work
from mailtide.rules.config import load_rules
from tests.integration.machine.fault_bucket import FaultBucket
from tests.integration.machine.tasks import AS_OF, SOURCE
from tests.support.chunks import PLANNED_AT, RUN, document, ranges

_SILENT = ("seconds", "finished_at")


class CutRun:
    """The tasks of a run over one source: chunks between borders, a merge, and one machine for the whole of it."""

    def __init__(
        self, bucket: FaultBucket, source: bytes, borders: Sequence[int] = (), rules_yaml: str | None = None
    ) -> None:
        self.bucket, self.rules_yaml, self.size_bytes = bucket, rules_yaml, len(source)
        self.etag = bucket.put(SOURCE, source)
        self.ranges = ranges(borders)
        self.feedback: dict[str, bytes] = {}
        self.chunks = [f"chunk-{number:04d}" for number in range(len(self.ranges))]

    def prefix(self, task: str) -> str:
        return f"runs/acme/{RUN}/tasks/{task}/1"

    def lay_out(
        self, kind: TaskKind, number: int = 0, threads: int = 1, inputs: tuple[PartInput, ...] | None = None
    ) -> str:
        """Store a task's document; returns its URL. inputs: of a merge, in place of what the chunks delivered."""
        rules = load_rules(self.rules_yaml)
        made = document(kind, rules, AS_OF, number, self.ranges[number] if kind == "chunk" else None)
        task = made.task.task
        made = made.model_copy(
            update={
                "task": made.task.model_copy(update={"threads": threads}),
                "rules_yaml": self.rules_yaml,
                "source": made.source.model_copy(update={"etag": self.etag, "size_bytes": self.size_bytes}),
                "urls": made.urls.model_copy(update=self._urls(task, kind)),
                "feedback": tuple(self._dropped(name, body) for name, body in self.feedback.items() if kind != "chunk"),
                "parts": (self.inputs() if inputs is None else inputs) if kind == "merge" else (),
            }
        )
        self.bucket.put(f"{self.prefix(task)}/task.json", TaskDocument.model_validate(made.model_dump()).to_bytes())
        return self.bucket.url(f"{self.prefix(task)}/task.json")

    def _urls(self, task: str, kind: TaskKind) -> dict[str, Any]:
        def url(name: str) -> str:
            return self.bucket.url(f"{self.prefix(task)}/{name}")

        return {
            "source_get": self.bucket.url(SOURCE),
            "claim_put": url("claim.json"),
            "claim_get": url("claim.json"),
            "manifest_put": url("manifest.json"),
            "error_put": url("error.json"),
            "deliver_put": {name: url(name) for name in DELIVERIES[kind]},
        }

    def _dropped(self, name: str, body: bytes) -> FeedbackInput:
        key = f"orgs/acme/feedback/{name}"
        etag = self.bucket.put(key, body)
        return FeedbackInput(
            name=name, etag=etag, size_bytes=len(body), dropped_at=PLANNED_AT, get=self.bucket.url(key)
        )

    def inputs(self) -> tuple[PartInput, ...]:
        """The candidates of the chunks as they stand."""
        found = []
        for task in self.chunks:
            name, body = f"{self.prefix(task)}/candidates.bin", self.body(task, "candidates.bin")
            sha256 = hashlib.sha256(body).hexdigest()
            found.append(PartInput(task=task, get=self.bucket.url(name), size_bytes=len(body), sha256=sha256))
        return tuple(found)

    def do(
        self, kind: TaskKind, number: int = 0, threads: int = 1, inputs: tuple[PartInput, ...] | None = None
    ) -> Ended:
        """A task, in this process."""
        return work(self.lay_out(kind, number, threads, inputs), machine_id=None, say=lambda _: None)

    def do_chunks(self, threads: int = 1) -> None:
        for number in range(len(self.chunks)):
            assert self.do("chunk", number, threads) == Ended(ok=True, sentence="Delivered."), self.chunks[number]

    def forget(self, task: str) -> None:
        """Remove what a task left, for another try."""
        for name in [name for name in self.bucket.objects if name.startswith(self.prefix(task))]:
            del self.bucket.objects[name]

    def body(self, task: str, name: str) -> bytes:
        return self.bucket.objects[f"{self.prefix(task)}/{name}"].body

    def manifest(self, task: str) -> Manifest:
        return Manifest.model_validate_json(self.body(task, "manifest.json"))

    def failure(self, task: str) -> tuple[str, str]:
        """Kind and sentence of error.json, which must tell no secret."""
        body = self.body(task, "error.json")
        assert self.bucket.signature.encode() not in body
        found = TryError.model_validate_json(body).failure
        return found.kind, found.message

    def outcome(self, task: str) -> tuple[dict[str, Any], dict[str, list[Any]]]:
        """The report without its seconds, and all rows of the tables that a pass writes."""
        manifest = self.manifest(task)
        report = json.loads(json.dumps(manifest.report))
        del report["seconds"]
        return report, tables(self.body(task, "contacts.db")) if manifest.changed else {}


def tables(database: bytes) -> dict[str, list[Any]]:
    """Every row of email_schedules, and of scheduler_runs but for its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "delivered.db"
        path.write_bytes(database)
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return {name: _rows(connection, name) for name in ("email_schedules", "scheduler_runs")} | {
                "checked": connection.execute("PRAGMA integrity_check").fetchall()
            }
        finally:
            connection.close()


def _rows(connection: apsw.Connection, table: str) -> list[Any]:
    """Types and bytes of all cells, for text need not be valid."""
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    cells = ", ".join(f"typeof({name}), CAST({name} AS BLOB)" for name in names if name not in _SILENT)
    return connection.execute(f"SELECT {cells} FROM {table} ORDER BY rowid").fetchall()
