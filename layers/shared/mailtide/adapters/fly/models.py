"""The shapes of the Fly Machines API that mailtide uses.

Requests refuse unknown fields; answers ignore them, and take null where Fly sends it in spite of its specification.
Source: Fly's OpenAPI specification, and its documentation for exit events.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mailtide.machines import MachineInfo, MachineRequest, MachineSize


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


class CreateConfig(_Request):
    """`config` of a machine to create."""

    image: str
    guest: Guest
    env: dict[str, str] = Field(default={}, repr=False)
    metadata: dict[str, str] = {}
    auto_destroy: bool = True
    restart: Restart = Restart()


class CreateMachine(_Request):
    """The body of a create; region None leaves the choice to Fly."""

    name: str
    region: str | None = None
    config: CreateConfig

    @classmethod
    def of(cls, request: MachineRequest, region: str | None, size: MachineSize) -> "CreateMachine":
        """The body for one region and one size of a request."""
        config = CreateConfig(
            image=request.image,
            guest=Guest(**size.model_dump()),
            env=dict(request.env),
            metadata=dict(request.metadata),
            auto_destroy=request.auto_destroy,
        )
        return cls(name=request.name, region=region, config=config)


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


class ConfigAnswer(_Answer):
    """`config` as Fly returns it; the environment is not kept."""

    image: str | None = None
    guest: GuestAnswer | None = None
    metadata: dict[str, str] | None = None
    auto_destroy: bool | None = None


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
        exited = last.exit if last else None
        return MachineInfo(
            id=self.id,
            name=self.name,
            state=self.state,
            region=self.region,
            size=_size_of(config.guest),
            metadata=config.metadata or {},
            created_at=self.created_at,
            updated_at=self.updated_at,
            started_at=_first_start(events),
            stopped_at=(exited.exited_at or last.at) if last and exited else None,
            exit_code=exited.exit_code if exited else None,
            oom_killed=exited.oom_killed if exited else False,
        )


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


def _first_start(events: Sequence[MachineEvent]) -> datetime | None:
    times = [at for event in events if event.type == "start" and event.status == "started" and (at := event.at)]
    return min(times, default=None)


def _size_of(guest: GuestAnswer | None) -> MachineSize | None:
    try:
        return MachineSize.model_validate(guest.model_dump()) if guest else None
    except ValidationError:
        return None
