"""watch_runs: every minute, bring on what should have moved. With no event delivered at all, it alone gets every run
to its end: it looks at what stands in the bucket and queues the call that should come next."""

from datetime import datetime, timedelta

from mailtide.contracts import (
    CollectMessage,
    Failure,
    FinishMessage,
    Launch,
    LaunchMessage,
    OpenMarker,
    Part,
    Plan,
    PlanMessage,
)
from mailtide.errors import NotFoundError
from mailtide.ports import ObjectInfo
from mailtide.runs import keys, lock, store
from mailtide.runs.collect import decide
from mailtide.runs.draw_up import give_up
from mailtide.runs.parts import chunks, deciding, list_tries, standing_chunks
from mailtide.runs.pool.kept import is_of, is_startable
from mailtide.runs.pool.volumes import discard
from mailtide.runs.rounds import for_each
from mailtide.runs.services import Services, StepReport
from mailtide.runs.sizing import launch_delay_s

NEWBORN_S = 15
"""For seconds after its creation a machine may be unknown to the API that created it."""

PLANNING_PATIENCE = 2
"""Run time-outs that a run may stay unplanned: one for the run before it to end by, one of its own."""


def watch_open_runs(services: Services) -> list[StepReport]:
    """Look at every unfinished run. Returns what was done, run by run; an empty list when nothing was needed."""
    names = [name for info in services.bucket.list(keys.OPEN) if (name := keys.parse_marker(info.key)) is not None]
    return for_each(names, lambda name: _watch_run(services, *name))


def _watch_run(services: Services, org: str, run: str) -> StepReport | None:
    marker = store.read_marker(services.bucket, org, run)
    if marker is None:
        return None
    done = store.read_done(services.bucket, org, run)
    if done is not None:
        return _finish(services, org, run) if _stalled(services, done.finished_at) else None
    cancelled = store.read_cancellation(services.bucket, org, run)
    if cancelled is not None and _stalled(services, cancelled.decided_at):
        return _finish(services, org, run)
    plan = store.read_plan(services.bucket, org, run)
    if plan is None:
        return _replan(services, marker)
    lock.renew(services, org, run)
    result = store.read_result(services.bucket, org, run)
    if result is not None:
        return _finish(services, org, run) if _stalled(services, result.decided_at) else None
    if plan.rejected is not None:
        return _replan(services, marker)
    return _watch_work(services, plan)


def _watch_work(services: Services, plan: Plan) -> StepReport | None:
    """A run without a result: what its tasks are waiting for. A part that decides counts, however late it is."""
    last = deciding(plan)
    part = store.read(services.bucket, keys.part(plan.org, plan.run, last), Part)
    if part is not None:
        return _collect(services, keys.TryKeys(plan.org, plan.run, last, part.attempt))
    tries = list_tries(services, plan)
    if store.age_s(services.clock.now(), plan.planned_at) > services.settings.run_timeout_s:
        message = f"The run took longer than {services.settings.run_timeout_s} seconds."
        decide(services, plan, Failure(kind="timed_out", message=message), None, _most(tries))
        return StepReport("timed_out", plan.org, plan.run)
    standing = standing_chunks(services, plan)
    waiting = {
        task: plan.planned_at + timedelta(seconds=launch_delay_s(services.settings, number))
        for number, task in enumerate(chunks(plan))
        if task not in standing
    } or {last: max(standing.values(), default=plan.planned_at)}
    looks = (_watch_task(services, plan, task, tries.get(task, {}), since) for task, since in waiting.items())
    reports = [report for report in looks if report is not None]
    if len(reports) < 2:
        return reports[0] if reports else None
    return StepReport(reports[0].action, plan.org, plan.run, {"tasks": [report.details for report in reports]})


def _stalled(services: Services, moment: datetime) -> bool:
    """Whether nothing has followed for longer than a busy queue explains."""
    return services.clock.now() - moment >= timedelta(seconds=services.settings.watch_stall_s)


def _finish(services: Services, org: str, run: str) -> StepReport:
    services.queues.send(FinishMessage(org=org, run=run))
    return StepReport("queued_finish", org, run)


