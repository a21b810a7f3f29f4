"""What must hold at the end of every scenario. Each finding is a sentence."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta

from mailtide.contracts import Done, SourceRef
from mailtide.runs.naming import run_id
from mailtide.runs.store import is_handled
from tests.chaos.facts import Facts, Machine, Organisation, Run, Version

type Rows = list[tuple[object, ...]]
type Scheduled = Callable[[bytes, date], Rows]
"""The schedule that one machine makes of a database on a day."""
type Read = Callable[[bytes], Rows]
"""The schedule that stands in a database."""

CONCURRENT = timedelta(seconds=5)
"""A machine that is created while its run is being ended may be missing in done.json; an outcome that is decided while a
person cancels the run may stand."""
MACHINES_FAIL = {
    *("crash_on_boot", "exit_code", "out_of_memory", "kill", "hang", "vanish", "slow_boot", "hidden", "memory_limit"),
    *(
        "machine killed at a request",
        "late delivery",
        "garbage manifest",
        "foreign manifest",
        "foreign part",
        "spoiled part",
        "garbage database",
    ),
    *(
        "delivery overwritten",
        "slow",
        "bucket 500",
        "bucket 503",
        "bucket 409",
        "cut before",
        "cut after",
        "cut within",
    ),
}
STRANDED_BY = ("function kill before", "function kill after", "cut after")
EXPLAINED_BY: Mapping[str, set[str]] = {
    "launch_refused": {"unauthorized"},
    "machine_lost": MACHINES_FAIL,
    "out_of_memory": MACHINES_FAIL,
    "internal": MACHINES_FAIL,
    "bad_delivery": MACHINES_FAIL,
    "timed_out": MACHINES_FAIL | {"no_capacity", "rate_limited", "server_error", "time_out", "dropped"},
}
"""Which faults excuse that the run of a good upload fails, by the kind of its failure."""


def findings(facts: Facts, scheduled: Scheduled, read: Read) -> list[str]:
    """Every promise that was broken; none when all is well."""
    found = list(facts.problems)
    for org in facts.organisations:
        found += [f"{org.org}: {what}" for what in _organisation(org, facts, scheduled, read)]
    for letter in facts.dead_letters:
        if letter.queue not in facts.failing:
            found.append(f"a dead letter of {letter.queue} that no fault explains: {letter.body}")
    return found


def _organisation(org: Organisation, facts: Facts, scheduled: Scheduled, read: Read) -> Iterator[str]:
    yield from _left_over(org)
    # A process that dies between staging its copy and writing the intent leaves an upload that nobody knows, and that nobody
    # can complete: the bucket's own rule removes it after a day.
    if len(org.multipart_uploads) > sum(facts.struck.get(kind, 0) for kind in STRANDED_BY):
        yield f"{len(org.multipart_uploads)} multipart uploads are left"
    yield from _uploads(org)
    yield from _publications(org)
    for run in org.runs:
        yield from _run(org, run, facts, scheduled, read)
    for machine in org.machines:
        yield from _machine(org, machine, facts.machine_limit_s)


def _left_over(org: Organisation) -> Iterator[str]:
    if org.markers:
        yield f"open markers are left: {[marker.run for marker in org.markers]}"
    if org.lock is not None and org.lock.owner is not None:
        yield f"the lock is held by {org.lock.owner}"
    if org.latest.intent is not None:
        yield f"an intent is left, of {org.latest.intent.run}"
    standing = org.versions[-1] if org.versions else None
    if standing is not None and not is_handled(org.latest, _source(standing)):
        yield f"the database that stands ({standing.etag}) was not handled"


def _source(version: Version) -> SourceRef:
    return SourceRef(etag=version.etag, last_modified=version.last_modified, size_bytes=len(version.body))


def _uploads(org: Organisation) -> Iterator[str]:
    """Each has one ending of its own; only an upload that a later one replaced may do without."""
    uploads = [version for version in org.versions if version.uploaded]
    for upload in uploads:
        ends = [run.done.status for run in org.runs if run.done and _is_of(org.org, run, upload)]
        final = [status for status in ends if status != "superseded"]
        if len(final) > 1:
            yield f"the upload {upload.etag} ended {len(final)} times: {final}"
        if not final and upload is uploads[-1]:
            yield f"the last upload {upload.etag} has no ending of its own: {ends}"
        if "published" in final and not upload.good:
            yield f"a bad upload was published: {upload.etag}"


def _is_of(org: str, run: Run, upload: Version) -> bool:
    """Whether this is the upload's own run, planned or not."""
    if run.plan is None:
        return run.run == run_id(org, _source(upload))
    source = run.plan.source
    return run.plan.trigger == "upload" and (source.etag, source.last_modified) == (upload.etag, upload.last_modified)


