"""An organisation on the deployed template: what it uploads, and what must hold once its runs have ended."""

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from localstack.cloud import LocalCloud
from localstack.fly.faults import FaultClient
from mailtide.contracts import Done, Latest, Lock
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from mailtide.runs import keys

COLUMNS = (
    "contact_id, email_type, event_date, scheduled_send_date, scheduled_send_time, status, skip_reason, priority, "
    "campaign_instance_id"
)
PLACES = [("CA", "90001"), ("TX", "75001"), ("NY", "10001"), ("NV", "89101"), ("FL", "33101")]


def make_database(path: Path, contacts: int = 40, first_day: int = 1) -> bytes:
    """A small database of invented people; `first_day` makes another one."""
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, zip_code TEXT, state TEXT, birth_date TEXT, "
            "effective_date TEXT, phone_number TEXT)"
        )
        for number in range(1, contacts + 1):
            state, zip_code = PLACES[number % len(PLACES)]
            month, day = number % 12 + 1, (number + first_day) % 28 + 1
            person = (
                number,
                f"p{number}@example.com",
                zip_code,
                state,
                f"1950-{month:02}-{day:02}",
                "2015-03-01",
                None,
            )
            db.execute("INSERT INTO contacts VALUES (?,?,?,?,?,?,?)", person)
    db.close()
    return path.read_bytes()


def rows_of(body: bytes, folder: Path) -> list[tuple[object, ...]]:
    """The schedule in a database, in the order of its keys."""
    path = folder / "read.db"
    path.write_bytes(body)
    db = sqlite3.connect(path)
    try:
        return db.execute(f"SELECT {COLUMNS} FROM email_schedules ORDER BY 1, 2, 3, 9").fetchall()
    finally:
        db.close()


@dataclass(slots=True)
class Organisation:
    """One organisation and the folder where its test keeps files."""

    cloud: LocalCloud
    name: str
    folder: Path
    uploaded: bytes = b""
    uploaded_etag: str = ""

    @property
    def s3(self) -> Any:  # noqa: ANN401 - boto3's own type
        return self.cloud.client("s3")

    def upload(self, body: bytes) -> None:
        """A plain PUT, and nothing else."""
        answer = self.s3.put_object(Bucket=self.cloud.stack.bucket, Key=keys.source(self.name), Body=body)
        self.uploaded, self.uploaded_etag = body, answer["ETag"].strip('"')

    def put_rules(self, text: str) -> None:
        """The rules file."""
        self.s3.put_object(Bucket=self.cloud.stack.bucket, Key=keys.rules(self.name), Body=text.encode())

    def send(self, queue: str, message: dict[str, object]) -> None:
        """A message for one of the functions."""
        url = self.cloud.stack.queue_url(queue)
        self.cloud.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(message))

    def read(self, key: str) -> bytes:
        """The body of an object."""
        body: bytes = self.s3.get_object(Bucket=self.cloud.stack.bucket, Key=key)["Body"].read()
        return body

    def listed(self, prefix: str) -> list[str]:
        """The keys below a prefix."""
        answer = self.s3.list_objects_v2(Bucket=self.cloud.stack.bucket, Prefix=prefix)
        return [entry["Key"] for entry in answer.get("Contents", [])]

    def endings(self) -> list[Done]:
        """Every done.json, oldest first."""
        found = [key for key in self.listed(f"{keys.RUNS}{self.name}/") if key.endswith("/done.json")]
        return sorted((Done.model_validate_json(self.read(key)) for key in found), key=lambda done: done.finished_at)

    def expected_rows(self, as_of: date | None) -> list[tuple[object, ...]]:
        """The schedule that the pass makes of what was uploaded, on a file of this test."""
        path = self.folder / f"{self.name}-expected.db"
        path.write_bytes(self.uploaded)
        assert as_of is not None, "a planned run has a day"
        run_pass(
            path,
            as_of=as_of,
            rules=load_rules(None),
            run_id="expected",
            started_at=datetime.now(UTC),
            threads=1,
            profile="highperf",
        )
        return rows_of(path.read_bytes(), self.folder)

    def assert_quiet(self, within_s: float = 10.0) -> None:
        """Nothing is left over: marker, lock, intent, upload, machine. A doubled call that came too late may hold the lock
        for another moment."""
        assert not self.listed(f"{keys.OPEN}{self.name}/")
        ends_at = time.monotonic() + within_s
        while Lock.model_validate_json(self.read(keys.lock(self.name))).owner is not None:
            assert time.monotonic() < ends_at, "the lock is still held"
            time.sleep(0.2)
        assert Latest.model_validate_json(self.read(keys.latest(self.name))).intent is None
        uploads = self.s3.list_multipart_uploads(Bucket=self.cloud.stack.bucket).get("Uploads", [])
        assert [upload["Key"] for upload in uploads if upload["Key"] == keys.source(self.name)] == []
        self.assert_no_machine()

    def assert_no_machine(self, within_s: float = 10.0) -> None:
        """No process of a machine of this organisation lives; one that has just delivered is given a moment to exit."""
        runs = {key.split("/")[2] for key in self.listed(f"{keys.RUNS}{self.name}/")}
        ends_at = time.monotonic() + within_s
        with FaultClient(self.cloud.fly_api_url.removesuffix("/v1")) as fly:
            while living := [row for row in fly.machines() if row["pid"] and row["metadata"].get("run") in runs]:
                assert time.monotonic() < ends_at, living
                time.sleep(0.2)

    def assert_published(self, done: Done) -> None:
        """One published schedule, equal to that of the pass on the uploaded file."""
        assert done.status == "published", done.reason
        body = self.read(keys.source(self.name))
        assert rows_of(body, self.folder) == self.expected_rows(done.as_of)
        assert [ending.status for ending in self.endings()].count("published") == 1
        self.assert_quiet()

    def assert_failed(self, done: Done) -> None:
        """One clear failure; the uploaded file stands untouched."""
        assert done.status == "failed"
        assert done.reason
        assert "\n" not in done.reason
        assert self.read(keys.source(self.name)) == self.uploaded
        assert [ending.status for ending in self.endings()] == ["failed"]
        self.assert_quiet()


type Wait = Callable[..., Done]
