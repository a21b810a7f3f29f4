"""New kept machines: one more after a launch that found none free, all of them for `mailtide fly deploy`."""

from mailtide.machines import MachineInfo
from mailtide.runs.pool.kept import VOLUME_NAME, PoolServices, empty_setup, kept_machines, name_of, number_of


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


def fill(services: PoolServices) -> list[MachineInfo]:
    """All missing machines. FlyError at the first that cannot be made; those before it stay."""
    made = []
    for _ in range(services.settings.pool_size):
        machine = add_one(services)
        if machine is None:
            break
        made.append(machine)
    return made
