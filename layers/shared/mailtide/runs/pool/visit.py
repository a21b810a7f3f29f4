"""A person looks around on a kept machine: it is started without a task, for a time, and stopped again."""

from mailtide.errors import InputError
from mailtide.machines import MachineInfo
from mailtide.runs.pool.kept import VISIT, PoolServices, empty_setup, has_task, is_startable, kept_machines

LONGEST_MINUTES = 240


def is_visited(machine: MachineInfo) -> bool:
    """Whether a person was let onto it, and it was not emptied since."""
    return VISIT in machine.metadata


def find_kept(services: PoolServices, name: str | None) -> list[MachineInfo]:
    """The kept machine of this name or id; all of them without one. InputError when there is none."""
    machines = kept_machines(services)
    found = [machine for machine in machines if name in (None, machine.name, machine.id)]
    if not machines:
        raise InputError(
            f"No machines are kept in the Fly app {services.settings.fly_app}; mailtide fly deploy makes them."
        )
    if not found:
        raise InputError(f"There is no kept machine {name!r}; mailtide fly status lists them.")
    return found


def start_visit(services: PoolServices, *, minutes: int, name: str | None = None) -> MachineInfo:
    """Start a kept machine without a task; it stops by itself after so many minutes, and the watcher sees to it.

    InputError when none is free; one that is being visited already is returned as it is.
    """
    found = find_kept(services, name)
    for machine in found:
        if machine.running and is_visited(machine):
            return machine
    until = int(services.clock.now().timestamp()) + 60 * minutes
    for machine in found:
        if not is_startable(machine) or has_task(machine):
            continue
        empty = empty_setup(services.settings, machine)
        visit = empty.model_copy(
            update={
                "metadata": {**empty.metadata, VISIT: str(until)},
                "command": ("/bin/sleep", str(60 * minutes)),
            }
        )
        started = services.pool.hand_over(machine.id, machine.version, visit, otherwise=empty)
        if started is not None:
            return started
    which = f"Machine {name} has" if name is not None else f"All {len(found)} kept machines have"
    raise InputError(f"{which} a task, or had one within the last minute, or no room on the host; try again later.")


def stop_visits(services: PoolServices, *, name: str | None = None) -> list[MachineInfo]:
    """Stop the kept machines that a person has started, and empty them. Returns those that were stopped.

    InputError when a machine that was named has a task: that one ends by itself.
    """
    found = find_kept(services, name)
    if name is not None and has_task(found[0]) and found[0].running:
        run, org = found[0].metadata["run"], found[0].metadata.get("org", "")
        raise InputError(f"Machine {name} works on run {run} of {org}, and stops when it is done.")
    stopped = []
    for machine in found:
        if not is_visited(machine):
            continue
        if machine.running:
            services.pool.stop(machine.id)
            stopped.append(machine)
        services.pool.hand_over(machine.id, machine.version, empty_setup(services.settings, machine))
    return stopped


def find_running(services: PoolServices, name: str | None) -> MachineInfo:
    """A kept machine that runs, one that is being visited before others. InputError when there is none."""
    running = [machine for machine in find_kept(services, name) if machine.running]
    if not running:
        which = f"Machine {name} does not run" if name is not None else "No kept machine runs"
        raise InputError(f"{which}; mailtide fly start starts one for a time.")
    return min(running, key=lambda machine: not is_visited(machine))