def _replan(services: Services, marker: OpenMarker) -> StepReport | None:
    if not _stalled(services, marker.opened_at):
        return None
    patience_s = PLANNING_PATIENCE * services.settings.run_timeout_s
    if store.age_s(services.clock.now(), marker.opened_at) > patience_s:
        message = f"The run could not be planned within {patience_s} seconds."
        give_up(services, marker, Failure(kind="timed_out", message=message))
    services.queues.send(PlanMessage(org=marker.org, run=marker.run))
    return StepReport("queued_plan", marker.org, marker.run)


type Objects = dict[str, ObjectInfo]


def _most(tries: dict[str, dict[int, Objects]]) -> int:
    return max((attempt for found in tries.values() for attempt in found), default=0)


def _watch_task(
    services: Services, plan: Plan, task: str, tries: dict[int, Objects], since: datetime
) -> StepReport | None:
    """since: when the task could begin."""
    if not tries:
        return _launch(services, plan, task, 1) if _stalled(services, since) else None
    attempt = max(tries)
    objects = tries[attempt]
    paths = keys.TryKeys(plan.org, plan.run, task, attempt)
    delivered = objects.get("manifest.json") or objects.get("error.json")
    if delivered is not None:
        return _collect(services, paths) if _stalled(services, delivered.last_modified) else None
    if "launch.json" not in objects:
        document = objects.get("task.json")
        silent = document is None or _stalled(services, document.last_modified)
        return _launch(services, plan, task, attempt) if silent else None
    return _watch_machine(services, paths)


def _launch(services: Services, plan: Plan, task: str, attempt: int) -> StepReport:
    services.queues.send(LaunchMessage(org=plan.org, run=plan.run, task=task, attempt=attempt))
    return StepReport("queued_launch", plan.org, plan.run, {"task": task, "try": attempt})


def _collect(services: Services, paths: keys.TryKeys) -> StepReport:
    message = CollectMessage(org=paths.org, run=paths.run, task=paths.task, attempt=paths.attempt)
    services.queues.send(message)
    return StepReport("queued_collect", paths.org, paths.run, {"task": paths.task, "try": paths.attempt})


def _watch_machine(services: Services, paths: keys.TryKeys) -> StepReport | None:
    """A machine that ended or hangs without a word: put its end in error.json in its place."""
    launch = store.read(services.bucket, paths.launch, Launch)
    if launch is None:
        return None
    failure = _verdict(services, launch, paths)
    if failure is None:
        return None
    if _has_delivered(services, paths):
        return _collect(services, paths)
    store.create_failure(services.bucket, paths, failure, written_at=services.clock.now())
    return _collect(services, paths)


def _has_delivered(services: Services, paths: keys.TryKeys) -> bool:
    return any(services.bucket.head(key) is not None for key in (paths.manifest, paths.error))


def _verdict(services: Services, launch: Launch, paths: keys.TryKeys) -> Failure | None:
    """Why a machine will deliver nothing more; it is certainly dead afterwards. None: it is at work."""
    timeout_s = services.settings.task_timeout_s
    age_s = store.age_s(services.clock.now(), launch.launched_at)
    try:
        machine = services.machines.get(launch.machine_id)
    except NotFoundError:
        return None if age_s < NEWBORN_S else Failure(kind="machine_lost", message="The machine vanished.")
    if launch.kept:
        if not is_of(machine, paths) or _has_delivered(services, paths):
            return Failure(kind="machine_lost", message="The machine went on to other work.")
        if is_startable(machine) and machine.exit_code is None and age_s < NEWBORN_S:
            return None
    if machine.oom_killed:
        discard(services, machine)
        return Failure(kind="out_of_memory", message=f"The machine ran out of memory ({launch.size}).")
    if machine.gone or machine.state in {"stopped", "failed", "suspended"}:
        discard(services, machine)
        code = "" if machine.exit_code is None else f" with exit code {machine.exit_code}"
        return Failure(kind="machine_lost", message=f"The machine stopped{code} before it had delivered.")
    if age_s <= timeout_s:
        return None
    discard(services, machine)
    return Failure(kind="timed_out", message=f"The machine took longer than {timeout_s} seconds.")
