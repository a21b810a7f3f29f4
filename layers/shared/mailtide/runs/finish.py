"""finish_run: carry out result.json: publish, supersede or fail, then the tail. The only place where a planned run ends."""

from mailtide.contracts import Done, Failure, FinishMessage, Handled, Latest, Part, Plan, Result
from mailtide.errors import StaleWriteError
from mailtide.runs import lock, store
from mailtide.runs.brake import baseline_of
from mailtide.runs.calibration import learn
from mailtide.runs.cancel import decide_cancelled
from mailtide.runs.conclude import close, run_tail
from mailtide.runs.feedback import note_folded
from mailtide.runs.naming import run_id
from mailtide.runs.publish import confirm_unchanged
from mailtide.runs.publish_part import publish_part
from mailtide.runs.record import fence, record_handled
from mailtide.runs.services import Services, StepReport
from mailtide.runs.share import kept_file, lengthened, remove_older, withdraw, writer
from mailtide.runs.story import done_of
from mailtide.runs.unplanned import end_unplanned, is_unplanned

REPLACED = "The database was replaced while this run was at work"

LOST = Failure(
    kind="bad_delivery", message="The delivered database was removed or written over before it could be published."
)


def finish_run(services: Services, message: FinishMessage) -> StepReport:
    """End one run. Safe to repeat; without the lock it does nothing, and the watcher calls again."""
    org, run = message.org, message.run
    done = store.read_done(services.bucket, org, run)
    if done is not None:
        return _tail_again(services, done)
    plan = store.read_plan(services.bucket, org, run)
    result = store.read_result(services.bucket, org, run)
    if result is None:
        plan, result = decide_cancelled(services, org, run, plan)
    if plan is None or result is None:
        return StepReport("nothing_to_finish", org, run)
    if lock.take(services, org, run) is None:
        return StepReport("waits_for_lock", org, run)
    try:
        if is_unplanned(plan, result):
            return end_unplanned(services, plan, result)
        if result.part is None or result.failure is not None:
            return _fail(services, plan, result)
        return _publish(services, plan, result, result.part)
    except StaleWriteError:
        return StepReport("waits_for_quiet", org, run)


def _tail_again(services: Services, done: Done) -> StepReport:
    if store.read_marker(services.bucket, done.org, done.run) is None:
        return StepReport("already_finished", done.org, done.run)
    run_tail(services, done)
    return StepReport("finished_tail", done.org, done.run, {"status": done.status})


def _publish(services: Services, plan: Plan, result: Result, part: Part) -> StepReport:
    publication = publish_part(services, plan, part)
    if publication.ending == "again":
        return StepReport("waits_for_quiet", plan.org, plan.run)
    if publication.ending == "superseded":
        fence(services, plan.org, over=publication.seen)
        withdraw(services, plan, part)
        return close(services, done_of(services, plan, result, "superseded", _replaced(services, plan), None))
    if publication.ending == "lost":
        withdraw(services, plan, part)
        return _fail(services, plan, result.model_copy(update={"failure": LOST}))
    etag, file = publication.published_etag, publication.file
    before = publication.seen.value
    handled = Latest(
        run=plan.run,
        status="published",
        source=plan.source,
        as_of=plan.as_of,
        published_etag=etag,
        baseline=baseline_of(plan, part),
        sync=plan.sync,
        file=file,
        written_by=writer(before, plan, part),
        chain=lengthened(before, plan, part),
    )
    record_handled(services, plan, handled, over=publication.seen)
    note_folded(services, plan, part, file.etag if file else etag)
    remove_older(services, plan, file)
    done = done_of(services, plan, result, "published", None, etag)
    report = close(services, done)
    learn(services, plan, done, part)
    return report


def _replaced(services: Services, plan: Plan) -> str:
    """Why a run is superseded, and where it can be told which run handles what stands now."""
    source = store.read_source(services.bucket, plan.org)
    if source is None:
        return "The database was removed while this run was at work."
    successor = run_id(plan.org, source)
    handled = store.is_handled(store.read_latest(services.bucket, plan.org).value, source)
    if handled or store.read_done(services.bucket, plan.org, successor) is not None:
        return f"{REPLACED}; the new one has a run of its own."
    return f"{REPLACED}; run {successor} handles the new one."


def _fail(services: Services, plan: Plan, result: Result) -> StepReport:
    """Record the failure, or that the run is held: the source counts as handled, so that it is not planned again for ever."""
    failure = result.failure
    reason = failure.message if failure else "The run ended without a result."
    status: Handled = "held" if failure is not None and failure.kind == "held" else "failed"
    standing = confirm_unchanged(services, plan)
    if standing.ending == "again":
        return StepReport("waits_for_quiet", plan.org, plan.run)
    if standing.ending == "published":
        handled = Latest(
            run=plan.run,
            status=status,
            source=plan.source,
            as_of=plan.as_of,
            published_etag=standing.seen.value.published_etag,
            baseline=standing.seen.value.baseline,
            sync=standing.seen.value.sync,
            file=kept_file(standing.seen.value, plan),
            written_by=standing.seen.value.written_by,
            chain=standing.seen.value.chain,
        )
        record_handled(services, plan, handled, over=standing.seen)
        return close(services, done_of(services, plan, result, status, reason, None))
    fence(services, plan.org, over=standing.seen)
    if failure is not None and failure.kind in {"source_changed", "held"}:
        return close(services, done_of(services, plan, result, "superseded", _replaced(services, plan), None))
    return close(services, done_of(services, plan, result, "failed", reason, None))
