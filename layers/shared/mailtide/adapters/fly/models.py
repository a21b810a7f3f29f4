"""The shapes of the Fly Machines API that mailtide uses.

Requests refuse unknown fields; answers ignore them, and take null where Fly sends it in spite of its specification.
Source: Fly's OpenAPI specification, and its documentation for exit events.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mailtide.machines import CACHE_PATH, MachineInfo, MachineRequest, MachineSize, Setup, VolumeInfo


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Guest(_Request):
    """`config.guest`: always with memory_mb, since the default is 256 MB a shared processor."""

    cpu_kind: str
    cpus: int
    memory_mb: int


class Restart(_Request):
    """`config.restart`: "no" must be said, the default is on-failure."""

    policy: str = "no"


class Mount(_Request):
    """One of `config.mounts`: a volume by its id."""

    volume: str
    path: str = CACHE_PATH


class Rootfs(_Request):
    """`config.rootfs`: where it must be larger than Fly makes it."""

    size_gb: int


class Init(_Request):
    """`config.init`: what is run in the place of the image's entry point."""

    exec: tuple[str, ...]


class CreateConfig(_Request):
    """`config` of a machine to create."""

    image: str
    guest: Guest
    env: dict[str, str] = Field(default={}, repr=False)
    metadata: dict[str, str] = {}
    auto_destroy: bool = True
    restart: Restart = Restart()
    mounts: tuple[Mount, ...] | None = None
    init: Init | None = None
    rootfs: Rootfs | None = None

    @classmethod
    def kept(cls, setup: Setup, volume: str | None) -> "CreateConfig":
        """Of a machine that stops when its program ends, and stays."""
        return cls(
            image=setup.image,
            guest=Guest(**setup.size.model_dump()),
            env=dict(setup.env),
            metadata=dict(setup.metadata),
            auto_destroy=False,
            mounts=(Mount(volume=volume),) if volume else None,
            init=Init(exec=setup.command) if setup.command else None,
        )


class CreateMachine(_Request):
    """The body of a create; region None leaves the choice to Fly."""

    name: str
    region: str | None = None
    config: CreateConfig
    skip_launch: bool | None = None

    @classmethod
    def of(cls, request: MachineRequest, region: str | None, size: MachineSize) -> "CreateMachine":
        """The body for one region and one size of a request."""
        config = CreateConfig(
            image=request.image,
            guest=Guest(**size.model_dump()),
            env=dict(request.env),
            metadata=dict(request.metadata),
            auto_destroy=request.auto_destroy,
            rootfs=Rootfs(size_gb=request.rootfs_gb) if request.rootfs_gb else None,
        )
        return cls(name=request.name, region=region, config=config)


class UpdateMachine(_Request):
    """The body of an update; current_version: the version that it may replace. The machine is not started."""

    config: CreateConfig
    current_version: str
    skip_launch: bool = True


class CreateVolume(_Request):
    """The body of a volume's creation. Without snapshots: what is on it can be fetched again, and is people's data."""

    name: str
    region: str
    size_gb: int
    encrypted: bool = True
    auto_backup_enabled: bool = False


class ExitEvent(_Answer):
    """How a machine's main process ended; exit_code is 128 + n after signal n. Fly leaves out what is 0 or false."""

    exit_code: int = 0
    oom_killed: bool = False
    requested_stop: bool = False
    restarting: bool = False
    exited_at: datetime | None = None

    @field_validator("exit_code", "oom_killed", "requested_stop", "restarting", mode="before")
    @classmethod
    def _null_is_zero(cls, value: object) -> object:
        return 0 if value is None else value


class MachineEvent(_Answer):
    """One event of a machine; timestamp in milliseconds since 1970. `request` may be null."""

    id: str = ""
    type: str = ""
    status: str = ""
    source: str = ""
    timestamp: int = 0
    request: dict[str, Any] | None = None

    @property
    def exit(self) -> ExitEvent | None:
        """What it tells of an exit (`request.MonitorEvent.exit_event` or `request.exit_event`), or None."""
        request = self.request or {}
        monitor = request.get("MonitorEvent") or {}
        found = (monitor.get("exit_event") if isinstance(monitor, dict) else None) or request.get("exit_event")
        try:
            return ExitEvent.model_validate(found) if found else None
        except ValidationError:
            return None

    @property
    def at(self) -> datetime | None:
        """When it happened, UTC."""
        return datetime.fromtimestamp(self.timestamp / 1000, UTC) if self.timestamp else None