def _publications(org: Organisation) -> Iterator[str]:
    """Every version that no customer uploaded is one run's, which says so and was computed from the version before it."""
    ours = [run for run in org.runs if run.done and run.done.status == "published" and run.done.changed]
    claims = Counter(str(run.done.published_etag) for run in ours if run.done)
    for before, version in zip((None, *org.versions), org.versions, strict=False):
        if version.uploaded:
            continue
        if claims[version.etag] != 1:
            yield f"the published version {version.etag} is claimed by {claims[version.etag]} runs"
        sources = [
            run.plan.source.etag for run in ours if run.plan and run.done and run.done.published_etag == version.etag
        ]
        if before is None or before.etag not in sources:
            yield f"the version {version.etag} was published over one that it was not computed from"
    published = Counter(version.etag for version in org.versions if not version.uploaded)
    yield from (
        f"{claims[etag]} runs say that they published {etag}, which stood {published[etag]} times"
        for etag in claims
        if published[etag] != 1
    )


def _run(org: Organisation, run: Run, facts: Facts, scheduled: Scheduled, read: Read) -> Iterator[str]:
    done = run.done
    if done is None:
        yield f"run {run.run} has no ending"
        return
    if done.status == "published":
        yield from _published(org, run, done, scheduled, read)
    elif not done.reason or "\n" in done.reason:
        yield f"run {run.run} ended {done.status} without one clear sentence: {done.reason!r}"
    if done.status == "held":
        yield f"run {run.run} was held: {done.reason}"
    if done.status == "failed":
        yield from _failed(org, run, done, facts.struck)
    yield from _cancelled(run, done)
    if run.plan is not None:
        yield from _cost(org, run, done)


def _published(org: Organisation, run: Run, done: Done, scheduled: Scheduled, read: Read) -> Iterator[str]:
    source = org.version(run.plan.source.etag) if run.plan else None
    outcome = org.version(done.published_etag or "") if done.changed else source
    if source is None or outcome is None or done.as_of is None:
        yield f"run {run.run} is published, and its source or outcome never stood in the bucket"
        return
    if read(outcome.body) != scheduled(source.body, done.as_of):
        yield f"run {run.run} published another schedule than one machine makes of {source.etag}"


def _cancelled(run: Run, done: Done) -> Iterator[str]:
    """It ends as cancelled only by a person's word, and a person's word ends it unpublished."""
    failure = run.result.failure if run.result else None
    ended = failure is not None and failure.kind == "cancelled"
    if ended != (done.cancelled is not None):
        yield f"run {run.run} was {'' if ended else 'not '}cancelled, and says otherwise"
    if ended and run.cancelled_at is None:
        yield f"run {run.run} was cancelled, and nobody said so"
    told_in_time = run.cancelled_at is not None and _ended_at(run, done) > run.cancelled_at + CONCURRENT
    if told_in_time and done.status in {"published", "held"}:
        yield f"run {run.run} was cancelled at {run.cancelled_at:%H:%M:%S}, and ended {done.status}"


def _failed(org: Organisation, run: Run, done: Done, struck: Mapping[str, int]) -> Iterator[str]:
    """The failure of a good database needs a fault that explains it."""
    source = org.version(run.plan.source.etag) if run.plan else None
    failure = (run.result.failure if run.result else None) or (run.plan.rejected if run.plan else None)
    if failure is not None and failure.kind == "cancelled":
        return
    if source is None or not source.good:
        if failure is not None and failure.kind != "bad_input":
            yield from _unexplained(run, done, failure.kind, struck)
        return
    kind = failure.kind if failure else "bad_delivery"
    if kind == "bad_input":
        yield f"run {run.run} calls a good database bad: {done.reason}"
        return
    yield from _unexplained(run, done, kind, struck)


def _unexplained(run: Run, done: Done, kind: str, struck: Mapping[str, int]) -> Iterator[str]:
    if not any(struck.get(fault) for fault in EXPLAINED_BY.get(kind, ())):
        yield f"run {run.run} failed, and no fault explains it ({kind}): {done.reason}"


def _cost(org: Organisation, run: Run, done: Done) -> Iterator[str]:
    """Every machine is in the bill, and the bill is their sum."""
    counted = {(use.task, use.attempt) for use in done.machines}
    for machine in org.machines:
        missing = machine.run == run.run and (machine.task, machine.attempt) not in counted
        if missing and machine.created_at < _ended_at(run, done) - CONCURRENT:
            yield f"run {run.run} does not count the machine of {machine.task}, try {machine.attempt} ({machine.id})"
    cost = done.cost
    if cost is None:
        yield f"run {run.run} was planned, and says no cost"
    elif abs(cost.machine_usd - sum(use.usd for use in done.machines)) > 1e-9:
        yield f"run {run.run} says {cost.machine_usd} dollars for machines that cost {sum(use.usd for use in done.machines)}"


def _ended_at(run: Run, done: Done) -> datetime:
    return run.result.decided_at if run.result else done.finished_at


def _machine(org: Organisation, machine: Machine, limit_s: float) -> Iterator[str]:
    if machine.alive:
        yield f"the machine {machine.id} of run {machine.run} is alive"
    if machine.age_s > limit_s:
        yield f"the machine {machine.id} of run {machine.run} was seen alive at {machine.age_s:.0f} s"
    if machine.run not in {run.run for run in org.runs}:
        yield f"the machine {machine.id} belongs to no run ({machine.run})"
