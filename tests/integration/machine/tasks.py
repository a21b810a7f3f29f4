"""A task of a run, laid out in a bucket as launch_machine lays it out."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from mailtide.contracts import FeedbackInput, SourceRef, TaskDocument, TaskPlan, TaskUrls, TryError
from mailtide.database.invented import invent_database
from mailtide.machines import MachineSize
from mailtide.rules.config import load_rules
from tests.integration.machine.fault_bucket import FaultBucket

AS_OF = date(2026, 11, 21)
PLANNED_AT = datetime(2026, 11, 21, 14, 2, 33, tzinfo=UTC)
SOURCE = "orgs/acme/contacts.db"
TRY = "runs/acme/7abd3c7bebca4a1f8d67/tasks/whole/1"


def database(folder: Path, contacts: int = 400) -> bytes:
    path = folder / "invented.db"
    invent_database(path, contacts, 7, 0.05)
    content = path.read_bytes()
    path.unlink()
    return content


@dataclass
class Task:
    """One try: its source and its document, and what stands under its prefix."""

    bucket: FaultBucket
    source: bytes
    rules_yaml: str | None = None
    part_bytes: int | None = None
    etag: str | None = None
    feedback: dict[str, bytes] = field(default_factory=dict)
    """Feedback files by name."""
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.etag = self.bucket.put(SOURCE, self.source, self.etag)
        size = MachineSize(cpu_kind="shared", cpus=1, memory_mb=1024)
        document = TaskDocument(
            org="acme",
            run="7abd3c7bebca4a1f8d67",
            task=TaskPlan(task="whole", kind="whole", sizes=(size,), threads=1),
            attempt=1,
            source=SourceRef(etag=self.etag, last_modified=PLANNED_AT, size_bytes=len(self.source)),
            source_part_bytes=self.part_bytes,
            as_of=AS_OF,
            planned_at=PLANNED_AT,
            rules_yaml=self.rules_yaml,
            rules_sha256=load_rules(None).sha256,
            profile="highperf",
            urls=self._urls(),
            feedback=tuple(self._dropped(name, body) for name, body in self.feedback.items()),
            written_at=PLANNED_AT,
        )
        self.bucket.put(f"{TRY}/task.json", document.to_bytes())
        self.url = self.bucket.url(f"{TRY}/task.json")

    def _dropped(self, name: str, body: bytes) -> FeedbackInput:
        key = f"orgs/acme/feedback/{name}"
        etag = self.bucket.put(key, body)
        return FeedbackInput(
            name=name, etag=etag, size_bytes=len(body), dropped_at=PLANNED_AT, get=self.bucket.url(key)
        )

    def _urls(self) -> TaskUrls:
        return TaskUrls(
            source_get=self.bucket.url(SOURCE),
            claim_put=self.bucket.url(f"{TRY}/claim.json"),
            claim_get=self.bucket.url(f"{TRY}/claim.json"),
            deliver_put={"contacts.db": self.bucket.url(f"{TRY}/contacts.db")},
            manifest_put=self.bucket.url(f"{TRY}/manifest.json"),
            error_put=self.bucket.url(f"{TRY}/error.json"),
        )

    def body(self, name: str) -> bytes | None:
        """What stands under the try's prefix."""
        stored = self.bucket.objects.get(f"{TRY}/{name}")
        return stored.body if stored else None

    def written(self) -> list[str]:
        """The objects of the try that the machine stored, in order."""
        return [name.removeprefix(f"{TRY}/") for name in self.bucket.written()]

    def error(self) -> TryError:
        """error.json, which must stand and tell no secret."""
        body = self.body("error.json")
        assert body is not None, self.bucket.seen
        assert self.is_discreet(body.decode())
        return TryError.model_validate_json(body)

    def is_discreet(self, text: str) -> bool:
        """Whether a text holds nothing of a presigned URL, nor a traceback."""
        secrets = (self.bucket.signature, "X-Amz-", self.bucket.base_url, "http://", "Traceback")
        return not any(secret in text for secret in secrets)
