"""What every use case of a run is given, and what it says of what it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailtide.errors import SettingsError
from mailtide.ports import Announcer, Bucket, Clock, Hooks, MachineHost, Queues
from mailtide.settings import Settings


class _NoHooks:
    """Where nobody sends webhooks."""

    def signing_key(self) -> bytes:
        """Always SettingsError."""
        raise SettingsError("Webhooks are not sent from here.")

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Always SettingsError."""
        del url, body, headers
        raise SettingsError("Webhooks are not sent from here.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The ports and the settings."""

    bucket: Bucket
    queues: Queues
    machines: MachineHost
    announcer: Announcer
    clock: Clock
    settings: Settings
    hooks: Hooks = field(default_factory=_NoHooks)


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one call did, for the log line and the metrics: a verb in the past tense and its facts."""

    action: str
    org: str = ""
    run: str = ""
    details: dict[str, object] = field(default_factory=dict)
