"""What machines of each size were measured to do: the figures that planning prefers to those of the settings."""

from datetime import datetime
from statistics import median

from pydantic import Field

from mailtide.contracts.base import Contract, TaskKind, new_token
from mailtide.machines import MachineSize

MAX_SAMPLES = 9
"""Samples that are kept of each size and kind of task; the median of so many shrugs four odd ones off."""


class Sample(Contract):
    """One task that a machine finished, or one measurement of `mailtide calibrate`."""

    source: str = Field(max_length=64)
    """Run and task, or the name of a measurement: the same source counts once."""
    kind: TaskKind
    at: datetime
    contacts: int
    contacts_per_s: dict[str, float] = Field(default_factory=dict)
    """By step of the pass; empty where the contacts were too few to tell."""
    boot_s: float | None = None
    transfer_bytes_per_s: float | None = None


class MachineFigures(Contract):
    """One size of machines: its last samples, oldest first."""

    size: MachineSize
    samples: tuple[Sample, ...] = ()

    @property
    def boot_s(self) -> float | None:
        """Median seconds from launch to the program's first line."""
        return _median([sample.boot_s for sample in self.samples if sample.boot_s is not None])

    @property
    def transfer_bytes_per_s(self) -> float | None:
        """Median bytes a second between bucket and machine."""
        found = [sample.transfer_bytes_per_s for sample in self.samples if sample.transfer_bytes_per_s is not None]
        return _median(found)

    def contacts_per_s(self, kind: TaskKind) -> dict[str, float]:
        """Median contacts a second by step of this kind of task; empty where none was measured."""
        found: dict[str, list[float]] = {}
        for sample in self.samples:
            if sample.kind == kind:
                for step, speed in sample.contacts_per_s.items():
                    found.setdefault(step, []).append(speed)
        return {step: median(speeds) for step, speeds in found.items()}


class Calibration(Contract):
    """calibration/machines.json: all sizes."""

    token: str = Field(default_factory=new_token)
    machines: tuple[MachineFigures, ...] = ()

    def of(self, size: MachineSize) -> MachineFigures:
        """The figures of one size; without samples when it was never measured."""
        return next((machine for machine in self.machines if machine.size == size), MachineFigures(size=size))

    def with_sample(self, size: MachineSize, sample: Sample) -> "Calibration":
        """With one more sample, the oldest of its kind forgotten when there are too many."""
        before = self.of(size).samples
        alike = [old for old in before if old.kind == sample.kind and old.source != sample.source]
        kept = {id(old) for old in alike[-(MAX_SAMPLES - 1) :]}
        samples = tuple(old for old in before if old.kind != sample.kind or id(old) in kept)
        changed = MachineFigures(size=size, samples=(*samples, sample))
        others = tuple(machine for machine in self.machines if machine.size != size)
        return Calibration(machines=(*others, changed))


def _median(values: list[float]) -> float | None:
    return median(values) if values else None
