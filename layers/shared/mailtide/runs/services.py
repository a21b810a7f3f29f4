"""What every use case of a run is given, and what it says of what it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailtide.errors import SettingsError
from mailtide.machines import MachineInfo, Setup, VolumeInfo
from mailtide.ports import Announcer, Bucket, Clock, Hooks, MachineHost, MachinePool, Queues
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


class _NoPool:
    """Where no machines are kept."""

    def check_app(self) -> str:
        """Always SettingsError."""
        raise SettingsError("No machines are kept from here.")

    def add(
        self, name: str, regions: tuple[str, ...], setup: Setup, *, volume_name: str, volume_gb: int
    ) -> MachineInfo | None:
        """Never one."""
        del name, regions, setup, volume_name, volume_gb
        return None

    def hand_over(
        self, machine_id: str, version: str, setup: Setup, *, otherwise: Setup | None = None
    ) -> MachineInfo | None:
        """Never one."""
        del machine_id, version, setup, otherwise
        return None

    def stop(self, machine_id: str) -> None:
        """There is none."""

    def volumes(self) -> list[VolumeInfo]:
        """None."""
        return []

    def remove_volume(self, volume_id: str) -> None:
        """There is none."""


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
    pool: MachinePool = field(default_factory=_NoPool)


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one call did, for the log line and the metrics: a verb in the past tense and its facts."""

    action: str
    org: str = ""
    run: str = ""
    details: dict[str, object] = field(default_factory=dict)
