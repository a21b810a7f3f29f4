"""What mailtide asks of a machine host, and what it hears back; no HTTP here.

These are the values of the MachineHost port. The Fly Machines API behind it is in mailtide.adapters.fly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

GONE_STATES = frozenset({"destroying", "destroyed"})
"""States that a machine does not come back from."""

CACHE_PATH = "/data"
"""Where a machine finds its volume."""

IDLE_STATES = frozenset({"created", "stopped", "suspended", "failed"})
"""States of a machine that exists but runs nothing."""


def same_image(found: str, wanted: str) -> bool:
    """Whether a machine has the wanted image: a host may add the digest that a tag stood for."""
    return found == wanted or found.partition("@")[0] == wanted


class MachineSize(BaseModel):
    """Processors and memory of a machine. `memory_mb` is always explicit: the host's default is far too small."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu_kind: Literal["shared", "performance"]
    cpus: Annotated[int, Field(ge=1, le=16)]
    memory_mb: Annotated[int, Field(ge=256)]

    def __str__(self) -> str:
        kind = "shared-cpu" if self.cpu_kind == "shared" else self.cpu_kind
        return f"{kind}-{self.cpus}x, {self.memory_mb} MB"


class MachineRequest(BaseModel):
    """A machine to create. The name is the idempotency key: the same name never gives two live machines.

    regions: in order of preference; empty lets the host choose. sizes: likewise; the next size is tried when no region
    has room for the one before. env: handed to the machine alone; left out of repr, since it holds presigned URLs.
    rootfs_gb: size of its root file system, None for the host's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    regions: tuple[str, ...] = ()
    sizes: Annotated[tuple[MachineSize, ...], Field(min_length=1)]
    image: Annotated[str, Field(min_length=1)]
    env: Annotated[Mapping[str, str], Field(repr=False)] = {}
    metadata: Mapping[str, str] = {}
    auto_destroy: bool = True
    rootfs_gb: Annotated[int, Field(ge=1)] | None = None


class MachineInfo(BaseModel):
    """What the host says of one machine. Times are UTC, and None where the host does not tell.

    size: None when the host left out the configuration. started_at: the latest start. exit_code: of the latest exit since
    then, None before it or when unknown; 128 + n after signal n. oom_killed: whether that exit was the kernel's, for want
    of memory. version: changes with every change of what the machine is set up for. volume: id of the one it has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    state: str
    region: str
    version: str = ""
    image: str = ""
    volume: str | None = None
    size: MachineSize | None = None
    metadata: Mapping[str, str] = {}
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    exit_code: int | None = None
    oom_killed: bool = False

    @property
    def gone(self) -> bool:
        """Whether the machine is destroyed, or about to be."""
        return self.state in GONE_STATES

    @property
    def running(self) -> bool:
        """Whether the machine runs, or is about to."""
        return not self.gone and self.state not in IDLE_STATES


class Setup(BaseModel):
    """What a machine that is kept is set up for: a task, a visit, or nothing.

    command: instead of the image's own entry point; empty for that. env: left out of repr, since it holds presigned URLs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Annotated[str, Field(min_length=1)]
    size: MachineSize
    env: Annotated[Mapping[str, str], Field(repr=False)] = {}
    metadata: Mapping[str, str] = {}
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeInfo:
    """A disk that outlasts the runs of a machine. machine_id: None while it belongs to none."""

    id: str
    name: str
    region: str
    size_gb: int
    machine_id: str | None
    created_at: datetime | None
