"""What every use case of a run is given, and what it says of what it did."""

from dataclasses import dataclass, field

from mailtide.ports import Announcer, Bucket, Clock, MachineHost, Queues
from mailtide.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The ports and the settings."""

    bucket: Bucket
    queues: Queues
    machines: MachineHost
    announcer: Announcer
    clock: Clock
    settings: Settings


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one call did, for the log line and the metrics: a verb in the past tense and its facts."""

    action: str
    org: str = ""
    run: str = ""
    details: dict[str, object] = field(default_factory=dict)