class GuestAnswer(_Answer):
    """`config.guest` as Fly returns it."""

    cpu_kind: str | None = None
    cpus: int | None = None
    memory_mb: int | None = None


class MountAnswer(_Answer):
    """One of `config.mounts` as Fly returns it."""

    volume: str | None = None


class ConfigAnswer(_Answer):
    """`config` as Fly returns it; the environment is not kept."""

    image: str | None = None
    guest: GuestAnswer | None = None
    metadata: dict[str, str] | None = None
    auto_destroy: bool | None = None
    mounts: list[MountAnswer] | None = None

    @property
    def volume(self) -> str | None:
        """Id of the first volume."""
        return next((mount.volume for mount in self.mounts or [] if mount.volume), None)


class Machine(_Answer):
    """One machine as Fly describes it."""

    id: str
    name: str = ""
    state: str = ""
    region: str = ""
    instance_id: str = ""
    config: ConfigAnswer | None = None
    incomplete_config: ConfigAnswer | None = None
    events: list[MachineEvent] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @field_validator("created_at", "updated_at", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @property
    def info(self) -> MachineInfo:
        """The same in mailtide's own words."""
        events = self.events or []
        config = self.config or self.incomplete_config or ConfigAnswer()
        last = last_exit(events)
        if last is not None and last.timestamp < max(_last_ms(events, "start"), _last_ms(events, "update")):
            last = None
        exited = last.exit if last else None
        return MachineInfo(
            id=self.id,
            name=self.name,
            state=self.state,
            region=self.region,
            version=self.instance_id,
            image=config.image or "",
            volume=config.volume,
            size=_size_of(config.guest),
            metadata=config.metadata or {},
            created_at=self.created_at,
            updated_at=self.updated_at,
            started_at=_last_start(events),
            stopped_at=(exited.exited_at or last.at) if last and exited else None,
            exit_code=exited.exit_code if exited else None,
            oom_killed=exited.oom_killed if exited else False,
        )

    @property
    def has_run(self) -> bool:
        """Whether its program has ended since the machine was last set up."""
        ended = last_exit(self.events or [])
        return ended is not None and ended.timestamp >= _last_ms(self.events or [], "update")


class Volume(_Answer):
    """One volume as Fly describes it."""

    id: str
    name: str = ""
    region: str = ""
    size_gb: int = 0
    state: str = ""
    attached_machine_id: str | None = None
    created_at: datetime | None = None

    @field_validator("created_at", "attached_machine_id", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @property
    def info(self) -> VolumeInfo:
        """The same in mailtide's own words."""
        return VolumeInfo(
            id=self.id,
            name=self.name,
            region=self.region,
            size_gb=self.size_gb,
            machine_id=self.attached_machine_id,
            created_at=self.created_at,
        )


class App(_Answer):
    """The app as Fly describes it."""

    name: str
    status: str = ""


class Lease(_Answer):
    """A lease on a machine; expires_at in seconds since 1970. Also read from inside `data`, as Fly really sends it."""

    nonce: str = Field(repr=False)
    expires_at: int
    owner: str = ""
    version: str = ""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: object) -> object:
        inner = value.get("data") if isinstance(value, dict) else None
        return inner if isinstance(inner, dict) else value


class WaitAnswer(_Answer):
    """The answer of wait; state and event are missing from older servers."""

    ok: bool = False
    state: str | None = None
    version: str | None = None
    event_id: str | None = None


def last_exit(events: Sequence[MachineEvent]) -> MachineEvent | None:
    """The latest event that tells of an exit, in whatever order they come; None if there is none."""
    exits = [event for event in events if event.exit is not None]
    return max(exits, key=lambda event: event.timestamp, default=None)


def _last_start(events: Sequence[MachineEvent]) -> datetime | None:
    times = [at for event in events if event.type == "start" and event.status == "started" and (at := event.at)]
    return max(times, default=None)


def _last_ms(events: Sequence[MachineEvent], kind: str) -> int:
    return max((event.timestamp for event in events if event.type == kind), default=0)


def _size_of(guest: GuestAnswer | None) -> MachineSize | None:
    try:
        return MachineSize.model_validate(guest.model_dump()) if guest else None
    except ValidationError:
        return None
