"""The checker of the fault suite finds each violation that is planted, and nothing in what is right."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mailtide.contracts import (
    Cancellation,
    Cost,
    Done,
    Failure,
    Intent,
    Latest,
    Launch,
    Lock,
    MachineUse,
    OpenMarker,
    Plan,
    Result,
    SourceRef,
    TaskPlan,
)
from mailtide.machines import MachineSize
from mailtide.runs.naming import run_id
from tests.chaos.check import Rows, findings
from tests.chaos.facts import DeadLetter, Facts, Machine, Organisation, Run, Version

ORG = "c0-a"
DAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
SIZE = MachineSize(cpu_kind="shared", cpus=1, memory_mb=1_024)
UPLOAD = Version("a" * 32, NOW, b"people", uploaded=True)
OUTPUT = Version("b" * 32 + "-1", NOW + timedelta(seconds=9), f"people scheduled {DAY}".encode(), uploaded=False)
SOURCE = SourceRef(etag=UPLOAD.etag, last_modified=NOW, size_bytes=len(UPLOAD.body))
RUN = run_id(ORG, SOURCE)
USE = MachineUse(
    task="whole",
    attempt=1,
    launch=Launch(machine_id="m1", machine_name="mailtide-1", region="iad", size=SIZE, launched_at=NOW),
    seconds=2.0,
    usd=0.002,
)
PLAN = Plan(
    org=ORG,
    run=RUN,
    trigger="upload",
    source=SOURCE,
    as_of=DAY,
    planned_at=NOW,
    opened_at=NOW,
    rules_yaml=None,
    rules_sha256="0" * 64,
    inspection=None,
    tasks=(TaskPlan(task="whole", kind="whole", sizes=(SIZE,), threads=1),),
    deadline_s=60,
    expected_s=5,
    expected_usd=0.002,
)
DONE = Done(
    org=ORG,
    run=RUN,
    status="published",
    changed=True,
    published_etag=OUTPUT.etag,
    as_of=DAY,
    machines=(USE,),
    cost=Cost(machine_s=2.0, machine_usd=0.002, egress_usd=0, requests_usd=0),
    tries=1,
    finished_at=NOW + timedelta(seconds=10),
)
RESULT = Result(decided_at=NOW + timedelta(seconds=8), tries=1)
MACHINE = Machine("m1", RUN, "whole", 1, NOW + timedelta(seconds=1), alive=False, age_s=2.0)
LATEST = Latest(run=RUN, status="published", source=SOURCE, as_of=DAY, published_etag=OUTPUT.etag)
FREE = Lock(owner=None, epoch=1, expires_at=NOW)


def organisation(**changes: Any) -> Organisation:  # noqa: ANN401 - any field of it
    """An upload that was published, and nothing wrong."""
    right = Organisation(ORG, (UPLOAD, OUTPUT), (Run(RUN, PLAN, RESULT, DONE),), (MACHINE,), LATEST, FREE)
    return replace(right, **changes)


def failed(failure: Failure, *, good: bool, versions: int = 1) -> Organisation:
    """The upload's run has failed."""
    done = DONE.model_copy(
        update={"status": "failed", "changed": False, "published_etag": None, "reason": failure.message}
    )
    result = RESULT.model_copy(update={"failure": failure})
    latest = LATEST.model_copy(update={"status": "failed", "published_etag": None})
    stood = (replace(UPLOAD, good=good), OUTPUT)[:versions]
    return organisation(versions=stood, runs=(Run(RUN, PLAN, result, done),), latest=latest)


def with_done(**changes: Any) -> Organisation:  # noqa: ANN401 - any field of it
    """Another done.json."""
    return organisation(runs=(Run(RUN, PLAN, RESULT, DONE.model_copy(update=changes)),))


def found(org: Organisation, **facts: Any) -> list[str]:  # noqa: ANN401 - any field of facts
    """What the checker finds; a database's schedule is its own bytes here."""

    def read(body: bytes) -> Rows:
        return [(body,)]

    def scheduled(body: bytes, as_of: date) -> Rows:
        return [(body + f" scheduled {as_of}".encode(),)]

    return findings(Facts(organisations=(org,), **{"struck": {}, **facts}), scheduled, read)


