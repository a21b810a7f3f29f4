"""The faults planted in a server, and which of them strikes."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

from localstack.fly.faults import MachineFault, RequestFault


@dataclass(frozen=True)
class Target:
    """A request as faults see it; name, region and memory_mb of the machine meant, where there is one."""

    action: str
    method: str
    path: str
    name: str = ""
    region: str | None = None
    memory_mb: int | None = None


@dataclass
class Planted:
    """A fault and how often it has struck."""

    id: str
    fault: RequestFault | MachineFault
    struck: int = 0

    @property
    def left(self) -> int | None:
        return None if self.fault.count is None else self.fault.count - self.struck

    def row(self) -> dict[str, Any]:
        return {"id": self.id, "fault": self.fault.model_dump(), "left": self.left, "struck": self.struck}


@dataclass
class FaultBook:
    """All planted faults, oldest first."""

    _planted: dict[str, Planted] = field(default_factory=dict)
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    def plant(self, fault: RequestFault | MachineFault) -> Planted:
        planted = Planted(str(next(self._ids)), fault)
        self._planted[planted.id] = planted
        return planted

    def remove(self, fault_id: str | None) -> bool:
        """Remove one, or all with None; False when there is no such fault."""
        if fault_id is None:
            self._planted.clear()
            return True
        return self._planted.pop(fault_id, None) is not None

    def rows(self) -> list[dict[str, Any]]:
        return [planted.row() for planted in self._planted.values() if planted.left != 0]

    def for_request(self, target: Target) -> tuple[str, RequestFault] | None:
        """The oldest fault that strikes this request; counts it."""
        for planted in self._planted.values():
            fault = planted.fault
            if isinstance(fault, RequestFault) and planted.left != 0 and _strikes(fault, target):
                planted.struck += 1
                return planted.id, fault
        return None

    def for_machine(self, name: str, metadata: dict[str, str]) -> list[MachineFault]:
        """Every fault that strikes this new machine; counts them."""
        found = []
        for planted in self._planted.values():
            fault = planted.fault
            if isinstance(fault, RequestFault) or planted.left == 0 or not fnmatchcase(name, fault.machine_name):
                continue
            if fault.metadata.items() <= metadata.items():
                planted.struck += 1
                found.append(fault)
        return found


def _strikes(fault: RequestFault, target: Target) -> bool:
    wanted = (
        (fault.action, target.action),
        (fault.method, target.method),
        (fault.region, target.region),
        (fault.memory_mb, target.memory_mb),
    )
    return (
        all(want is None or want == have for want, have in wanted)
        and fnmatchcase(target.path, fault.path)
        and fnmatchcase(target.name, fault.machine_name)
    )
