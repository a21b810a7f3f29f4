"""Reads everything of an organisation on the deployed template into facts."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from localstack.cloud import LocalCloud
from localstack.fly.faults import FaultClient
from mailtide.contracts import Contract, Done, Latest, Lock, OpenMarker, Plan, Result, SourceRef
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from mailtide.runs import keys
from mailtide.runs.store import is_handled
from tests.chaos.check import Rows
from tests.chaos.facts import DeadLetter, Machine, Organisation, Run, Version
from tests.chaos.rules import FUNCTIONS

COLUMNS = (
    "contact_id, email_type, event_date, scheduled_send_date, scheduled_send_time, status, skip_reason, priority, "
    "campaign_instance_id"
)


@dataclass
class Look:
    """Past the proxies. uploaded: whether each ETag that a customer uploaded is usable."""

    cloud: LocalCloud
    fly: FaultClient
    folder: Path
    uploaded: dict[str, bool] = field(default_factory=dict)
    ages_s: dict[str, float] = field(default_factory=dict)
    """By machine: how old it was when it was last seen alive."""

    def __post_init__(self) -> None:
        self.s3 = self.cloud.client("s3")
        self.sqs = self.cloud.client("sqs")
        self.bucket = self.cloud.stack.bucket

    def read[T: Contract](self, key: str, model: type[T]) -> T | None:
        """An object, None when there is none."""
        try:
            return model.model_validate_json(self.body(key))
        except self.s3.exceptions.NoSuchKey:
            return None

    def body(self, key: str, **of: str) -> bytes:
        """The body of an object."""
        found: bytes = self.s3.get_object(Bucket=self.bucket, Key=key, **of)["Body"].read()
        return found

    def listed(self, prefix: str) -> list[dict[str, Any]]:
        """The objects below a prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry for page in pages for entry in page.get("Contents", [])]

    def unrest(self, org: str) -> str | None:
        """None when nothing is left to do; else what is."""
        if self.listed(f"{keys.OPEN}{org}/"):
            return "a run is open"
        latest = self.read(keys.latest(org), Latest) or Latest()
        lock = self.read(keys.lock(org), Lock)
        if latest.intent is not None:
            return "an intent is left"
        if lock is not None and lock.owner is not None:
            return "the lock is held"
        head = self.s3.head_object(Bucket=self.bucket, Key=keys.source(org))
        moment = head["LastModified"].replace(microsecond=0)
        source = SourceRef(etag=head["ETag"].strip('"'), last_modified=moment, size_bytes=head["ContentLength"])
        return None if is_handled(latest, source) else "the database is not handled"

    def machines(self) -> list[dict[str, Any]]:
        """Every machine of the Fly server; notes how old the living ones are."""
        rows = self.fly.machines()
        now = datetime.now(UTC)
        for row in rows:
            if row["pid"]:
                self.ages_s[row["id"]] = (now - datetime.fromisoformat(row["created_at"])).total_seconds()
        return rows

    def living(self, *orgs: str) -> list[str]:
        """Machines of these organisations of which a process lives."""
        return [row["id"] for row in self.machines() if row["pid"] and row["metadata"].get("org") in orgs]

    def organisation(self, org: str, cancelled: Mapping[str, datetime] = MappingProxyType({})) -> Organisation:
        """All of it. cancelled: when a person ended which run."""
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        markers = [self.read(entry["Key"], OpenMarker) for entry in self.listed(f"{keys.OPEN}{org}/")]
        return Organisation(
            org=org,
            versions=tuple(self._versions(org)),
            runs=tuple(self._runs(org, cancelled)),
            machines=tuple(self._machine(row) for row in self.machines() if row["metadata"].get("org") == org),
            latest=self.read(keys.latest(org), Latest) or Latest(),
            lock=self.read(keys.lock(org), Lock),
            markers=tuple(marker for marker in markers if marker is not None),
            multipart_uploads=tuple(upload["UploadId"] for upload in uploads if upload["Key"] == keys.source(org)),
        )

    def _versions(self, org: str) -> Iterator[Version]:
        key = keys.source(org)
        listed = self.s3.list_object_versions(Bucket=self.bucket, Prefix=key)["Versions"]
        for entry in reversed(listed):
            etag = entry["ETag"].strip('"')
            body = self.body(key, VersionId=entry["VersionId"])
            moment = entry["LastModified"].replace(microsecond=0)
            yield Version(etag, moment, body, etag in self.uploaded, self.uploaded.get(etag, True))

    def _runs(self, org: str, cancelled: Mapping[str, datetime]) -> Iterator[Run]:
        names = {entry["Key"].split("/")[2] for entry in self.listed(f"{keys.RUNS}{org}/")}
        for run in sorted(names):
            yield Run(
                run=run,
                plan=self.read(keys.plan(org, run), Plan),
                result=self.read(keys.result(org, run), Result),
                done=self.read(keys.done(org, run), Done),
                cancelled_at=cancelled.get(run),
            )

    def _machine(self, row: dict[str, Any]) -> Machine:
        about = row["metadata"]
        return Machine(
            id=row["id"],
            run=about["run"],
            task=about["task"],
            attempt=int(about["try"]),
            created_at=datetime.fromisoformat(row["created_at"]),
            alive=bool(row["pid"]),
            age_s=self.ages_s.get(row["id"], 0.0),
        )

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What lies in the dead-letter queues, taken out of them."""
        return tuple(letter for name in FUNCTIONS for letter in self._dead_letters(name))

    def _dead_letters(self, name: str) -> Iterator[DeadLetter]:
        url = self.cloud.stack.dead_letters_url(name)
        while found := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get(
            "Messages"
        ):
            for message in found:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                yield DeadLetter(name, message["Body"])

    def carried_out(self, function: str, since: datetime) -> Counter[tuple[str, str]]:
        """How often a function wrote of each message and organisation what it had done."""
        logs = self.cloud.client("logs")
        found: Counter[tuple[str, str]] = Counter()
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{function}", startTime=int(since.timestamp() * 1000)
        )
        for event in (event for page in pages for event in page["events"]):
            with suppress(ValueError, KeyError, TypeError):
                line = json.loads(event["message"])
                found[line["message_id"], line["org"]] += 1
        return found

    def forget(self, org: str) -> None:
        """Delete an organisation's objects, all versions of them: the watcher looks at every organisation there is."""
        for prefix in (f"{keys.ORGS}{org}/", f"{keys.OPEN}{org}/", f"{keys.RUNS}{org}/"):
            for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix):
                for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    self.s3.delete_object(Bucket=self.bucket, Key=entry["Key"], VersionId=entry["VersionId"])

    def send(self, queue: str, **message: object) -> None:
        """A message for one of the functions, by hand."""
        self.sqs.send_message(QueueUrl=self.cloud.stack.queue_url(queue), MessageBody=json.dumps(message))

    def scheduled(self, body: bytes, as_of: date) -> Rows:
        """The schedule that one machine makes of a database on a day."""
        path = self.folder / "expected.db"
        path.write_bytes(body)
        now = datetime.now(UTC)
        run_pass(path, as_of, load_rules(None), "expected", now)
        return self.rows(path.read_bytes())

    def rows(self, body: bytes) -> Rows:
        """The schedule that stands in a database, in the order of its keys."""
        path = self.folder / "read.db"
        path.write_bytes(body)
        db = sqlite3.connect(path)
        try:
            return db.execute(f"SELECT {COLUMNS} FROM email_schedules ORDER BY 1, 2, 3, 9").fetchall()
        finally:
            db.close()