SAID = Cancellation(by="chaos", decided_at=NOW + timedelta(seconds=1))


def cancelled(*, said: bool = True, told: bool = True) -> Organisation:
    """The upload's run was ended by a person. said: whether one did; told: whether done.json has it."""
    org = failed(SAID.failure, good=True)
    (run,) = org.runs
    done = run.done and run.done.model_copy(update={"cancelled": SAID if told else None})
    return replace(org, runs=(replace(run, done=done, cancelled_at=SAID.decided_at if said else None),))


def published_although_cancelled(seconds_later: float) -> Organisation:
    """Its outcome was decided so long after a person was told that the run is cancelled."""
    (run,) = organisation().runs
    said_at = RESULT.decided_at - timedelta(seconds=seconds_later)
    return organisation(runs=(replace(run, cancelled_at=said_at),))


LOST = Failure(kind="machine_lost", message="The machine vanished. (3 tries)")
BAD = Failure(kind="bad_input", message="It is no database.")
LATER = replace(UPLOAD, etag="c" * 32, last_modified=NOW + timedelta(seconds=3))
SUPERSEDED = DONE.model_copy(
    update={
        "status": "superseded",
        "changed": False,
        "published_etag": None,
        "reason": "It was replaced.",
        "cost": None,
        "machines": (),
    }
)


def test_what_is_right_is_found_right() -> None:
    assert found(organisation()) == []
    assert found(failed(BAD, good=False)) == []
    assert found(failed(LOST, good=True), struck={"vanish": 3}) == []
    assert found(cancelled()) == []
    assert found(published_although_cancelled(seconds_later=1)) == []
    assert found(organisation(), dead_letters=(DeadLetter("plan", "{}"),), failing=frozenset({"plan"})) == []


def test_an_upload_that_a_later_one_replaced_may_have_no_run_of_its_own() -> None:
    early = replace(UPLOAD, etag="e" * 32, last_modified=NOW - timedelta(seconds=5))
    assert found(organisation(versions=(early, UPLOAD, OUTPUT))) == []
    ref = SourceRef(etag=early.etag, last_modified=early.last_modified, size_bytes=len(early.body))
    unplanned = Run(run_id(ORG, ref), None, None, SUPERSEDED)
    assert found(organisation(versions=(early, UPLOAD, OUTPUT), runs=(unplanned, *organisation().runs))) == []


