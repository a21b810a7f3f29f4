"""A machine host in memory: names are unique among the living, the dead are remembered, creation can be refused."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from mailtide.errors import FlyError, NotFoundError
from mailtide.machines import MachineInfo, MachineRequest, MachineSize
from mailtide.ports import Clock


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

    @property
    def alive(self) -> bool:
        return self.state == "started" and not self.forgotten

    def end(self, *, exit_code: int | None, oom_killed: bool = False) -> None:
        """It stops and, by auto_destroy, is gone."""
        self.state, self.exit_code, self.oom_killed = "destroyed", exit_code, oom_killed

    def info(self) -> MachineInfo:
        return MachineInfo(
            id=self.id,
            name=self.request.name,
            state=self.state,
            region="iad",
            size=self.size,
            metadata=self.request.metadata,
            created_at=self.created_at,
            exit_code=self.exit_code,
            oom_killed=self.oom_killed,
        )


@dataclass
class MemoryMachines:
    """Implements mailtide.ports.MachineHost.

    refusing: while true, creation raises FlyError. on_created: told of each new machine. hidden: ids that `get` does
    not know yet, as happens for seconds after a creation.
    """

    clock: Clock
    refusing: bool = False
    on_created: Callable[[MemoryMachine], None] = lambda _: None
    machines: dict[str, MemoryMachine] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)

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
            for machine in self.living
            if all(machine.request.metadata.get(key) == value for key, value in metadata.items())
        ]

    def destroy(self, machine_id: str) -> None:
        machine = self.machines.get(machine_id)
        if machine is not None and machine.alive:
            machine.end(exit_code=None)
