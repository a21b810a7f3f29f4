"""A launch's way into the pool: which kept machines a try may have, written down once, and the first of them to be had."""

import hashlib

from mailtide.contracts import KeptMachine, PoolChoice, TaskPlan
from mailtide.machines import MachineInfo, MachineRequest
from mailtide.runs import keys, store
from mailtide.runs.pool.kept import (
    HOLDS,
    empty_setup,
    fits,
    has_task,
    is_startable,
    kept_machines,
    task_setup,
)
from mailtide.runs.services import Services
from mailtide.settings import Settings

MOST_CHOICES = 4
"""More are not tried: whoever comes to the fourth meets many others, and a new machine is a boot away."""


def wants_kept(services: Services, request: MachineRequest) -> bool:
    """Whether kept machines are of the size that a task is to have."""
    settings = services.settings
    return settings.pool_size > 0 and request.sizes[0] == settings.pool_machine_size


def uses_kept(settings: Settings, task: TaskPlan) -> bool:
    """Whether a kept machine may come to a task that fetches the whole database."""
    return (
        settings.pool_size > 0
        and settings.pool_volume_gb > 0
        and task.kind != "chunk"
        and settings.pool_machine_size in task.sizes
    )


def take_kept(
    services: Services, paths: keys.TryKeys, request: MachineRequest, *, holds: str | None
) -> MachineInfo | None:
    """A kept machine that has been started with this task; None when none is to be had.

    holds: the organisation whose database it will keep, None for a task that keeps none. However often this is called for a try,
    and by however many at once, one machine comes of it. TransientError while somebody else changes the machine whose turn it is.
    """
    machines = kept_machines(services)
    choice = store.read(services.bucket, paths.pool, PoolChoice)
    if choice is None:
        chosen = PoolChoice(machines=_choices(services, machines, paths, request))
        choice = store.create_once(services.bucket, paths.pool, chosen)
    known = {machine.id: machine for machine in machines}
    for kept in choice.machines:
        machine = known.get(kept.machine_id)
        taken = _hand_over(services, machine, kept.version, request, holds) if machine is not None else None
        if taken is not None:
            return taken
    return None


def _hand_over(
    services: Services, machine: MachineInfo, version: str, request: MachineRequest, holds: str | None
) -> MachineInfo | None:
    setup = task_setup(request, machine, request.sizes[0], holds)
    return services.pool.hand_over(machine.id, version, setup, otherwise=empty_setup(services.settings, machine))


def _choices(
    services: Services, machines: list[MachineInfo], paths: keys.TryKeys, request: MachineRequest
) -> tuple[KeptMachine, ...]:
    """The free machines: first those that hold this organisation's database, then those that hold none. Among equals each
    try has an order of its own, so that tries that come at once seldom meet."""

    def rank(machine: MachineInfo) -> tuple[object, ...]:
        holds = machine.metadata.get(HOLDS)
        digest = hashlib.sha256(f"{request.name}/{machine.id}".encode()).digest()
        return (holds != paths.org, holds is not None, digest)

    found = sorted((machine for machine in machines if _is_free(services, machine, request)), key=rank)
    return tuple(KeptMachine(machine_id=machine.id, version=machine.version) for machine in found[:MOST_CHOICES])


def _is_free(services: Services, machine: MachineInfo, request: MachineRequest) -> bool:
    fitting = is_startable(machine) and fits(services.settings, machine, request.sizes[0])
    return fitting and (not has_task(machine) or task_is_over(services, machine))


def task_is_over(services: Services, machine: MachineInfo) -> bool:
    """Whether the task that a machine was given last has an outcome, so that nobody waits for it any more."""
    org, run, task = (machine.metadata.get(name, "") for name in ("org", "run", "task"))
    attempt = machine.metadata.get("try", "")
    if not (org and run and task and attempt.isdigit()):
        return True
    paths = keys.TryKeys(org, run, task, int(attempt))
    outcomes = (paths.manifest, paths.error, keys.done(org, run))
    return any(services.bucket.head(key) is not None for key in outcomes)
