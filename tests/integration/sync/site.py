"""An organisation on a real S3 server, and its runs: the use cases themselves, with the work of the machine in this process."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from mailtide.adapters.s3 import S3Bucket, make_client
from mailtide.adapters.s3_parts import S3Parts
from mailtide.contracts import (
    Claim,
    CollectMessage,
    Delivered,
    DeliveredName,
    Done,
    FinishMessage,
    Latest,
    Manifest,
    Plan,
    PlanMessage,
    Timings,
)
from mailtide.database.blocks import blocks_of
from mailtide.database.changeset_apply import read_note
from mailtide.database.leave import Leave
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from mailtide.runs import keys, store
from mailtide.runs.collect import collect_parts
from mailtide.runs.finish import finish_run
from mailtide.runs.plan import plan_run
from mailtide.runs.services import Services
from tests.support.memory_services import MemoryServices

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.model import OperationModel
    from mypy_boto3_s3 import S3Client

ORG = "acme"
DAY_S = 86_400


class Counting:
    """Bytes that a client sent and received as bodies, by the operation."""

    def __init__(self, client: "S3Client") -> None:
        self.sent_bytes = self.received_bytes = 0
        client.meta.events.register("before-send.s3", self._sends)
        client.meta.events.register("after-call.s3", self._receives)

    def _sends(self, request: "AWSPreparedRequest", **_: object) -> None:
        self.sent_bytes += int(request.headers.get("Content-Length") or 0)

    def _receives(self, http_response: "AWSResponse", model: "OperationModel", **_: object) -> None:
        if model.name == "HeadObject":
            return
        self.received_bytes += int(http_response.headers.get("Content-Length") or 0)


@cache
def counted_client(url: str) -> "tuple[S3Client, Counting]":
    """One for all tests: making it takes longer than a run."""
    client = make_client(url)
    return client, Counting(client)


@dataclass
class Site:
    """One organisation. folder: for the machine's files."""

    url: str
    name: str
    folder: Path
    memory: MemoryServices = field(default_factory=MemoryServices)

    def __post_init__(self) -> None:
        client, self.counting = counted_client(self.url)
        client.create_bucket(Bucket=self.name)
        self.bucket = S3Bucket(self.name, client)
        self.parts = S3Parts(self.name, client)
        memory = self.memory
        self.services = Services(
            bucket=self.bucket,
            queues=memory.queues,
            machines=memory.machines,
            announcer=memory.announcer,
            clock=memory.clock,
            settings=memory.settings,
        )

    def upload(self, path: Path) -> None:
        self.bucket.put_file(keys.source(ORG), path)

    def rules(self, text: str) -> None:
        path = self.folder / "rules.yaml"
        path.write_text(text)
        self.bucket.put_file(keys.rules(ORG), path)

    @property
    def latest(self) -> Latest:
        return store.read_latest(self.bucket, ORG).value

    def fetch(self, key: str, path: Path) -> Path:
        info = self.bucket.head(key)
        assert info is not None, key
        path.write_bytes(self.bucket.get_range(key, 0, info.size_bytes, etag=info.etag))
        return path

    def day_passes(self) -> None:
        self.memory.clock.advance(DAY_S)

    def plan(self, *, on_demand: str | None = None) -> Plan:
        """Plan the run of an upload, or one on demand."""
        message = PlanMessage(org=ORG, trigger="demand" if on_demand else "upload", request_id=on_demand)
        report = plan_run(self.services, message)
        plan = store.read_plan(self.bucket, ORG, report.run)
        assert plan is not None, report
        assert plan.rejected is None
        return plan

    def work(self, plan: Plan) -> None:
        """What the machine does, and collect_parts."""
        paths = keys.TryKeys(ORG, plan.run, "whole", 1)
        database = self.fetch(plan.file.key if plan.file else keys.source(ORG), self.folder / "work.db")
        changeset, export = self.folder / "work.changeset", self.folder / "work.parquet"
        for path in (changeset, export):
            path.unlink(missing_ok=True)
        leave = Leave(changeset, export, always=plan.sync != "replace")
        rules = load_rules(plan.rules_yaml)
        report = run_pass(database, plan.as_of, rules, plan.run, plan.planned_at, leave=leave)
        delivered: list[Delivered] = []
        if report.changed:
            blocks = self.folder / "work.blocks"
            blocks.write_bytes(blocks_of(database).to_bytes())
            found: list[tuple[DeliveredName, Path]] = [("contacts.db", database), ("contacts.blocks", blocks)]
            found += [("schedule.changeset", changeset)] if changeset.exists() else []
            found += [("schedule.parquet", export)] if export.exists() else []
            delivered = [self._deliver(paths, name, path) for name, path in found]
        now: datetime = self.memory.clock.now()
        claim = Claim(machine_id=None, claimed_at=now)
        self.bucket.create(paths.claim, claim.to_bytes())
        manifest = Manifest(
            token=claim.token,
            changed=report.changed,
            delivered=tuple(delivered),
            report=report.plain(),
            timings=Timings(fetch_s=0, pass_s=0, deliver_s=0),
            started_at=now,
            finished_at=now,
        )
        self.bucket.create(paths.manifest, manifest.to_bytes())
        collect_parts(self.services, CollectMessage(org=ORG, run=plan.run, task="whole", attempt=1))

    def _deliver(self, paths: keys.TryKeys, name: DeliveredName, path: Path) -> Delivered:
        key = paths.delivered(name)
        # As a machine stores it: one PUT of whatever size.
        body = path.read_bytes()
        etag = self.bucket.create(key, body)
        previous = read_note(path).previous_run if name == "schedule.changeset" else None
        return Delivered(
            name=name, size_bytes=len(body), sha256=sha256(body).hexdigest(), etag=etag, previous_run=previous
        )

    def finish(self, plan: Plan) -> Done:
        finish_run(self.services, FinishMessage(org=ORG, run=plan.run))
        done = store.read_done(self.bucket, ORG, plan.run)
        assert done is not None
        return done

    def run(self, *, on_demand: str | None = None) -> Done:
        """A whole run."""
        plan = self.plan(on_demand=on_demand)
        self.work(plan)
        return self.finish(plan)

    def keys_below(self, *prefixes: str) -> Iterator[str]:
        for prefix in prefixes:
            yield from (info.key for info in self.bucket.list(prefix))
