"""done.json: how a run went, step by step, with which machines, and what it cost."""

from datetime import datetime
from typing import Literal

from mailtide.contracts import Cancellation, Cost, Done, Handled, Launch, MachineUse, Part, Plan, Result, Step, TaskPlan
from mailtide.errors import MailtideError
from mailtide.machines import MachineInfo
from mailtide.ports import ObjectInfo
from mailtide.runs import keys, store
from mailtide.runs.feedback import told
from mailtide.runs.launch import machine_name
from mailtide.runs.parts import chunks, list_tries, task_of
from mailtide.runs.pool.kept import is_kept
from mailtide.runs.services import Services
from mailtide.runs.share import shared_by
from mailtide.runs.sizing import egress_usd, machine_usd, requests_usd


def done_of(
    services: Services,
    plan: Plan,
    result: Result,
    status: Literal["superseded"] | Handled,
    reason: str | None,
    published_etag: str | None,
) -> Done:
    """The end of a planned run, told from its objects."""
    part = result.part
    parts = _parts(services, plan, result)
    machines = _machines(services, plan, result, parts)
    deciding = [use for use in machines if part and (use.task, use.attempt) == (part.task, part.attempt)]
    manifest = part.manifest if part else None
    return Done(
        org=plan.org,
        run=plan.run,
        status=status,
        reason=reason,
        cancelled=_cancellation(services, plan, result),
        changed=status == "published" and manifest is not None and manifest.changed,
        published_etag=published_etag,
        sync=plan.sync,
        shared=shared_by(plan, part) if status == "published" else (),
        as_of=plan.as_of,
        report=told(plan, manifest.report) if manifest else None,
        steps=_steps(services, plan, result, machines, parts),
        machine=next((use.launch for use in (*deciding, *reversed(machines))), None),
        machines=machines,
        cost=_cost(services, plan, machines, parts),
        tries=max((use.attempt for use in machines), default=result.tries),
        finished_at=services.clock.now(),
    )


def _cancellation(services: Services, plan: Plan, result: Result) -> Cancellation | None:
    if result.failure is None or result.failure.kind != "cancelled":
        return None
    return store.read_cancellation(services.bucket, plan.org, plan.run)


def _machines(services: Services, plan: Plan, result: Result, parts: dict[str, Part]) -> tuple[MachineUse, ...]:
    """Every machine that was launched, in the order of the tasks and their tries."""
    tries = list_tries(services, plan)
    found = []
    for task in plan.tasks:
        for attempt, objects in sorted(tries.get(task.task, {}).items()):
            paths = keys.TryKeys(plan.org, plan.run, task.task, attempt)
            launch = _launch(services, task, paths, objects)
            if launch is not None:
                end = _end(parts.get(task.task), attempt, objects) or result.decided_at
                found.append(_use(services, paths, launch, end))
    return tuple(found)


def _launch(services: Services, task: TaskPlan, paths: keys.TryKeys, objects: dict[str, ObjectInfo]) -> Launch | None:
    """launch.json; where launch_machine ended between the creation and that, what the machine's own claim and Fly tell."""
    if "launch.json" in objects:
        return store.read(services.bucket, paths.launch, Launch)
    document = objects.get("task.json")
    if document is None or "claim.json" not in objects:
        return None
    claim = store.read_claim(services.bucket, paths)
    machine = _look_up(services, claim.machine_id) if claim and claim.machine_id else None
    return Launch(
        machine_id=(claim.machine_id if claim else None) or "unknown",
        machine_name=machine_name(paths),
        region=machine.region if machine else "unknown",
        size=(machine.size if machine else None) or task.sizes[0],
        launched_at=(_began(machine) if machine else None) or document.last_modified,
        kept=machine is not None and is_kept(machine),
    )


def _began(machine: MachineInfo) -> datetime | None:
    """When it came to be there for its task."""
    return machine.started_at if is_kept(machine) else machine.created_at


def _look_up(services: Services, machine_id: str) -> MachineInfo | None:
    """What Fly still knows of a machine that has done its work: a run does not wait for that."""
    try:
        return services.machines.get(machine_id)
    except MailtideError:
        return None


