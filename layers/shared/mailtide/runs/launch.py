"""launch_machine: one try of one task gets its document and its machine."""

import hashlib
from contextlib import suppress

from mailtide.contracts import (
    Failure,
    FeedbackInput,
    Launch,
    LaunchMessage,
    PartInput,
    Plan,
    TaskDocument,
    TaskPlan,
    TaskUrls,
)
from mailtide.errors import FlyError, TransientError
from mailtide.machines import MachineInfo, MachineRequest
from mailtide.runs import keys, store
from mailtide.runs.delivery_urls import parts_urls, put_urls, rootfs_gb
from mailtide.runs.parts import merge_inputs, task_of
from mailtide.runs.pool.fill import add_one
from mailtide.runs.pool.kept import ROLE, is_kept, is_of
from mailtide.runs.pool.take import take_kept, uses_kept, wants_kept
from mailtide.runs.services import Services, StepReport

TASK_URL_VARIABLE = "MAILTIDE_TASK_URL"


def launch_machine(services: Services, message: LaunchMessage) -> StepReport:
    """Create the machine of a try, or find that it is not wanted. Safe to repeat: the machine's name is the try's.

    done.json is read before and after the creation, so that no machine outlives its run unseen.
    """
    plan = store.read_plan(services.bucket, message.org, message.run)
    task = task_of(plan, message.task) if plan else None
    if plan is None or task is None:
        return StepReport("nothing_planned", message.org, message.run)
    if _is_settled(services, message):
        return StepReport("not_needed", message.org, message.run)
    paths = keys.TryKeys(message.org, message.run, message.task, message.attempt)
    if _is_launched(services, paths):
        return StepReport("already_launched", message.org, message.run)
    parts = merge_inputs(services, plan) if task.kind == "merge" else ()
    if parts is None:
        return StepReport("parts_missing", message.org, message.run)
    store.create_once(services.bucket, paths.document, _document(services, plan, task, paths, parts))
    request = _request(services, plan, task, paths)
    try:
        machine = _machine(services, task, paths, request)
    except TransientError:
        raise
    except FlyError as error:
        failure = Failure(kind="launch_refused", message=f"No machine could be created: {error}")
        store.create_failure(services.bucket, paths, failure, written_at=services.clock.now())
        return StepReport("launch_refused", message.org, message.run, {"reason": str(error)})
    report = _record(services, message, paths, task, machine)
    if wants_kept(services, request) and not is_kept(machine):
        # The task has its machine; one more for the next task is not worth another try.
        with suppress(FlyError):
            add_one(services)
    return report


def _machine(services: Services, task: TaskPlan, paths: keys.TryKeys, request: MachineRequest) -> MachineInfo:
    """A kept machine that is free, or a new one. FlyError."""
    kept = None
    if wants_kept(services, request):
        try:
            kept = take_kept(services, paths, request, holds=None if task.kind == "chunk" else paths.org)
        except TransientError:
            raise
        except FlyError:
            # What is wrong with the pool for good is no reason to refuse the task: claim.json lets one machine work.
            kept = None
    return kept or services.machines.create(request)


def _record(
    services: Services, message: LaunchMessage, paths: keys.TryKeys, task: TaskPlan, machine: MachineInfo
) -> StepReport:
    launch = Launch(
        machine_id=machine.id,
        machine_name=machine.name,
        region=machine.region,
        size=machine.size or task.sizes[0],
        launched_at=services.clock.now(),
        kept=is_kept(machine),
    )
    store.create_once(services.bucket, paths.launch, launch)
    if store.read_done(services.bucket, message.org, message.run) is not None:
        if not launch.kept or is_of(services.machines.get(machine.id), paths):
            services.machines.destroy(machine.id)
        return StepReport("destroyed_late_machine", message.org, message.run, {"machine": machine.id})
    facts: dict[str, object] = {
        "task": message.task,
        "machine": machine.id,
        "region": machine.region,
        "size": str(launch.size),
        "kept": launch.kept,
    }
    return StepReport("launched", message.org, message.run, facts)


def _is_settled(services: Services, message: LaunchMessage) -> bool:
    wanted = (
        keys.done(message.org, message.run),
        keys.result(message.org, message.run),
        keys.part(message.org, message.run, message.task),
    )
    return any(services.bucket.head(key) is not None for key in wanted)


