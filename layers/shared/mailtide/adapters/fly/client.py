"""A synchronous client for the machines of one Fly app; every method raises FlyError or one of its subclasses."""

import math
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx
from pydantic import SecretStr, TypeAdapter

from mailtide.adapters.fly.errors import FlyConflictError, FlyNotFoundError, FlyUnavailableError
from mailtide.adapters.fly.models import (
    App,
    CreateMachine,
    CreateVolume,
    Lease,
    Machine,
    MachineEvent,
    UpdateMachine,
    Volume,
    WaitAnswer,
)
from mailtide.adapters.fly.retry import RetryPolicy
from mailtide.adapters.fly.wire import Ask, Timeouts, Wire

BASE_URL = "https://api.machines.dev/v1"
MAX_WAIT_S = 60
"""The longest that the API's wait blocks."""

MIN_WAIT_PERIOD_S = 1.0
"""The API's rate limit for waits on one machine, should it answer at once."""

SETTLE_S = 5.0
"""How long after its creation a machine may still answer 404."""

NONCE_HEADER = "fly-machine-lease-nonce"

WaitState = Literal["started", "stopped", "suspended", "destroyed", "failed", "settled"]

_MACHINE = TypeAdapter(Machine)
_MACHINES: TypeAdapter[list[Machine] | None] = TypeAdapter(list[Machine] | None)
_EVENTS: TypeAdapter[list[MachineEvent] | None] = TypeAdapter(list[MachineEvent] | None)
_LEASE = TypeAdapter(Lease)
_WAIT = TypeAdapter(WaitAnswer)
_APP = TypeAdapter(App)
_VOLUME = TypeAdapter(Volume)
_VOLUMES: TypeAdapter[list[Volume] | None] = TypeAdapter(list[Volume] | None)
_AT_VOLUMES = "/volumes"
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


