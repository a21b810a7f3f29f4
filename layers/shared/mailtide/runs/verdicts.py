"""What a person says about a held run: approve, and it is made again and published; or reject, and nothing happens."""

from datetime import datetime

from mailtide.contracts import Done, PlanMessage, Verdict
from mailtide.errors import InputError
from mailtide.ports import Bucket, Queues
from mailtide.runs import keys, store


def ended(bucket: Bucket, org: str) -> list[Done]:
    """The done.json of each ended run of an organisation, newest first. One request a run."""
    names = bucket.list_folders(f"{keys.RUNS}{org}/")
    found = [done for run in names if (done := store.read_done(bucket, org, run)) is not None]
    return sorted(found, key=lambda done: done.finished_at, reverse=True)


def approve(bucket: Bucket, queues: Queues, org: str, run: str, *, now: datetime) -> str:
    """Have a held run made again, for the same day, and published; the id of the request. Safe to repeat.

    InputError when it is not held, was rejected, or its database was replaced since.
    """
    _check_held(bucket, org, run)
    plan, source = store.read_plan(bucket, org, run), store.read_source(bucket, org)
    if plan is None or source is None or not store.same_source(plan.source, source):
        raise InputError(f"The database of {org!r} was replaced after run {run}; the new one has a run of its own.")
    _decide(bucket, org, run, Verdict(approved=True, decided_at=now))
    request_id = f"approve-{run}"
    queues.send(PlanMessage(org=org, trigger="demand", as_of=plan.as_of, request_id=request_id, approved=run))
    return request_id


def reject(bucket: Bucket, org: str, run: str, *, now: datetime) -> None:
    """Note that a held run is never to be published. Safe to repeat. InputError when it is not held, or was approved."""
    _check_held(bucket, org, run)
    _decide(bucket, org, run, Verdict(approved=False, decided_at=now))


def _check_held(bucket: Bucket, org: str, run: str) -> None:
    done = store.read_done(bucket, org, run)
    if done is None:
        raise InputError(f"The organisation {org!r} has no ended run {run}.")
    if done.status != "held":
        raise InputError(f"Run {run} of {org!r} is not held; it ended as {done.status}.")


def _decide(bucket: Bucket, org: str, run: str, wanted: Verdict) -> None:
    """Create the verdict, or read the one that stands: the first word counts."""
    standing = store.create_once(bucket, keys.verdict(org, run), wanted)
    if standing.approved != wanted.approved:
        word = "approved" if standing.approved else "rejected"
        raise InputError(f"Run {run} of {org!r} was {word} at {standing.decided_at:%Y-%m-%d %H:%M} UTC.")
