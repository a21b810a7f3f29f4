"""What each action of the Machines API does; one function an action, from a call to a status and a body."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, QueryParams

from localstack.fly.fleet import Filter, Fleet
from localstack.fly.life import Life
from localstack.fly.problems import ApiError, invalid, no_such_machine, not_now

MAX_WAIT_S = 60
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Call:
    """One request that has passed the specification; body is {} where none was sent."""

    fleet: Fleet
    app: str
    path: dict[str, str]
    query: QueryParams
    headers: Headers
    body: dict[str, Any]

    @property
    def life(self) -> Life:
        return self.fleet.life(self.app, self.path["machine_id"])

    @property
    def nonce(self) -> str | None:
        return self.headers.get("fly-machine-lease-nonce")

    def leased(self) -> Life:
        """The machine, for a change: 409 when somebody else holds its lease, 412 when it is destroyed."""
        life = self.life
        life.machine.lease.check(self.nonce)
        if life.machine.gone:
            raise not_now("machine is destroyed")
        return life

    def flag(self, name: str) -> bool:
        return self.query.get(name) == "true"


type Reply = tuple[int, Any]
type Handler = Callable[[Call], Coroutine[None, None, Reply]]
_OK: Reply = (200, {"ok": True})


async def create(call: Call) -> Reply:
    machine = call.fleet.create(call.app, call.body)
    view = machine.view()
    if ttl_s := call.body.get("lease_ttl"):
        view["nonce"] = machine.lease.acquire({"ttl": ttl_s}, None, machine.instance_id)["nonce"]
    return 200, view


async def get(call: Call) -> Reply:
    return 200, call.life.machine.view()


async def list_machines(call: Call) -> Reply:
    wanted = Filter(
        metadata={k.removeprefix("metadata."): v for k, v in call.query.items() if k.startswith("metadata.")},
        states=frozenset(filter(None, call.query.get("state", "").split(","))),
        region=call.query.get("region"),
        include_deleted=call.flag("include_deleted"),
    )
    return 200, [machine.view(summary=call.flag("summary")) for machine in call.fleet.machines(call.app, wanted)]


async def update(call: Call) -> Reply:
    life = call.leased()
    machine = life.machine
    if call.body.get("current_version") not in (None, machine.instance_id):
        raise ApiError(409, "aborted: machine update failed due to concurrent update")
    config = call.fleet.checked_config(call.body.get("config"))
    await life.cut()
    if machine.gone:
        raise not_now("machine destroyed itself before the update")
    call.fleet.change(machine, config)
    machine.record("update", machine.state, "user")
    if not call.body.get("skip_launch"):
        life.start()
    return 200, machine.view()


async def destroy(call: Call) -> Reply:
    if call.life.machine.gone:
        raise no_such_machine()
    life = call.leased()
    if life.alive and not call.flag("force"):
        raise not_now("unable to destroy machine, not currently stopped, suspended, or failed")
    await life.destroy()
    return _OK


async def start(call: Call) -> Reply:
    life = call.leased()
    if life.alive:
        raise not_now(f"unable to start machine from current state: '{life.machine.state}'")
    previous = life.machine.state
    life.start()
    return 200, {"previous_state": previous}


async def stop(call: Call) -> Reply:
    config = call.life.machine.config.get("stop_config") or {}
    number = signal.Signals[call.body.get("signal") or config.get("signal") or "SIGINT"]
    await call.leased().stop(number, _seconds(call.body.get("timeout") or config.get("timeout") or "5s"))
    return _OK


async def restart(call: Call) -> Reply:
    life = call.leased()
    await life.stop(signal.Signals[call.query.get("signal", "SIGINT")], _seconds(call.query.get("timeout", "5s")))
    while life.alive:
        await asyncio.sleep(0.02)
    if life.machine.gone:
        raise not_now("machine destroyed itself when it stopped")
    life.start()
    return _OK


async def send_signal(call: Call) -> Reply:
    life = call.leased()
    if not life.alive:
        raise not_now("machine is not running")
    life.signal(signal.Signals[call.body.get("signal", "SIGINT")])
    return _OK


async def wait(call: Call) -> Reply:
    timeout_s = int(call.query.get("timeout", MAX_WAIT_S))
    if not 1 <= timeout_s <= MAX_WAIT_S:
        raise invalid(f"timeout must be between 1 and {MAX_WAIT_S} seconds")
    machine = call.life.machine
    version = call.query.get("version") or call.query.get("instance_id")
    if version and version not in {row["version"] for row in machine.versions}:
        raise invalid(f"machine has no version {version!r}")
    states = {state for given in call.query.getlist("state") for state in given.split(",")} or {"started"}
    try:
        state, event_id = await machine.wait_for(states, timeout_s, call.query.get("from_event_id"))
    except TimeoutError:
        raise ApiError(408, f"deadline_exceeded: machine not in state {sorted(states)} in time") from None
    return 200, {"ok": True, "state": state, "version": machine.instance_id, "event_id": event_id}


async def events(call: Call) -> Reply:
    limit = call.query.get("limit")
    return 200, call.life.machine.events[: int(limit) if limit else None]


async def versions(call: Call) -> Reply:
    return 200, call.life.machine.versions


async def lease_get(call: Call) -> Reply:
    lease = call.life.machine.lease.current
    if lease is None:
        raise ApiError(404, "not_found: lease not found")
    return 200, lease


async def lease_acquire(call: Call) -> Reply:
    machine = call.life.machine
    return 201, machine.lease.acquire(call.body, call.nonce, machine.instance_id)


async def lease_release(call: Call) -> Reply:
    call.life.machine.lease.release(call.nonce)
    return _OK


async def metadata_get(call: Call) -> Reply:
    return 200, dict(call.life.machine.metadata)


async def metadata_update(call: Call) -> Reply:
    machine = call.leased().machine
    if call.body.get("machine_version") not in (None, machine.instance_id):
        raise not_now("machine version has changed")
    _put_metadata(call, call.body.get("metadata") or {})
    return 204, None


async def metadata_key_get(call: Call) -> Reply:
    value = call.life.machine.metadata.get(call.path["key"])
    if value is None:
        raise ApiError(404, "not_found: metadata key not found")
    return 200, {"value": value}


async def metadata_key_set(call: Call) -> Reply:
    _put_metadata(call, {call.path["key"]: call.body.get("value", "")})
    return 204, None


async def metadata_key_delete(call: Call) -> Reply:
    _put_metadata(call, {call.path["key"]: ""})
    return 204, None


async def cordon(call: Call) -> Reply:
    """Without services there is nothing to take out of a proxy."""
    call.leased()
    return _OK


async def app_get(call: Call) -> Reply:
    machines = call.fleet.machines(call.app, Filter(metadata={}))
    volumes = call.fleet.volumes.of(call.app)
    organization = {"name": "local", "slug": "local"}
    facts = {"id": call.app, "name": call.app, "status": "deployed", "organization": organization}
    return 200, facts | {"machine_count": len(machines), "volume_count": len(volumes)}


async def volume_create(call: Call) -> Reply:
    return 200, call.fleet.volumes.create(call.app, call.body).view()


async def volume_list(call: Call) -> Reply:
    return 200, [volume.view() for volume in call.fleet.volumes.of(call.app)]


async def volume_get(call: Call) -> Reply:
    return 200, call.fleet.volumes.get(call.app, call.path["volume_id"]).view()


async def volume_delete(call: Call) -> Reply:
    view = call.fleet.volumes.delete(call.app, call.path["volume_id"]).view()
    return 200, view | {"state": "pending_destroy"}


def _put_metadata(call: Call, changes: dict[str, str]) -> None:
    """An empty value removes its key; metadata does not make a new version."""
    machine = call.leased().machine
    merged = {**machine.metadata, **changes}
    machine.config["metadata"] = {key: value for key, value in merged.items() if value}


def _seconds(text: str) -> float:
    """A duration as Go writes it: 500ms, 5s, 1m; a bare number means seconds."""
    number = text.rstrip("ms")
    try:
        return float(number) * _UNITS_S[text[len(number) :] or "s"]
    except (ValueError, KeyError):
        raise invalid(f"not a duration: {text!r}") from None
