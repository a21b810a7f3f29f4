"""The volumes of kept machines: each goes with its machine, and none stays without one."""

from contextlib import suppress

from mailtide.errors import FlyError
from mailtide.machines import MachineInfo
from mailtide.runs.pool.kept import VOLUME_NAME, PoolServices
from mailtide.runs.store import age_s

NEW_VOLUME_S = 600
"""A volume is made before its machine."""


def discard(services: PoolServices, machine: MachineInfo) -> None:
    """Destroy a machine, with its volume if it has one. A volume that Fly still holds for it goes in a later round."""
    services.machines.destroy(machine.id)
    if machine.volume is not None:
        with suppress(FlyError):
            services.pool.remove_volume(machine.volume)


def remove_stray_volumes(services: PoolServices) -> list[str]:
    """Remove the pool's volumes that belong to no machine (any more), and return their ids: they cost, and hold people's
    data. One that is new may be about to get its machine."""
    removed = []
    for volume in services.pool.volumes():
        stray = volume.name == VOLUME_NAME and volume.machine_id is None and volume.created_at is not None
        if stray and volume.created_at and age_s(services.clock.now(), volume.created_at) > NEW_VOLUME_S:
            services.pool.remove_volume(volume.id)
            removed.append(volume.id)
    return removed
