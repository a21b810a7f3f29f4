"""collect_parts: a try has delivered or failed; name the try that counts, try again, or give up."""

from datetime import datetime

from pydantic import ValidationError

from mailtide.contracts import (
    DELIVERIES,
    CollectMessage,
    Delivered,
    Failure,
    LaunchMessage,
    Manifest,
    Part,
    Plan,
    Result,
    TaskPlan,
)
from mailtide.runs import keys, store
from mailtide.runs.brake import brake_reasons, held_sentence
from mailtide.runs.parts import chunks, deciding, standing_chunks, task_of
from mailtide.runs.services import Services, StepReport

_SMALLEST_DATABASE_BYTES = 512
"""One page of SQLite's smallest size."""


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
        delivery = _delivery(services, task, paths)
        if delivery is None:
            return StepReport("nothing_delivered", org, run)
        if isinstance(delivery, Failure):
            return _after_failure(services, plan, paths, delivery)
        part = Part(task=message.task, attempt=message.attempt, manifest=delivery)
        part = store.create_once(services.bucket, keys.part(org, run, message.task), part)
    return _after_chunk(services, plan, part) if task.kind == "chunk" else _after_part(services, plan, part)


def _delivery(services: Services, task: TaskPlan, paths: keys.TryKeys) -> Manifest | Failure | None:
    """What a try delivered: a manifest whose objects are really there, the reason why not, or nothing yet."""
    stored = services.bucket.get(paths.manifest)
    if stored is not None:
        try:
            manifest = Manifest.model_validate_json(stored.body)
        except ValidationError:
            return _bad_delivery(services, paths, "its manifest is not readable")
        problem = _problem(services, task, paths, manifest) or _stranger(services, paths, manifest)
        return _bad_delivery(services, paths, problem) if problem else manifest
    return store.read_failure(services.bucket, paths)


def _problem(services: Services, task: TaskPlan, paths: keys.TryKeys, manifest: Manifest) -> str | None:
    names = [delivered.name for delivered in manifest.delivered]
    if task.kind == "chunk" and names != ["candidates.bin"]:
        return "it holds no candidates, or more than them"
    if task.kind != "chunk" and manifest.changed != ("contacts.db" in names):
        return "its manifest contradicts itself"
    if not set(names) <= set(DELIVERIES[task.kind]):
        return "it holds what was not asked for"
    if any(delivered.size_bytes < 1 for delivered in manifest.delivered):
        return "it is empty"
    for delivered in manifest.delivered:
        if delivered.name == "contacts.db" and delivered.size_bytes < _SMALLEST_DATABASE_BYTES:
            return f"{delivered.name} is too small to be a database"
        if not _stands(services, paths, delivered):
            return f"{delivered.name} is not what its manifest says"
    return None


def _stranger(services: Services, paths: keys.TryKeys, manifest: Manifest) -> str | None:
    """A manifest that names no files, or none that differ, would pass for another run's or try's by its contents."""
    claim = store.read_claim(services.bucket, paths)
    claimed = claim is not None and claim.token == manifest.token
    return None if claimed else "its manifest is not by the machine that claimed the try"


def _stands(services: Services, paths: keys.TryKeys, delivered: Delivered) -> bool:
    info = services.bucket.head(paths.delivered(delivered.name))
    return info is not None and (info.etag, info.size_bytes) == (delivered.etag, delivered.size_bytes)


def _bad_delivery(services: Services, paths: keys.TryKeys, problem: str) -> Failure:
    """Note in error.json what is wrong with a delivery, so that the try is over for everybody."""
    failure = Failure(kind="bad_delivery", message=f"The machine delivered something unusable: {problem}.")
    return store.create_failure(services.bucket, paths, failure, written_at=services.clock.now())


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
    """The part that decides is there: the result, or the brake."""
    reasons = brake_reasons(services, plan, part)
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