VIOLATIONS: dict[str, tuple[Callable[[], Organisation], str]] = {
    "a lock": (lambda: organisation(lock=Lock(owner=RUN, epoch=2, expires_at=NOW)), "the lock is held"),
    "a marker": (
        lambda: organisation(
            markers=(OpenMarker(org=ORG, run=RUN, trigger="upload", source=SOURCE, as_of=None, opened_at=NOW),)
        ),
        "open markers are left",
    ),
    "an intent": (
        lambda: organisation(
            latest=LATEST.model_copy(
                update={"intent": Intent(run=RUN, source=SOURCE, upload_id="u", part_etags=(), expected_etag="x")}
            )
        ),
        "an intent is left",
    ),
    "a multipart upload": (lambda: organisation(multipart_uploads=("u",)), "multipart uploads are left"),
    "a living machine": (lambda: organisation(machines=(replace(MACHINE, alive=True),)), "is alive"),
    "an old machine": (lambda: organisation(machines=(replace(MACHINE, age_s=140.0),)), "seen alive at 140 s"),
    "a machine of nobody": (
        lambda: organisation(machines=(MACHINE, replace(MACHINE, run="f" * 20))),
        "belongs to no run",
    ),
    "a machine that is not counted": (
        lambda: organisation(machines=(MACHINE, replace(MACHINE, attempt=2))),
        "does not count the machine of whole, try 2",
    ),
    "a wrong sum": (
        lambda: with_done(cost=Cost(machine_s=2, machine_usd=0.1, egress_usd=0, requests_usd=0)),
        "says 0.1 dollars",
    ),
    "no cost": (lambda: with_done(cost=None), "says no cost"),
    "another schedule": (
        lambda: organisation(versions=(UPLOAD, replace(OUTPUT, body=b"of somebody else"))),
        "another schedule than one machine makes",
    ),
    "a schedule of another day": (lambda: with_done(as_of=DAY + timedelta(days=1)), "another schedule"),
    "published twice": (lambda: organisation(versions=(UPLOAD, OUTPUT, OUTPUT)), "which stood 2 times"),
    "published over a later upload": (
        lambda: organisation(versions=(UPLOAD, LATER, OUTPUT)),
        "published over one that it was not computed from",
    ),
    "published by nobody": (
        lambda: organisation(versions=(UPLOAD, OUTPUT, replace(OUTPUT, etag="d" * 32 + "-1"))),
        "is claimed by 0 runs",
    ),
    "published, and never stood": (lambda: organisation(versions=(UPLOAD,)), "its source or outcome never stood"),
    "an upload without an ending": (lambda: organisation(versions=(UPLOAD, OUTPUT, LATER)), "has no ending of its own"),
    "an upload that nobody handled": (lambda: organisation(versions=(UPLOAD, OUTPUT, LATER)), "was not handled"),
    "the last upload superseded": (
        lambda: organisation(versions=(UPLOAD,), runs=(Run(RUN, PLAN, RESULT, SUPERSEDED),)),
        "has no ending of its own: ['superseded']",
    ),
    "two endings": (
        lambda: organisation(
            runs=(*organisation().runs, *failed(LOST, good=True).runs),
        ),
        "ended 2 times",
    ),
    "a run without an ending": (lambda: organisation(runs=(Run(RUN, PLAN, None, None),)), "has no ending"),
    "a failure that nothing explains": (lambda: failed(LOST, good=True), "no fault explains it (machine_lost)"),
    "a good database called bad": (lambda: failed(BAD, good=True), "calls a good database bad"),
    "a failure that touched the file": (lambda: failed(BAD, good=False, versions=2), "is claimed by 0 runs"),
    "a failure without a sentence": (
        lambda: failed(BAD.model_copy(update={"message": "one\ntwo"}), good=False),
        "without one clear sentence",
    ),
    "a bad upload published": (
        lambda: organisation(versions=(replace(UPLOAD, good=False), OUTPUT)),
        "a bad upload was published",
    ),
    "cancelled by nobody": (lambda: cancelled(said=False), "was cancelled, and nobody said so"),
    "cancelled, and not told": (lambda: cancelled(told=False), "was cancelled, and says otherwise"),
    "cancelled by its own word": (lambda: with_done(cancelled=SAID), "was not cancelled, and says otherwise"),
    "published although cancelled": (
        lambda: published_although_cancelled(seconds_later=6),
        "was cancelled at 06:00:02, and ended published",
    ),
    "a cancelled run that touched the file": (
        lambda: replace(cancelled(), versions=(UPLOAD, OUTPUT)),
        "is claimed by 0 runs",
    ),
    "a held run": (lambda: with_done(status="held", reason="Too much.", changed=False), "was held"),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_planted_violation_is_found(name: str) -> None:
    make, sentence = VIOLATIONS[name]
    assert any(sentence in what for what in found(make())), found(make())


def test_a_killed_function_may_leave_an_upload_that_nobody_knows() -> None:
    left = organisation(multipart_uploads=("u",))
    assert found(left, struck={"function kill after": 1}) == []
    assert found(organisation(multipart_uploads=("u", "v")), struck={"function kill after": 1}) != []


def test_a_dead_letter_needs_a_fault() -> None:
    assert found(organisation(), dead_letters=(DeadLetter("plan", '{"kind":"plan"}'),)) == [
        'a dead letter of plan that no fault explains: {"kind":"plan"}'
    ]


def test_what_never_came_to_rest_is_a_finding() -> None:
    assert found(organisation(), problems=("c0-a is not at rest after 150 s: a run is open",)) != []
