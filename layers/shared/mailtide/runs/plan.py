"""plan_run: from an upload, a due hour or a demand to a plan and a queue of launches.

The order is what makes it safe (docs/object-layout.md): the open/ marker first, then the lock, then plan.json. After
the lock is taken, the source, latest.json and done.json are read again, and a difference starts the planning anew.
"""

from datetime import date

from mailtide.contracts import (
    FinishMessage,
    Latest,
    OpenMarker,
    Plan,
    PlanMessage,
    Result,
    Trigger,
)
from mailtide.errors import SourceChangedError
from mailtide.runs import keys, lock, store
from mailtide.runs.cadence import local_date
from mailtide.runs.draw_up import draw_up, read_rules_or_packaged
from mailtide.runs.naming import run_id
from mailtide.runs.parts import queue_launches
from mailtide.runs.services import Services, StepReport
from mailtide.runs.unplanned import supersede_unplanned

_MAX_REPEATS = 100


def plan_run(services: Services, message: PlanMessage) -> StepReport:
    """Plan one run, or find that there is nothing to plan. Safe to repeat at any point."""
    marker = _marker(services, message)
    if isinstance(marker, StepReport):
        return marker
    if store.read_done(services.bucket, marker.org, marker.run) is not None:
        repeated = None if message.run else _repeated(services, marker)
        if repeated is None:
            services.queues.send(FinishMessage(org=marker.org, run=marker.run))
            return StepReport("found_done", marker.org, marker.run)
        marker = repeated
    marker = store.create_once(services.bucket, keys.marker(marker.org, marker.run), marker)
    if store.read_plan(services.bucket, marker.org, marker.run) is not None:
        return _queue_launches(services, marker)
    return _plan_under_lock(services, marker)


def _marker(services: Services, message: PlanMessage) -> OpenMarker | StepReport:
    """The marker of the run that the message asks for, or why there is none."""
    if message.run is not None:
        found = store.read_marker(services.bucket, message.org, message.run)
        return found or StepReport("nothing_open", message.org, message.run)
    source = store.read_source(services.bucket, message.org)
    if source is None:
        return StepReport("no_database", message.org)
    latest = store.read_latest(services.bucket, message.org).value
    if latest.intent is not None and source.etag == latest.intent.expected_etag:
        services.queues.send(FinishMessage(org=message.org, run=latest.intent.run))
        return StepReport("publication_in_progress", message.org, latest.intent.run)
    handled = store.is_handled(latest, source)
    if handled and message.trigger == "upload":
        return StepReport("already_handled", message.org, latest.run or "")
    trigger: Trigger = message.trigger if handled else "upload"
    as_of = None if trigger == "upload" else _as_of(services, message)
    if trigger == "timer" and latest.as_of is not None and as_of is not None and latest.as_of >= as_of:
        return StepReport("already_run_today", message.org, latest.run or "")
    request_id = message.request_id if trigger == "demand" else None
    return OpenMarker(
        org=message.org,
        run=run_id(message.org, source, as_of=as_of, request_id=request_id),
        trigger=trigger,
        source=source,
        as_of=as_of,
        approved=message.approved if trigger == "demand" else None,
        opened_at=services.clock.now(),
    )


def _repeated(services: Services, marker: OpenMarker) -> OpenMarker | None:
    """A run of its own for a version that came back after it was superseded: restored from a versioned bucket, its ETag
    and date are the old ones. None when the version is handled or gone, which is the rule."""
    latest = store.read_latest(services.bucket, marker.org).value
    source = store.read_source(services.bucket, marker.org)
    if source is None or not store.same_source(source, marker.source) or store.is_handled(latest, source):
        return None
    for repeat in range(1, _MAX_REPEATS):
        run = run_id(marker.org, source, repeat=repeat)
        if store.read_done(services.bucket, marker.org, run) is None:
            return marker.model_copy(update={"run": run, "trigger": "upload", "as_of": None})
    return None


def _as_of(services: Services, message: PlanMessage) -> date:
    if message.as_of is not None:
        return message.as_of
    return local_date(services.clock.now(), read_rules_or_packaged(services.bucket, message.org).timezone)


def _plan_under_lock(services: Services, marker: OpenMarker) -> StepReport:
    before = store.read_latest(services.bucket, marker.org)
    source = store.read_source(services.bucket, marker.org)
    if source is None or not store.same_source(source, marker.source):
        return supersede_unplanned(services, marker, before)
    if marker.trigger == "upload" and store.is_handled(before.value, source):
        return supersede_unplanned(services, marker, before)
    if lock.take(services, marker.org, marker.run) is None:
        return StepReport("waits_for_lock", marker.org, marker.run)
    if _changed_since(services, marker, before):
        lock.release(services, marker.org, marker.run)
        services.queues.send(PlanMessage(org=marker.org, run=marker.run))
        return StepReport("changed_while_locking", marker.org, marker.run)
    try:
        plan = draw_up(services, marker)
    except SourceChangedError:
        lock.release(services, marker.org, marker.run)
        services.queues.send(PlanMessage(org=marker.org, run=marker.run))
        return StepReport("changed_while_reading", marker.org, marker.run)
    store.create_once(services.bucket, keys.plan(marker.org, marker.run), plan)
    return _queue_launches(services, marker)


def _changed_since(services: Services, marker: OpenMarker, before: store.Versioned[Latest]) -> bool:
    source = store.read_source(services.bucket, marker.org)
    return (
        source is None
        or not store.same_source(source, marker.source)
        or store.read_latest(services.bucket, marker.org).etag != before.etag
        or store.read_done(services.bucket, marker.org, marker.run) is not None
    )


def _queue_launches(services: Services, marker: OpenMarker) -> StepReport:
    """Set the planned run in motion; repeated, it queues the same launches, which find that they are done."""
    plan = store.read_plan(services.bucket, marker.org, marker.run)
    if plan is None:
        return StepReport("nothing_planned", marker.org, marker.run)
    if plan.rejected is not None:
        result = Result(failure=plan.rejected, decided_at=services.clock.now())
        store.create_once(services.bucket, keys.result(marker.org, marker.run), result)
        return StepReport("rejected", marker.org, marker.run, {"reason": plan.rejected.message})
    queue_launches(services, plan)
    return StepReport("planned", marker.org, marker.run, _facts(plan))


def _facts(plan: Plan) -> dict[str, object]:
    read = plan.inspection
    return {
        "as_of": plan.as_of.isoformat(),
        "machines": len(plan.tasks),
        "size": str(plan.tasks[-1].sizes[0]),
        "expected_s": plan.expected_s,
        "expected_usd": plan.expected_usd,
        "contacts_estimate": read.contacts_estimate if read else None,
        "inspection_requests": read.requests if read else None,
        "inspection_bytes": read.bytes_read if read else None,
    }
