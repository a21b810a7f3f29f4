"""A machine host in memory: names are unique among the living, the dead are remembered, creation can be refused; machines
that are kept stop when their program ends, and change hands by version."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from mailtide.errors import FlyError, NotFoundError, TransientError
from mailtide.machines import MachineInfo, MachineRequest, MachineSize, Setup, VolumeInfo
from mailtide.ports import Clock


class LostAnswerError(FlyError, TransientError):
    """The machine is set up, and whether it was started nobody has heard."""


class RefusedError(FlyError):
    """The host will not create this machine, now or later."""


@dataclass
class MemoryMachine:
    """One machine; whoever plays its program moves its state."""

    id: str
    request: MachineRequest
    size: MachineSize
    created_at: datetime
    state: str = "started"
    exit_code: int | None = None
    oom_killed: bool = False
    forgotten: bool = False
    """Vanished: the host knows nothing of it any more."""
    volume: str | None = None
    version: int = 1
    updated_at: datetime | None = None
    started_at: datetime | None = None

    @property
    def alive(self) -> bool:
        return self.state == "started" and not self.forgotten

    def end(self, *, exit_code: int | None, oom_killed: bool = False) -> None:
        """It stops and, by auto_destroy, is gone."""
        state = "destroyed" if self.request.auto_destroy else "stopped"
        self.state, self.exit_code, self.oom_killed = state, exit_code, oom_killed

    @property
    def is_stopped(self) -> bool:
        """Whether it stands there without running."""
        return self.state in {"created", "stopped"} and not self.forgotten

    def set_up(self, setup: Setup, now: datetime) -> None:
        """Another configuration, and another version."""
        changed = {"image": setup.image, "env": setup.env, "metadata": setup.metadata}
        self.request = self.request.model_copy(update=changed)
        self.version, self.updated_at, self.exit_code, self.oom_killed = self.version + 1, now, None, False

    def info(self) -> MachineInfo:
        return MachineInfo(
            id=self.id,
            name=self.request.name,
            state=self.state,
            region="iad",
            version=str(self.version),
            image=self.request.image,
            volume=self.volume,
            size=self.size,
            metadata=self.request.metadata,
            created_at=self.created_at,
            updated_at=self.updated_at,
            started_at=self.started_at,
            exit_code=self.exit_code,
            oom_killed=self.oom_killed,
        )


@dataclass
class MemoryMachines:
    """Implements mailtide.ports.MachineHost and mailtide.ports.MachinePool.

    refusing: while true, creation raises FlyError. on_created: told of each new machine, and of each start of one that is
    kept. hidden: ids that `get` does not know yet, as happens for seconds after a creation. full: ids whose host has no room
    for a start. lost_starts: so many hand-overs break off between setup and start. closed: no machine may change hands.
    """

    clock: Clock
    refusing: bool = False
    on_created: Callable[[MemoryMachine], None] = lambda _: None
    machines: dict[str, MemoryMachine] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)
    lost_starts: int = 0
    closed: bool = False
    disks: dict[str, VolumeInfo] = field(default_factory=dict)
    handed: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """(id, version before, metadata) of each change of hands."""

    @property
    def living(self) -> list[MemoryMachine]:
        return [machine for machine in self.machines.values() if machine.alive]

    def create(self, request: MachineRequest) -> MachineInfo:
        for machine in self.living:
            if machine.request.name == request.name:
                return machine.info()
        if self.refusing:
            raise RefusedError("422 invalid_config: the image does not exist")
        name = f"m{len(self.machines) + 1:04}"
        machine = MemoryMachine(name, request, request.sizes[0], self.clock.now())
        self.machines[name] = machine
        self.on_created(machine)
        return machine.info()

    def get(self, machine_id: str) -> MachineInfo:
        machine = self.machines.get(machine_id)
        if machine is None or machine.forgotten or machine_id in self.hidden:
            raise NotFoundError(f"machine {machine_id}")
        return machine.info()

    def find(self, metadata: dict[str, str]) -> list[MachineInfo]:
        return [
            machine.info()
            for machine in self.machines.values()
            if (machine.alive or machine.is_stopped)
            and all(machine.request.metadata.get(key) == value for key, value in metadata.items())
        ]

    def destroy(self, machine_id: str) -> None:
        machine = self.machines.get(machine_id)
        if machine is not None and (machine.alive or machine.is_stopped):
            machine.state, machine.exit_code = "destroyed", None

    def check_app(self) -> str:
        return "memory"

    def add(
        self, name: str, regions: tuple[str, ...], setup: Setup, *, volume_name: str, volume_gb: int
    ) -> MachineInfo | None:
        if any(other.request.name == name and other.state != "destroyed" for other in self.machines.values()):
            return None
        if self.refusing:
            raise RefusedError("422 invalid_config: the image does not exist")
        machine_id, now = f"m{len(self.machines) + 1:04}", self.clock.now()
        request = MachineRequest(
            name=name,
            regions=regions,
            sizes=(setup.size,),
            image=setup.image,
            env=setup.env,
            metadata=setup.metadata,
            auto_destroy=False,
        )
        machine = MemoryMachine(machine_id, request, setup.size, now, state="created", updated_at=now)
        if volume_gb:
            machine.volume = f"vol_{machine_id}"
            disk = VolumeInfo(
                id=machine.volume,
                name=volume_name,
                region="iad",
                size_gb=volume_gb,
                machine_id=machine_id,
                created_at=now,
            )
            self.disks[disk.id] = disk
        self.machines[machine_id] = machine
        return machine.info()

    def hand_over(
        self, machine_id: str, version: str, setup: Setup, *, otherwise: Setup | None = None
    ) -> MachineInfo | None:
        if self.closed:
            raise RefusedError("403: this token may not take leases")
        machine, now = self.machines.get(machine_id), self.clock.now()
        if machine is None or machine.forgotten or machine.state == "destroyed":
            return None
        if dict(machine.request.metadata) != dict(setup.metadata) or machine.request.image != setup.image:
            if str(machine.version) != version or not machine.is_stopped:
                return None
            self.handed.append((machine_id, version, dict(setup.metadata)))
            machine.set_up(setup, now)
        if otherwise is None or machine.alive or machine.exit_code is not None:
            return machine.info()
        if self.lost_starts:
            self.lost_starts -= 1
            raise LostAnswerError("no answer")
        if machine_id in self.full:
            machine.set_up(otherwise, now)
            return None
        machine.state, machine.started_at = "started", now
        self.on_created(machine)
        return machine.info()

    def stop(self, machine_id: str) -> None:
        machine = self.machines.get(machine_id)
        if machine is not None and machine.alive:
            machine.end(exit_code=130)

    def volumes(self) -> list[VolumeInfo]:
        return [self._attached(disk) for disk in self.disks.values()]

    def remove_volume(self, volume_id: str) -> None:
        disk = self.disks.get(volume_id)
        if disk is not None and self._attached(disk).machine_id is not None:
            raise RefusedError("412 failed_precondition: the volume is attached")
        self.disks.pop(volume_id, None)

    def _attached(self, disk: VolumeInfo) -> VolumeInfo:
        machine = self.machines.get(disk.machine_id or "")
        gone = machine is None or machine.state == "destroyed" or machine.forgotten
        return replace(disk, machine_id=None) if gone else disk
