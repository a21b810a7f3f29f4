"""collect_parts: a try has delivered or failed; name the try that counts, try again, or give up."""

from datetime import datetime

from mailtide.contracts import (
    CollectMessage,
    Failure,
    LaunchMessage,
    Part,
    Plan,
    Result,
)
from mailtide.runs import keys, store
from mailtide.runs.brake import brake_reasons, held_sentence
from mailtide.runs.deliveries import read_delivery
from mailtide.runs.parts import chunks, deciding, standing_chunks, task_of
from mailtide.runs.services import Services, StepReport


def collect_parts(services: Services, message: CollectMessage) -> StepReport:
    """Look at one try. Safe to repeat and in any order: part and result are created once, launches are idempotent."""
    org, run = message.org, message.run
    plan = store.read_plan(services.bucket, org, run)
    if plan is None or services.bucket.head(keys.done(org, run)) is not None:
        return StepReport("not_needed", org, run)
    if services.bucket.head(keys.result(org, run)) is not None:
        return StepReport("result_stands", org, run)
    task = task_of(plan, message.task)
    if task is None:
        return StepReport("not_needed", org, run)
    paths = keys.TryKeys(org, run, message.task, message.attempt)
    part = store.read(services.bucket, keys.part(org, run, message.task), Part)
    if part is None:
        delivery = read_delivery(services, plan, task, paths)
        if delivery is None:
            return StepReport("nothing_delivered", org, run)
        if isinstance(delivery, Failure):
            return _after_failure(services, plan, paths, delivery)
        part = Part(task=message.task, attempt=message.attempt, manifest=delivery)
        part = store.create_once(services.bucket, keys.part(org, run, message.task), part)
    return _after_chunk(services, plan, part) if task.kind == "chunk" else _after_part(services, plan, part)


def _after_failure(services: Services, plan: Plan, paths: keys.TryKeys, failure: Failure) -> StepReport:
    """The next try, or the end of the run."""
    facts: dict[str, object] = {
        "task": paths.task,
        "try": paths.attempt,
        "kind": failure.kind,
        "reason": failure.message,
    }
    if not failure.is_final and paths.attempt < services.settings.max_tries:
        launch = LaunchMessage(org=plan.org, run=plan.run, task=paths.task, attempt=paths.attempt + 1)
        services.queues.send(launch)
        return StepReport("next_try", plan.org, plan.run, facts)
    message = failure.message + ("" if failure.is_final else _which(plan, paths))
    decide(services, plan, Failure(kind=failure.kind, message=message), None, paths.attempt)
    return StepReport("gave_up", plan.org, plan.run, facts)


def _which(plan: Plan, paths: keys.TryKeys) -> str:
    """Which task gave up after how many tries, in brackets."""
    names = chunks(plan)
    where = [f"chunk {names.index(paths.task) + 1} of {len(names)}"] if paths.task in names else []
    told = where + ([f"{paths.attempt} tries"] if paths.attempt > 1 else [])
    return f" ({', '.join(told)})" if told else ""


def _after_chunk(services: Services, plan: Plan, part: Part) -> StepReport:
    """The last part of a chunk sets the merge going. Whoever sees all parts queues it; one machine comes of it."""
    missing = set(chunks(plan)) - standing_chunks(services, plan).keys()
    facts: dict[str, object] = {"task": part.task, "try": part.attempt, "missing": len(missing)}
    if not missing:
        services.queues.send(LaunchMessage(org=plan.org, run=plan.run, task=deciding(plan), attempt=1))
    return StepReport("collected_chunk", plan.org, plan.run, facts)


def _after_part(services: Services, plan: Plan, part: Part) -> StepReport:
    """The part that decides is there: the result, or the brake, or what a person said before."""
    reasons = brake_reasons(services, plan, part)
    cancelled = store.read_cancellation(services.bucket, plan.org, plan.run)
    if cancelled is not None:
        decide(services, plan, cancelled.failure, part, part.attempt)
        return StepReport("cancelled", plan.org, plan.run, {"try": part.attempt, "by": cancelled.by})
    held = Failure(kind="held", message=held_sentence(reasons)) if reasons else None
    decide(services, plan, held, part, part.attempt)
    facts: dict[str, object] = {"try": part.attempt, "changed": part.manifest.changed}
    return StepReport(
        "held" if held else "collected", plan.org, plan.run, facts | ({"reasons": reasons} if held else {})
    )


def decide(services: Services, plan: Plan, failure: Failure | None, part: Part | None, tries: int) -> Result:
    """Create result.json, or read the one that stands: the run's outcome is decided once."""
    now: datetime = services.clock.now()
    result = Result(failure=failure, part=part, tries=tries, decided_at=now)
    return store.create_once(services.bucket, keys.result(plan.org, plan.run), result)
