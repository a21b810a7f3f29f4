"""A person ends an open run: cancel.json is created once, and stands for a failure as long as the run has no outcome.

It never overrules result.json, so nothing that is being published is torn: the run then ends as any failed one does.
"""

from datetime import datetime

from mailtide.contracts import Cancellation, FinishMessage, Plan, Result
from mailtide.errors import InputError
from mailtide.ports import Bucket, Queues
from mailtide.runs import keys, store
from mailtide.runs.collect import decide
from mailtide.runs.draw_up import give_up
from mailtide.runs.services import Services


def cancel(
    bucket: Bucket, queues: Queues, org: str, run: str, *, by: str, reason: str | None, now: datetime
) -> Cancellation:
    """Have an open run end as failed, its database untouched; what stands recorded, since the first word counts. Safe to repeat.

    InputError when there is no such run, or its outcome was decided before.
    """
    done = store.read_done(bucket, org, run)
    if done is not None:
        raise InputError(f"Run {run} of {org!r} cannot be cancelled: it has ended as {done.status}.")
    if bucket.head(keys.marker(org, run)) is None:
        raise InputError(f"The organisation {org!r} has no run {run} under way.")
    _check_undecided(bucket, org, run)
    wanted = Cancellation(by=by, reason=reason, decided_at=now)
    standing = store.create_once(bucket, keys.cancel(org, run), wanted)
    # Whoever decides looks for cancel.json first: without a result now, there will be none that publishes but one in flight.
    _check_undecided(bucket, org, run)
    queues.send(FinishMessage(org=org, run=run))
    return standing


def _check_undecided(bucket: Bucket, org: str, run: str) -> None:
    result = store.read_result(bucket, org, run)
    if result is None or (result.failure is not None and result.failure.kind == "cancelled"):
        return
    what = "it is being published already" if result.failure is None else "it has failed already and is being ended"
    raise InputError(f"Run {run} of {org!r} cannot be cancelled: {what}.")


def decide_cancelled(services: Services, org: str, run: str, plan: Plan | None) -> tuple[Plan | None, Result | None]:
    """The plan and the result of a run without an outcome that a person wants ended; without such a word, the plan as given.

    A run that has no plan yet gets one that launches nothing.
    """
    cancelled = store.read_cancellation(services.bucket, org, run)
    if cancelled is None:
        return plan, None
    if plan is None:
        marker = store.read_marker(services.bucket, org, run)
        if marker is None:
            return None, None
        plan = give_up(services, marker, cancelled.failure)
    return plan, decide(services, plan, cancelled.failure, None, 0)