class FlyClient:
    """Machines of one app. Thread-safe; keep one for the life of a process.

    token: never shown in repr, errors or logs. transport: httpx's seam, for tests. Requests that are safe or idempotent
    are tried again by `retry` on 408, 429, 5xx and lost connections; the others only on 429, which does nothing.
    """

    def __init__(
        self,
        app: str,
        token: SecretStr,
        *,
        base_url: str = BASE_URL,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.app = app
        self.retry = retry or RetryPolicy()
        self._wire = Wire(app, token, base_url, timeouts or Timeouts(), transport)

    def __repr__(self) -> str:
        return f"FlyClient({self._wire!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the pooled connections."""
        self._wire.close()

    def create_once(self, body: CreateMachine) -> Machine:
        """Create a machine by one request, whatever its outcome; see launch.create_or_adopt for the safe way.

        Raises FlyNameTakenError when a live machine has the name, FlyNoCapacityError (or FlyQuotaError) without room.
        """
        return self._wire.send(Ask("create", "POST", body=body.model_dump(exclude_none=True)), _MACHINE)

    def get(self, machine_id: str) -> Machine:
        """One machine; a destroyed one is still told of. Raises FlyNotFoundError, also within seconds of creation."""
        return self._retried(Ask("get", "GET", _path(machine_id)), _MACHINE)

    def machines(self, metadata: Mapping[str, str] | None = None, *, include_deleted: bool = False) -> list[Machine]:
        """The machines whose metadata holds all the given pairs; destroyed ones only on demand."""
        query = {f"metadata.{key}": value for key, value in (metadata or {}).items()}
        if include_deleted:
            query["include_deleted"] = "true"
        return self._retried(Ask("list", "GET", query=query), _MACHINES) or []

    def events(self, machine_id: str) -> list[MachineEvent]:
        """What happened to a machine, as the API orders it (latest first)."""
        return self._retried(Ask("events", "GET", _path(machine_id, "events")), _EVENTS) or []

    def wait(
        self, machine_id: str, state: WaitState, *, timeout_s: float, instance_id: str | None = None
    ) -> WaitAnswer | None:
        """Block until the machine is in the state, or None when timeout_s is up.

        Longer waits are cut into the API's 60 s. instance_id: the version meant; Fly wants it for "stopped". A machine
        that destroys itself may never be seen stopped: wait for "destroyed". Raises FlyNotFoundError, but not within
        the first SETTLE_S, since a new machine may not be known everywhere yet.
        """
        began = time.monotonic()
        while (left_s := began + timeout_s - time.monotonic()) > 0:
            slice_s = min(MAX_WAIT_S, math.ceil(left_s))
            asked = time.monotonic()
            try:
                answer = self._wait_slice(machine_id, state, slice_s, instance_id)
            except FlyNotFoundError:
                if time.monotonic() - began > SETTLE_S:
                    raise
                answer = None
            if answer is not None:
                return answer
            time.sleep(max(0.0, min(left_s, asked + MIN_WAIT_PERIOD_S - time.monotonic())))
        return None

    def start(self, machine_id: str, *, nonce: str | None = None) -> None:
        """Start a stopped machine; fine when it runs already. Raises FlyConflictError in any other state."""
        try:
            self.retry.call(lambda: self.start_once(machine_id, nonce=nonce))
        except FlyConflictError:
            if not self.get(machine_id).info.running:
                raise

    def start_once(self, machine_id: str, *, nonce: str | None = None) -> None:
        """Start a machine by one request, whatever its outcome."""
        self._wire.send(Ask("start", "POST", _path(machine_id, "start"), headers=_nonce(nonce)), _ANYTHING)

    def stop(self, machine_id: str, *, nonce: str | None = None) -> None:
        """Stop a machine by its stop signal; fine when it is stopped already."""
        self._retried(Ask("stop", "POST", _path(machine_id, "stop"), headers=_nonce(nonce)), _ANYTHING)

    def destroy(self, machine_id: str, *, force: bool = False, nonce: str | None = None) -> None:
        """Destroy a machine. Raises FlyConflictError for a running one without force, FlyNotFoundError when gone.

        After a lost answer the second try may find it gone: FlyNotFoundError then means that it worked.
        """
        query = {"force": "true"} if force else None
        self._retried(Ask("destroy", "DELETE", _path(machine_id), query=query, headers=_nonce(nonce)), _ANYTHING)

    def acquire_lease(self, machine_id: str, *, ttl_s: int, description: str = "") -> Lease:
        """Take the lease of a machine. Raises FlyLeaseHeldError when somebody holds it.

        Not tried again after a lost answer: the nonce is lost with it, and only time frees such a lease.
        """
        body = {"ttl": ttl_s, "description": description}
        ask = Ask("lease", "POST", _path(machine_id, "lease"), body=body)
        return self.retry.call(lambda: self._wire.send(ask, _LEASE), unclear=False)

    def release_lease(self, machine_id: str, nonce: str) -> None:
        """Give a lease back; fine when it has expired and is nobody's."""
        ask = Ask("lease", "DELETE", _path(machine_id, "lease"), headers=_nonce(nonce))
        try:
            self._retried(ask, _ANYTHING)
        except FlyNotFoundError:
            return

    def update(self, machine_id: str, body: UpdateMachine, *, nonce: str | None = None) -> Machine:
        """Replace the configuration of a stopped machine, which stays stopped. FlyConflictError when it has another version.

        Not tried again after a lost answer: the version has changed then.
        """
        sent = body.model_dump(exclude_none=True)
        ask = Ask("update", "POST", _path(machine_id), body=sent, headers=_nonce(nonce))
        return self.retry.call(lambda: self._wire.send(ask, _MACHINE), unclear=False)

    def show_app(self) -> App:
        """The app itself. Raises FlyNotFoundError when there is none."""
        return self._retried(Ask("app", "GET", place=""), _APP)

    def create_volume(self, body: CreateVolume) -> Volume:
        """Create a volume by one request; several may have one name. Raises FlyNoCapacityError without room."""
        ask = Ask("volume", "POST", body=body.model_dump(exclude_none=True), place=_AT_VOLUMES)
        return self.retry.call(lambda: self._wire.send(ask, _VOLUME), unclear=False)

    def volumes(self) -> list[Volume]:
        """All volumes of the app."""
        return self._retried(Ask("volumes", "GET", place=_AT_VOLUMES), _VOLUMES) or []

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume and what is on it. Raises FlyConflictError while a machine has it, FlyNotFoundError when gone."""
        self._retried(Ask("volume", "DELETE", _path(volume_id), place=_AT_VOLUMES), _ANYTHING)

    def _retried[T](self, ask: Ask, answer: TypeAdapter[T]) -> T:
        return self.retry.call(lambda: self._wire.send(ask, answer))

    def _wait_slice(
        self, machine_id: str, state: WaitState, slice_s: int, instance_id: str | None
    ) -> WaitAnswer | None:
        query = {"state": state, "timeout": str(slice_s)}
        if instance_id:
            query["instance_id"] = instance_id
        ask = Ask("wait", "GET", _path(machine_id, "wait"), query=query, hold_s=slice_s)

        def once() -> WaitAnswer | None:
            try:
                return self._wire.send(ask, _WAIT)
            except FlyUnavailableError as error:
                if error.status == 408:
                    return None
                raise

        return self.retry.call(once)


def _path(machine_id: str, *rest: str) -> str:
    return "/" + "/".join([quote(machine_id, safe=""), *rest])


def _nonce(nonce: str | None) -> dict[str, str] | None:
    return {NONCE_HEADER: nonce} if nonce else None
