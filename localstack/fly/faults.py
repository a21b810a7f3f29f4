"""The ways in which the server fails on demand, and a client that plants them.

Every fault has a `kind`, a filter for what it strikes, and `count`: how often it strikes, null for always.
"""

from typing import Annotated, Any, Literal, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt, TypeAdapter

Action = Literal[
    "create",
    "get",
    "list",
    "update",
    "destroy",
    "start",
    "stop",
    "restart",
    "signal",
    "wait",
    "events",
    "versions",
    "lease_get",
    "lease_acquire",
    "lease_release",
    "metadata",
    "cordon",
    "app_get",
    "volume_create",
    "volume_list",
    "volume_get",
    "volume_delete",
]
When = Literal["before", "after"]
"""Before or after the request has taken effect."""


class _Fault(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    count: PositiveInt | None = 1


class _RequestFault(_Fault):
    """Strikes requests. path: a shell pattern; machine_name, region and memory_mb: of a create, or the machine's."""

    action: Action | None = None
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    path: str = "*"
    region: str | None = None
    machine_name: str = "*"
    memory_mb: int | None = None


class RateLimited(_RequestFault):
    """429 resource_exhausted; nothing is done."""

    kind: Literal["rate_limited"] = "rate_limited"
    retry_after_s: PositiveInt | None = None


class ServerError(_RequestFault):
    """A 5xx."""

    kind: Literal["server_error"] = "server_error"
    status: Annotated[int, Field(ge=500, le=599)] = 500
    when: When = "before"


class TimeOut(_RequestFault):
    """No answer for hang_s seconds, then the connection is dropped."""

    kind: Literal["time_out"] = "time_out"
    hang_s: NonNegativeFloat = 60.0
    when: When = "before"


class Dropped(_RequestFault):
    """The connection is reset instead of an answer."""

    kind: Literal["dropped"] = "dropped"
    when: When = "before"


class NotFound(_RequestFault):
    """404, though the thing may exist."""

    kind: Literal["not_found"] = "not_found"


class Unauthorized(_RequestFault):
    """401, as when a token has been revoked."""

    kind: Literal["unauthorized"] = "unauthorized"


class NoCapacity(_RequestFault):
    """No room for a create (or another action), in one of the API's four wordings."""

    kind: Literal["no_capacity"] = "no_capacity"
    action: Action | None = "create"
    wording: Literal["insufficient_capacity", "aborted", "volume_placement_capacity", "over_quota"] = (
        "insufficient_capacity"
    )


class _MachineFault(_Fault):
    """Strikes machines when they are created, or given other metadata by an update. machine_name: a shell pattern; metadata:
    pairs that it must have."""

    machine_name: str = "*"
    metadata: dict[str, str] = {}


class CrashOnBoot(_MachineFault):
    """Exits before the entry point runs; is never seen started."""

    kind: Literal["crash_on_boot"] = "crash_on_boot"
    exit_code: Annotated[int, Field(ge=1, le=255)] = 1


class ExitCode(_MachineFault):
    """Reports this exit code: once the entry point has ended or, with after_s, by cutting it off after that time."""

    kind: Literal["exit_code"] = "exit_code"
    exit_code: Annotated[int, Field(ge=0, le=255)]
    after_s: NonNegativeFloat | None = None


class OutOfMemory(_MachineFault):
    """Killed by the kernel for want of memory: SIGKILL, and oom_killed in the exit event."""

    kind: Literal["out_of_memory"] = "out_of_memory"
    after_s: NonNegativeFloat = 0.0


class Kill(_MachineFault):
    """SIGKILL after a time; exit code 137."""

    kind: Literal["kill"] = "kill"
    after_s: NonNegativeFloat = 0.0


class Hang(_MachineFault):
    """Started, but does nothing for ever: never reaches its entry point or, with after_s, is frozen (SIGSTOP) then."""

    kind: Literal["hang"] = "hang"
    after_s: NonNegativeFloat | None = None


class Vanish(_MachineFault):
    """The process is killed and the machine forgotten: 404, no events, not in any list."""

    kind: Literal["vanish"] = "vanish"
    after_s: NonNegativeFloat = 0.0


class SlowBoot(_MachineFault):
    """Stays `starting` for so long."""

    kind: Literal["slow_boot"] = "slow_boot"
    delay_s: NonNegativeFloat


class Hidden(_MachineFault):
    """404 and absent from lists for so long after its creation, though its name is taken and it runs."""

    kind: Literal["hidden"] = "hidden"
    for_s: NonNegativeFloat


class MemoryLimit(_MachineFault):
    """The guest's memory_mb really limits the process (its address space)."""

    kind: Literal["memory_limit"] = "memory_limit"


RequestFault = RateLimited | ServerError | TimeOut | Dropped | NotFound | Unauthorized | NoCapacity
MachineFault = CrashOnBoot | ExitCode | OutOfMemory | Kill | Hang | Vanish | SlowBoot | Hidden | MemoryLimit
Fault = Annotated[RequestFault | MachineFault, Field(discriminator="kind")]
FAULT: TypeAdapter[RequestFault | MachineFault] = TypeAdapter(Fault)


class FaultClient:
    """Plants faults in a running server. `origin`: its address without /v1, such as http://127.0.0.1:4280."""

    def __init__(self, origin: str) -> None:
        # The server closes connections that rest, at times just when one is used again.
        self._http = httpx.Client(base_url=origin, timeout=10.0, limits=httpx.Limits(max_keepalive_connections=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def plant(self, fault: RequestFault | MachineFault) -> str:
        """Plant one fault; returns its id."""
        answer = self._http.post("/_faults", json=fault.model_dump()).raise_for_status().json()
        return str(answer["id"])

    def remove(self, fault_id: str | None = None) -> None:
        """Remove one fault, or all."""
        self._http.delete(f"/_faults/{fault_id}" if fault_id else "/_faults").raise_for_status()

    def planted(self) -> list[dict[str, Any]]:
        """The faults that can still strike: `id`, `fault`, `left` (null for always) and `struck`."""
        return self._rows("/_faults")

    def machines(self) -> list[dict[str, Any]]:
        """Every machine ever created, vanished ones too: id, name, state, pid (null when nothing runs), log, and the kinds
        of its faults: all, and those that struck."""
        return self._rows("/_machines")

    def requests(self) -> list[dict[str, Any]]:
        """Every API request so far: action, method, path, query, status (null: none was sent), fault (its id)."""
        return self._rows("/_requests")

    def volumes(self) -> list[dict[str, Any]]:
        """Every volume that stands: id, app, name, attached_machine_id, and the folder that holds what is on it."""
        return self._rows("/_volumes")

    def _rows(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._http.get(path).raise_for_status().json()
        return rows
