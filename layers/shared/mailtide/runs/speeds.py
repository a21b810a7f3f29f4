"""How fast machines are: as they were measured where they were, else by the settings. Pure arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailtide.contracts import Calibration, TaskKind
from mailtide.machines import MachineSize
from mailtide.settings import Settings, Step

STEPS: Mapping[TaskKind, tuple[Step, ...]] = {
    "whole": ("read", "decide", "compare", "write"),
    "chunk": ("read", "decide"),
    "merge": ("parts", "settle", "compare", "write"),
}
"""Steps of each kind of task, for machines that were never measured."""


@dataclass(frozen=True, slots=True)
class Speeds:
    """Seconds of what machines do."""

    settings: Settings
    calibration: Calibration = field(default_factory=Calibration)

    def pass_s(self, kind: TaskKind, size: MachineSize, contacts: int) -> float:
        """The pass of a task, without transfers."""
        measured = self.calibration.of(size).contacts_per_s(kind)
        if measured:
            return sum(contacts / speed for speed in measured.values())
        cpu_s = sum(contacts / self.settings.steps_contacts_per_s[step] for step in STEPS[kind])
        return cpu_s * self._wall_share(size)

    def _wall_share(self, size: MachineSize) -> float:
        """Seconds on the clock for a second of one processor's time, by Amdahl's law. A shared machine's processors have a
        quota together, which counts when it is less than they could use."""
        shared = self.settings.parallel_share
        by_law = (1 - shared) + shared / size.cpus
        sure = self.settings.shared_cpu_share if size.cpu_kind == "shared" else 1.0
        return max(by_law, 1 / (size.cpus * sure))

    def boot_s(self, size: MachineSize) -> float:
        """From launch to the program's first line."""
        measured = self.calibration.of(size).boot_s
        return self.settings.boot_s if measured is None else measured

    def transfer_s(self, size: MachineSize, size_bytes: float) -> float:
        """Between bucket and machine, either way."""
        measured = self.calibration.of(size).transfer_bytes_per_s
        return size_bytes / (measured or self.settings.transfer_bytes_per_s)
