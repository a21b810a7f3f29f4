"""The services of a use case with everything in memory."""

from dataclasses import dataclass, field

from mailtide.runs.services import Services
from mailtide.settings import Settings
from tests.support.memory_bucket import MemoryBucket
from tests.support.memory_clock import MemoryClock
from tests.support.memory_machines import MemoryMachines
from tests.support.memory_queues import MemoryAnnouncer, MemoryQueues


@dataclass
class MemoryServices:
    """The fakes themselves, and what a use case is given of them."""

    settings: Settings = field(default_factory=lambda: Settings(bucket="memory"))

    def __post_init__(self) -> None:
        self.clock = MemoryClock()
        self.bucket = MemoryBucket(self.clock)
        self.queues = MemoryQueues(self.clock)
        self.machines = MemoryMachines(self.clock)
        self.announcer = MemoryAnnouncer()
        self.services = Services(
            bucket=self.bucket,
            queues=self.queues,
            machines=self.machines,
            pool=self.machines,
            announcer=self.announcer,
            clock=self.clock,
            settings=self.settings,
        )
