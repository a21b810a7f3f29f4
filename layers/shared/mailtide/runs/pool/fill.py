"""Bringing the pool to what the settings want: one more machine after a launch that found none free, or all of it at once."""

from dataclasses import dataclass

from mailtide.machines import MachineInfo, same_image
from mailtide.runs.pool.kept import (
    HOLDS,
    VOLUME_NAME,
    PoolServices,
    empty_setup,
    fits,
    has_task,
    is_startable,
    kept_machines,
    name_of,
    number_of,
)
from mailtide.runs.pool.volumes import discard, remove_stray_volumes


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """Names of the machines that were made, given another image, and removed; of those that work and were left alone; and
    the volumes that were removed. wanted: how many there are to be."""

    app: str
    wanted: int
    made: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    busy: tuple[str, ...]
    removed_volumes: tuple[str, ...]


def add_one(services: PoolServices) -> MachineInfo | None:
    """The next missing machine, stopped; None when the pool is full. FlyError. Safe for many at once: names are unique."""
    settings = services.settings
    numbers = {number_of(machine) for machine in kept_machines(services)}
    missing = next((number for number in range(1, settings.pool_size + 1) if number not in numbers), None)
    if missing is None:
        return None
    return services.pool.add(
        name_of(missing),
        settings.fly_regions,
        empty_setup(settings),
        volume_name=VOLUME_NAME,
        volume_gb=settings.pool_volume_gb,
    )


def deploy(services: PoolServices, *, forget: str | None = None) -> Deployed:
    """Make what is missing, and remove what is too much or of another size; machines that have a task are left alone.

    forget: an organisation whose database is to stand on no volume any more; those that hold it are made anew.

    FlyError at the first that cannot be done; what was done before it stays, and the next call goes on.
    """
    app, settings = services.pool.check_app(), services.settings
    changed: list[str] = []
    removed: list[str] = []
    busy: list[str] = []
    for machine in kept_machines(services):
        if not is_startable(machine) or has_task(machine):
            busy.append(machine.name)
        elif forget is not None and machine.metadata.get(HOLDS) == forget:
            discard(services, machine)
            removed.append(machine.name)
        elif fits(settings, machine, settings.pool_machine_size):
            continue
        elif _is_wanted(services, machine):
            if services.pool.hand_over(machine.id, machine.version, empty_setup(settings, machine)) is not None:
                changed.append(machine.name)
        else:
            discard(services, machine)
            removed.append(machine.name)
    made = _fill(services)
    volumes = remove_stray_volumes(services)
    return Deployed(
        app=app,
        wanted=settings.pool_size,
        made=tuple(made),
        changed=tuple(changed),
        removed=tuple(removed),
        busy=tuple(busy),
        removed_volumes=tuple(volumes),
    )


def _fill(services: PoolServices) -> list[str]:
    made: list[str] = []
    while len(made) < services.settings.pool_size:
        machine = add_one(services)
        if machine is None:
            break
        made.append(machine.name)
    return made


def _is_wanted(services: PoolServices, machine: MachineInfo) -> bool:
    """Whether nothing but its image is wrong."""
    settings = services.settings
    wanted = 1 <= number_of(machine) <= settings.pool_size and machine.size == settings.pool_machine_size
    return wanted and not same_image(machine.image, settings.machine_image)
