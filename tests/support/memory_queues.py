"""Queues and an announcer that only write down what they are given."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mailtide.contracts import Message, RunFinished
from mailtide.ports import Clock


@dataclass
class Envelope:
    """One message on its queue."""

    message: Message
    ready_at: datetime
    receives: int = 0


@dataclass
class MemoryQueues:
    """Implements mailtide.ports.Queues."""

    clock: Clock
    waiting: list[Envelope] = field(default_factory=list)

    def send(self, message: Message, *, delay_s: int = 0) -> None:
        assert 0 <= delay_s <= 900
        self.waiting.append(Envelope(message, self.clock.now() + timedelta(seconds=delay_s)))


@dataclass
class MemoryAnnouncer:
    """Implements mailtide.ports.Announcer."""

    events: list[RunFinished] = field(default_factory=list)

    def run_finished(self, event: RunFinished) -> None:
        self.events.append(event)
