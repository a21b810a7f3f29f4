"""The watcher's care for kept machines: what has ended is emptied, what is broken, too old or too much is removed."""

from datetime import datetime

from mailtide.machines import MachineInfo, same_image
from mailtide.runs import keys, store
from mailtide.runs.pool.kept import (
    VISIT,
    empty_setup,
    has_task,
    is_kept,
    is_startable,
    number_of,
)
from mailtide.runs.pool.take import task_is_over
from mailtide.runs.pool.volumes import discard, remove_stray_volumes
from mailtide.runs.services import Services, StepReport

GRACE_S = 120
"""Beyond the time that a task may take."""
KEEPING_S = 60
"""How long a machine may go on when its run is over: it puts the database on its volume after everything else."""


def look_after(services: Services, machine: MachineInfo) -> StepReport | None:
    """Bring one kept machine to where it should be: stopped and empty, at work, or gone."""
    if machine.running:
        return _destroy(services, machine, why) if (why := _why_not_run(services, machine)) else None
    if not is_startable(machine):
        return _destroy(services, machine, "broken")
    if has_task(machine) and not task_is_over(services, machine):
        return None
    settings = services.settings
    if not 1 <= number_of(machine) <= settings.pool_size or machine.size != settings.pool_machine_size:
        return _destroy(services, machine, "not wanted")
    if _is_used(machine) or not same_image(machine.image, settings.machine_image):
        return _empty(services, machine)
    if _age_s(services, machine.updated_at) > settings.pool_idle_s:
        return _destroy(services, machine, "unused")
    return None


def remove_strays(services: Services, machines: list[MachineInfo]) -> list[StepReport]:
    """Remove volumes without a machine. machines: all of ours; without a pool, and without any that was kept, nothing is
    asked."""
    if services.settings.pool_size == 0 and not any(is_kept(machine) for machine in machines):
        return []
    return [StepReport("removed_volume", details={"volume": volume}) for volume in remove_stray_volumes(services)]


def _why_not_run(services: Services, machine: MachineInfo) -> str | None:
    """Why a running machine must not run (any longer)."""
    if machine.metadata.get(VISIT, "").isdigit():
        over_s = services.clock.now().timestamp() - int(machine.metadata[VISIT])
        return "visit over" if over_s > GRACE_S else None
    if not has_task(machine):
        return "runs without a task"
    org, run = machine.metadata.get("org", ""), machine.metadata["run"]
    done = services.bucket.head(keys.done(org, run))
    if done is not None and _age_s(services, done.last_modified) > KEEPING_S:
        return "run over"
    limit_s = services.settings.task_timeout_s + GRACE_S
    return "too long" if _age_s(services, machine.started_at or machine.updated_at) > limit_s else None


def _is_used(machine: MachineInfo) -> bool:
    """Whether it still has what its last task or visit was given."""
    return has_task(machine) or VISIT in machine.metadata


def _empty(services: Services, machine: MachineInfo) -> StepReport | None:
    """Take URLs and names of the last task off a stopped machine. Somebody who was quicker has it for the next one."""
    emptied = services.pool.hand_over(machine.id, machine.version, empty_setup(services.settings, machine))
    return None if emptied is None else _told("emptied_machine", machine)


def _destroy(services: Services, machine: MachineInfo, why: str) -> StepReport:
    discard(services, machine)
    return _told("destroyed_machine", machine, why=why)


def _told(action: str, machine: MachineInfo, **more: object) -> StepReport:
    org, run = machine.metadata.get("org", ""), machine.metadata.get("run", "")
    return StepReport(action, org, run, {"machine": machine.id, "name": machine.name, **more})


def _age_s(services: Services, moment: datetime | None) -> float:
    """Seconds since a moment; 0 for one that is not known."""
    return 0.0 if moment is None else store.age_s(services.clock.now(), moment)
