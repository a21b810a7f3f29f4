"""Feedback through whole runs, with real databases and a real pass: which files are planned, folded in once, and forgotten."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mailtide.contracts import (
    Claim,
    CollectMessage,
    Delivered,
    Done,
    FeedbackFolded,
    FinishMessage,
    LaunchMessage,
    Manifest,
    PlanMessage,
    TaskDocument,
    Timings,
)
from mailtide.feedback.fold import DroppedFile, fold_in
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from mailtide.runs import keys, store
from mailtide.runs.dispatch import carry_out
from mailtide.runs.feedback import plan_feedback
from mailtide.runs.inbox import of_key
from tests.integration.pass_.rows import execute, query
from tests.support.memory_bucket import MemoryBucket
from tests.support.memory_services import MemoryServices

ORG = "acme"
SOURCE, FOLDER = keys.source(ORG), keys.feedback(ORG)
AT = "2026-01-10T10:00:00Z"


@dataclass
class Organisation:
    """One organisation on services in memory, whose machine works on real files."""

    folder: Path
    own: MemoryServices = field(default_factory=MemoryServices)

    @property
    def bucket(self) -> MemoryBucket:
        return self.own.bucket

    def drop(self, name: str, *lines: dict[str, Any]) -> str:
        """A feedback file; its ETag."""
        body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        return self.bucket.put(FOLDER + name, body)

    def plan(self, **asked: Any) -> TaskDocument:  # noqa: ANN401 - fields of a message
        """Plan and launch a run; what its machine is told."""
        carry_out(self.own.services, PlanMessage(org=ORG, **asked))
        (marker,) = self.bucket.list(keys.OPEN)
        _, run = keys.parse_marker(marker.key) or ("", "")
        carry_out(self.own.services, LaunchMessage(org=ORG, run=run, task="whole", attempt=1))
        return TaskDocument.model_validate_json(self.body(keys.TryKeys(ORG, run, "whole", 1).document))

    def body(self, key: str) -> bytes:
        return self.bucket.objects[key].body

    def work(self, document: TaskDocument, attempt: int = 1) -> None:
        """What a machine does, but for HTTP (tests/integration/machine has that)."""
        path = self.folder / f"{document.run}-{attempt}.db"
        path.write_bytes(self.body(SOURCE))
        files = []
        for number, wanted in enumerate(document.feedback):
            body = self.bucket.follow_get(wanted.get, if_match=wanted.etag)
            dropped = self.folder / f"{number}.dropped"
            dropped.write_bytes(body or b"")
            files.append(DroppedFile(dropped, wanted.name, wanted.etag))
        rules = load_rules(None)
        told = fold_in(path, files, rules, run_id=document.run, moment=document.planned_at)
        report = run_pass(path, document.as_of, rules, document.run, document.planned_at)
        paths = keys.TryKeys(ORG, document.run, "whole", attempt)
        delivered: tuple[Delivered, ...] = ()
        if told.changed or report.changed:
            body = path.read_bytes()
            etag = self.bucket.put(paths.delivered("contacts.db"), body)
            digest = sha256(body).hexdigest()
            delivered = (Delivered(name="contacts.db", size_bytes=len(body), sha256=digest, etag=etag),)
        claim = Claim(machine_id=None, claimed_at=self.own.clock.now())
        self.bucket.put(paths.claim, claim.to_bytes())
        manifest = Manifest(
            token=claim.token, changed=bool(delivered), delivered=delivered,
            report={**report.plain(), "feedback": told.model_dump(mode="json")},
            timings=Timings(fetch_s=0, pass_s=0, deliver_s=0),
            started_at=self.own.clock.now(), finished_at=self.own.clock.now(),
        )  # fmt: skip
        self.bucket.put(paths.manifest, manifest.to_bytes())
        carry_out(self.own.services, CollectMessage(org=ORG, run=document.run, task="whole", attempt=attempt))

    def end(self, run: str) -> Done:
        carry_out(self.own.services, FinishMessage(org=ORG, run=run))
        done = store.read_done(self.bucket, ORG, run)
        assert done is not None
        return done

    def run(self, **asked: Any) -> Done:  # noqa: ANN401 - fields of a message
        """A whole run, undisturbed."""
        document = self.plan(**asked)
        self.work(document)
        return self.end(document.run)

    def next_day(self) -> Done:
        self.own.clock.advance(24 * 3600)
        return self.run(trigger="timer")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        path = self.folder / "look.db"
        path.write_bytes(self.body(SOURCE))
        return query(path, sql)

    def clicks(self) -> int:
        found = self.query("SELECT count(*) FROM sqlite_schema WHERE name = 'tracking_clicks'")
        return self.query("SELECT count(*) FROM tracking_clicks")[0][0] if found == [(1,)] else 0


@pytest.fixture
def organisation(tmp_path: Path, template: bytes) -> Organisation:
    """Uploaded and published for the first time."""
    made = Organisation(tmp_path)
    made.bucket.put(SOURCE, template)
    assert made.run().status == "published"
    return made


def click(contact_id: int = 1, at: str = AT) -> dict[str, Any]:
    return {"state": "clicked", "contact_id": contact_id, "at": at}


def test_the_daily_run_folds_in_what_was_dropped_and_no_upload_is_needed(organisation: Organisation) -> None:
    organisation.drop("a.jsonl", click(), {"state": "opened"})
    done = organisation.next_day()
    assert (done.status, done.changed, organisation.clicks()) == ("published", True, 1)
    assert done.report is not None
    told = done.report["feedback"]
    assert isinstance(told, dict)
    assert told["files"] == [{"name": "a.jsonl", "lines": 2, "applied": 1, "unchanged": 0, "refused": 1}]
    assert told["problems"][0].startswith("a.jsonl, line 2: state must be")
    for _ in range(2):
        organisation.next_day()
        assert organisation.clicks() == 1


def test_a_dropped_file_starts_no_run() -> None:
    assert of_key(f"{FOLDER}a.jsonl") is None
    assert of_key(f"{FOLDER}contacts.db") is None


def test_files_that_are_held_are_not_even_planned_again(organisation: Organisation) -> None:
    organisation.drop("a.jsonl", click())
    organisation.next_day()
    source = store.read_source(organisation.bucket, ORG)
    assert source is not None
    assert plan_feedback(organisation.bucket, ORG, source).files == ()
    organisation.drop("b.jsonl", click(2))
    assert [file.name for file in plan_feedback(organisation.bucket, ORG, source).files] == ["b.jsonl"]
    organisation.drop("a.jsonl", click(3))
    names = [file.name for file in plan_feedback(organisation.bucket, ORG, source).files]
    assert sorted(names) == ["a.jsonl", "b.jsonl"], "a file that was written over is another one"


def test_losing_feedback_json_costs_nothing_but_time(organisation: Organisation) -> None:
    organisation.drop("a.jsonl", click())
    organisation.next_day()
    for damage in (b"", b"{}", b'{"published_etag": 1}'):
        organisation.bucket.put(keys.feedback_folded(ORG), damage)
        done = organisation.next_day()
        assert (done.report or {})["feedback"]["known"] == 1  # type: ignore[index]  # a report of JSON
        assert organisation.clicks() == 1
    organisation.bucket.delete(keys.feedback_folded(ORG))
    organisation.next_day()
    assert organisation.clicks() == 1


def test_two_tries_and_doubled_events_fold_it_in_once(organisation: Organisation) -> None:
    organisation.drop("a.jsonl", click())
    organisation.own.clock.advance(24 * 3600)
    document = organisation.plan(trigger="timer")
    organisation.work(document, attempt=1)
    organisation.work(document, attempt=2)
    organisation.end(document.run)
    organisation.end(document.run)
    assert organisation.clicks() == 1
    folded = FeedbackFolded.model_validate_json(organisation.body(keys.feedback_folded(ORG)))
    assert [file.name for file in folded.files] == ["a.jsonl"]


def test_a_superseded_run_loses_nothing(organisation: Organisation, template: bytes) -> None:
    organisation.drop("a.jsonl", click())
    organisation.own.clock.advance(24 * 3600)
    document = organisation.plan(trigger="timer")
    organisation.work(document)
    organisation.own.clock.advance(5)
    path = organisation.folder / "other.db"
    path.write_bytes(template)
    execute(path, "UPDATE contacts SET first_name = 'Ada' WHERE id = 1")
    organisation.bucket.put(SOURCE, path.read_bytes())
    assert organisation.end(document.run).status == "superseded"
    assert organisation.run().status == "published"
    assert organisation.clicks() == 1


def test_an_older_database_gets_all_feedback_again(organisation: Organisation, template: bytes) -> None:
    for number, name in enumerate(("a.jsonl", "b.jsonl"), start=1):
        organisation.drop(name, click(number))
        organisation.next_day()
    newest = organisation.body(SOURCE)
    organisation.own.clock.advance(5)
    organisation.bucket.put(SOURCE, template)
    organisation.run()
    assert organisation.clicks() == 2
    organisation.own.clock.advance(5)
    organisation.bucket.put(SOURCE, newest)
    assert (organisation.run().report or {})["feedback"]["known"] == 2  # type: ignore[index]  # a report of JSON
    assert organisation.clicks() == 2


def test_a_failed_run_folds_nothing_in_and_the_next_one_does(organisation: Organisation) -> None:
    organisation.drop("a.jsonl", click())
    organisation.own.clock.advance(24 * 3600)
    document = organisation.plan(trigger="timer")
    for attempt in (1, 2, 3):
        organisation.bucket.put(keys.TryKeys(ORG, document.run, "whole", attempt).error, b"garbage")
        carry_out(organisation.own.services, CollectMessage(org=ORG, run=document.run, task="whole", attempt=attempt))
    assert organisation.end(document.run).status == "failed"
    assert organisation.clicks() == 0
    organisation.next_day()
    assert organisation.clicks() == 1


def test_names_and_sizes_that_cannot_be_taken_are_told(organisation: Organisation) -> None:
    for name in ("a.txt", "sub/b.jsonl", "naïve.csv", "-x.csv"):
        organisation.bucket.put(FOLDER + name, b"")
    organisation.bucket.put(FOLDER + "big.csv", b"x" * ((64 << 20) + 1))
    organisation.bucket.put(FOLDER, b"")
    organisation.drop("good.jsonl", click())
    done = organisation.next_day()
    told = (done.report or {})["feedback"]
    assert isinstance(told, dict)
    assert len(told["problems"]) == 5
    assert all(problem.startswith("feedback/") and "not taken" in problem for problem in told["problems"])
    assert organisation.clicks() == 1


def test_what_a_run_may_not_take_waits_for_the_next(organisation: Organisation) -> None:
    for number in range(1_002):
        organisation.bucket.put(f"{FOLDER}{number:04}.jsonl", b"")
    source = store.read_source(organisation.bucket, ORG)
    assert source is not None
    planned = plan_feedback(organisation.bucket, ORG, source)
    assert (len(planned.files), planned.waiting, planned.files[0].name) == (1_000, 2, "0000.jsonl")


def test_held_files_are_deleted_after_thirty_days_and_younger_ones_are_not(organisation: Organisation) -> None:
    organisation.drop("a.jsonl", click())
    organisation.next_day()
    organisation.own.clock.advance(timedelta(days=27).total_seconds())
    organisation.next_day()
    assert FOLDER + "a.jsonl" in organisation.bucket.objects
    organisation.own.clock.advance(timedelta(days=2).total_seconds())
    organisation.drop("b.jsonl", click(2))
    organisation.next_day()
    assert FOLDER + "a.jsonl" not in organisation.bucket.objects
    assert FOLDER + "b.jsonl" in organisation.bucket.objects