def _use(services: Services, paths: keys.TryKeys, launch: Launch, end: datetime) -> MachineUse:
    seconds = max(0.0, (end - launch.launched_at).total_seconds())
    usd = machine_usd(services.settings, launch.size, seconds)
    return MachineUse(task=paths.task, attempt=paths.attempt, launch=launch, seconds=round(seconds, 3), usd=usd)


def _end(part: Part | None, attempt: int, objects: dict[str, ObjectInfo]) -> datetime | None:
    """When a machine wrote its last object; None for one that wrote none."""
    if part is not None and part.attempt == attempt:
        return part.manifest.finished_at
    last = objects.get("manifest.json") or objects.get("error.json")
    return last.last_modified if last is not None else None


def _parts(services: Services, plan: Plan, result: Result) -> dict[str, Part]:
    """The parts that stand, by task: those of chunks, and the one that decided."""
    read = [store.read(services.bucket, keys.part(plan.org, plan.run, name), Part) for name in chunks(plan)]
    return {part.task: part for part in (*read, result.part) if part is not None}


def _steps(
    services: Services, plan: Plan, result: Result, machines: tuple[MachineUse, ...], parts: dict[str, Part]
) -> tuple[Step, ...]:
    part = result.part
    manifest = part.manifest if part else None
    launched = [use.launch.launched_at for use in machines if part is None or _counts(part, use)]
    moments: list[tuple[str, datetime | None]] = [
        ("uploaded", plan.source.last_modified),
        ("opened", plan.opened_at),
        ("planned", plan.planned_at),
        *_chunk_steps(plan, machines, parts),
        ("merge launched" if chunks(plan) else "launched", launched[-1] if launched else None),
        ("machine started", manifest.started_at if manifest else None),
        ("machine finished", manifest.finished_at if manifest else None),
        ("decided", result.decided_at),
        ("finished", services.clock.now()),
    ]
    return tuple(Step(name=name, at=at) for name, at in moments if at is not None)


def _counts(part: Part, use: MachineUse) -> bool:
    return (use.task, use.attempt) == (part.task, part.attempt)


def _chunk_steps(
    plan: Plan, machines: tuple[MachineUse, ...], parts: dict[str, Part]
) -> list[tuple[str, datetime | None]]:
    """When the first and the last chunk machine were launched, and when the last part was delivered."""
    names = chunks(plan)
    launches = [use.launch.launched_at for use in machines if use.task in names]
    if not launches:
        return []
    ended = [part.manifest.finished_at for name, part in parts.items() if name in names]
    chunked = max(ended) if len(ended) == len(names) else None
    return [
        ("first chunk launched", min(launches)),
        ("last chunk launched", max(launches)),
        ("chunks finished", chunked),
    ]


def _cost(services: Services, plan: Plan, machines: tuple[MachineUse, ...], parts: dict[str, Part]) -> Cost:
    """Each machine's time counts from its creation to its last write, at the size that it had."""
    settings = services.settings
    fetched = sum(_fetched_bytes(plan, use, parts) for use in machines)
    return Cost(
        machine_s=round(sum(use.seconds for use in machines), 3),
        machine_usd=round(sum(use.usd for use in machines), 9),
        egress_usd=egress_usd(settings, fetched),
        requests_usd=requests_usd(settings, len(chunks(plan))),
    )


def _fetched_bytes(plan: Plan, use: MachineUse, parts: dict[str, Part]) -> int:
    """What a machine fetches: the database, with the parts for a merge; of it what a chunk's machine says, or its share."""
    task, size_bytes = task_of(plan, use.task), plan.read.size_bytes
    told = parts[use.task].manifest.report.get("source_bytes_read") if use.task in parts else None
    if task is None or task.kind != "chunk":
        inputs = (parts[name].manifest.delivered for name in chunks(plan) if name in parts)
        beside = sum(delivered.size_bytes for found in inputs for delivered in found)
        return (told if isinstance(told, int) else size_bytes) + beside
    return told if isinstance(told, int) else size_bytes // len(chunks(plan))