def _is_launched(services: Services, paths: keys.TryKeys) -> bool:
    return any(services.bucket.head(key) is not None for key in (paths.launch, paths.manifest, paths.error))


def _document(
    services: Services, plan: Plan, task: TaskPlan, paths: keys.TryKeys, parts: tuple[PartInput, ...]
) -> TaskDocument:
    bucket = services.bucket
    expires_s = services.settings.url_ttl_s

    def put_once(key: str) -> str:
        return bucket.presign_put(key, expires_s=expires_s, create_only=True)

    urls = TaskUrls(
        source_get=bucket.presign_get(plan.file.key if plan.file else keys.source(plan.org), expires_s=expires_s),
        source_blocks_get=_blocks_url(services, plan, task),
        claim_put=put_once(paths.claim),
        claim_get=bucket.presign_get(paths.claim, expires_s=expires_s),
        manifest_put=put_once(paths.manifest),
        error_put=put_once(paths.error),
        deliver_put=put_urls(services, task, paths),
        deliver_parts=parts_urls(services, plan, task, paths),
    )
    return TaskDocument(
        org=plan.org,
        run=plan.run,
        task=task,
        attempt=paths.attempt,
        source=plan.read,
        source_part_bytes=plan.source_part_bytes,
        as_of=plan.as_of,
        planned_at=plan.planned_at,
        rules_yaml=plan.rules_yaml,
        rules_sha256=plan.rules_sha256,
        profile=plan.profile,
        sync=plan.sync,
        max_mails_per_contact=services.settings.max_mails_per_contact,
        urls=urls,
        parts=parts,
        feedback=_feedback(services, plan, task),
        written_at=services.clock.now(),
    )


def _blocks_url(services: Services, plan: Plan, task: TaskPlan) -> str | None:
    """Where a kept machine, which may have an older version of the file, finds the digests of the one that it is to read."""
    if not uses_kept(services.settings, task):
        return None
    latest = store.read_latest(services.bucket, plan.org).value
    ours = plan.file is None and latest.published_etag == plan.source.etag
    run = plan.file.run if plan.file else latest.written_by if ours else None
    if run is None:
        return None
    return services.bucket.presign_get(
        keys.shared(plan.org, run, "contacts.blocks"), expires_s=services.settings.url_ttl_s
    )


def _feedback(services: Services, plan: Plan, task: TaskPlan) -> tuple[FeedbackInput, ...]:
    """For the machine that writes the database; a chunk's reads its candidates only."""
    if task.kind == "chunk":
        return ()
    bucket, expires_s = services.bucket, services.settings.url_ttl_s
    folder = keys.feedback(plan.org)
    return tuple(
        FeedbackInput(**file.model_dump(), get=bucket.presign_get(folder + file.name, expires_s=expires_s))
        for file in plan.feedback.files
    )


def machine_name(paths: keys.TryKeys) -> str:
    """The deterministic name of a try's machine: the same try can never have two live ones."""
    digest = hashlib.sha256(f"{paths.org}/{paths.run}/{paths.task}/{paths.attempt}".encode()).hexdigest()[:16]
    return f"mailtide-{digest}"


def _request(services: Services, plan: Plan, task: TaskPlan, paths: keys.TryKeys) -> MachineRequest:
    settings = services.settings
    url = services.bucket.presign_get(paths.document, expires_s=settings.url_ttl_s)
    return MachineRequest(
        name=machine_name(paths),
        regions=settings.fly_regions,
        sizes=task.sizes[_smaller_sizes_to_skip(services, task, paths) :],
        image=settings.machine_image,
        env={TASK_URL_VARIABLE: url},
        metadata={"role": ROLE, "org": paths.org, "run": paths.run, "task": paths.task, "try": str(paths.attempt)},
        auto_destroy=True,
        rootfs_gb=rootfs_gb(services, plan, task),
    )


def _smaller_sizes_to_skip(services: Services, task: TaskPlan, paths: keys.TryKeys) -> int:
    """One size up for every earlier try that ran out of memory."""
    skipped = 0
    for attempt in range(1, paths.attempt):
        failure = store.read_failure(services.bucket, keys.TryKeys(paths.org, paths.run, paths.task, attempt))
        skipped += failure is not None and failure.kind == "out_of_memory"
    return min(skipped, len(task.sizes) - 1)
