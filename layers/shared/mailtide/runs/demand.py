"""Runs that a person asks for: now, or once more after a failure."""

from mailtide.contracts import PlanMessage
from mailtide.errors import InputError
from mailtide.ports import Bucket, Queues
from mailtide.runs import keys, store


def run_now(bucket: Bucket, queues: Queues, org: str, *, request_id: str) -> None:
    """Have a run made for the present local day, whatever the cadence; the same request id makes one run only.

    InputError when the organisation has no database.
    """
    if bucket.head(keys.source(org)) is None:
        raise InputError(f"The organisation {org!r} has no database in the bucket; upload one first.")
    queues.send(PlanMessage(org=org, trigger="demand", request_id=request_id))


def retry(bucket: Bucket, queues: Queues, org: str, run: str) -> str:
    """Have a run made in the place of one that failed, for the present local day; the id of the request. Safe to repeat.

    InputError when the run did not fail, or the organisation has no database any more.
    """
    done = store.read_done(bucket, org, run)
    if done is None:
        raise InputError(f"The organisation {org!r} has no ended run {run}.")
    if done.status != "failed":
        raise InputError(f"Run {run} of {org!r} did not fail; it ended as {done.status}.")
    request_id = f"retry-{run}"
    run_now(bucket, queues, org, request_id=request_id)
    return request_id
