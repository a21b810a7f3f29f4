"""What a kept machine says of itself: its number, whether it is free, whose database it holds. It all stands in its metadata,
which only changes together with its version."""

import re
from typing import Protocol

from mailtide.machines import CACHE_PATH, MachineInfo, MachineRequest, MachineSize, Setup, same_image
from mailtide.ports import Clock, MachineHost, MachinePool
from mailtide.runs.keys import TryKeys
from mailtide.settings import Settings

ROLE = "mailtide-run"
"""Metadata `role` of every machine that runs of mailtide create; the watcher sweeps what carries it."""
KEPT = "kept"
"""Metadata of a machine that is not gone with its task."""
HOLDS = "holds"
"""Metadata: the organisation whose database stands on its volume."""
LAST = "last"
"""Metadata of an empty one: the task that it had last."""
VISIT = "visit_until"
"""Metadata: until when a person may look around on it, in seconds since 1970."""
CACHE_VARIABLE = "MAILTIDE_CACHE_DIR"
VOLUME_NAME = "mailtide_pool"

_OF_KEPT = {"role": ROLE, KEPT: "yes"}
_NAME = re.compile(r"mailtide-pool-([1-9][0-9]?)")


class PoolServices(Protocol):
    """What looking after the pool needs; `mailtide.runs.services.Services` has it."""

    @property
    def machines(self) -> MachineHost:
        """Where the machines live."""

    @property
    def pool(self) -> MachinePool:
        """Those that are kept."""

    @property
    def settings(self) -> Settings:
        """How many, and which."""

    @property
    def clock(self) -> Clock:
        """The time."""


def kept_machines(services: PoolServices) -> list[MachineInfo]:
    """All kept machines, by number."""
    return sorted(services.machines.find(dict(_OF_KEPT)), key=number_of)


def is_kept(machine: MachineInfo) -> bool:
    """Whether a machine belongs to the pool."""
    return machine.metadata.get(KEPT) == "yes"


def name_of(number: int) -> str:
    """The name of a kept machine; live names are unique, so the pool never has two of one number."""
    return f"mailtide-pool-{number}"


def number_of(machine: MachineInfo) -> int:
    """From 1; 0 for a name that is none of the pool's."""
    found = _NAME.fullmatch(machine.name)
    return int(found[1]) if found else 0


def is_startable(machine: MachineInfo) -> bool:
    """Whether it stands stopped, so that a start is all it needs."""
    return machine.state in {"created", "stopped"}


def fits(settings: Settings, machine: MachineInfo, size: MachineSize) -> bool:
    """Whether it is one of those that the settings want, and of this size."""
    wanted = 1 <= number_of(machine) <= settings.pool_size
    return wanted and machine.size == size and same_image(machine.image, settings.machine_image)


def has_task(machine: MachineInfo) -> bool:
    """Whether it was given a task, and nothing since."""
    return "run" in machine.metadata


def is_of(machine: MachineInfo, paths: TryKeys) -> bool:
    """Whether it was given the task of this try, and nothing since."""
    wanted = {"org": paths.org, "run": paths.run, "task": paths.task, "try": str(paths.attempt)}
    return wanted.items() <= machine.metadata.items()


def task_setup(request: MachineRequest, machine: MachineInfo, size: MachineSize, holds: str | None) -> Setup:
    """For one task: its environment alone. holds: the organisation whose database it will keep."""
    cache = {CACHE_VARIABLE: CACHE_PATH} if machine.volume else {}
    metadata = {**request.metadata, KEPT: "yes", **_holding(machine, holds)}
    return Setup(image=request.image, size=size, env={**request.env, **cache}, metadata=metadata)


def empty_setup(settings: Settings, machine: MachineInfo | None = None) -> Setup:
    """Without a task: nothing of the last one but its name, and the organisation whose database is held. None: a new one."""
    if machine is None:
        return Setup(image=settings.machine_image, size=settings.pool_machine_size, metadata=_OF_KEPT)
    last = last_task(machine)
    metadata = {**_OF_KEPT, **_holding(machine, machine.metadata.get(HOLDS)), **({LAST: last} if last else {})}
    return Setup(image=settings.machine_image, size=machine.size or settings.pool_machine_size, metadata=metadata)


def last_task(machine: MachineInfo) -> str | None:
    """org/run/task/try of the task that it has, or had last."""
    if not has_task(machine):
        return machine.metadata.get(LAST)
    return "/".join(machine.metadata.get(name, "") for name in ("org", "run", "task", "try"))


def _holding(machine: MachineInfo, org: str | None) -> dict[str, str]:
    return {HOLDS: org} if machine.volume and org else {}
