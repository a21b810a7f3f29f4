"""All machines of the server, whatever their app."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localstack.fly.faultbook import FaultBook
from localstack.fly.guests import checked_guest, checked_region
from localstack.fly.life import Life
from localstack.fly.machine import Machine
from localstack.fly.problems import ApiError, invalid, no_such_machine
from localstack.fly.process import Nursery
from localstack.fly.volumes import Volumes


@dataclass(frozen=True)
class Filter:
    """Which machines a list shows; empty means all."""

    metadata: Mapping[str, str]
    states: frozenset[str] = frozenset()
    region: str | None = None
    include_deleted: bool = False

    def shows(self, machine: Machine) -> bool:
        return (
            not machine.hidden
            and (self.include_deleted or not machine.gone)
            and (not self.states or machine.state in self.states)
            and self.region in (None, machine.region)
            and self.metadata.items() <= machine.metadata.items()
        )


class Fleet:
    """Creates machines and finds them. images: image name -> command line; log_dir: a file `{machine id}.log` each."""

    def __init__(self, images: Mapping[str, list[str]], log_dir: Path, faults: FaultBook) -> None:
        self._images = images
        self._log_dir = log_dir
        self._faults = faults
        self._nursery = Nursery()
        self._lives: dict[str, Life] = {}
        self.volumes = Volumes(self._nursery.directory / "volumes")
        log_dir.mkdir(parents=True, exist_ok=True)

    def create(self, app: str, body: dict[str, Any]) -> Machine:
        """Create a machine and boot it; 409 when a live one has the name."""
        config = self.checked_config(body.get("config"))
        region = checked_region(body.get("region"))
        name = body.get("name") or f"local-{secrets.token_hex(4)}"
        self._check_name(app, name)
        faults = self._faults.for_machine(name, config.get("metadata") or {})
        machine = Machine(app, name, region, config, self._command(config), self._log_dir, faults)
        self.volumes.attach(machine)
        life = self._lives[machine.id] = Life(machine, self._nursery, self.volumes)
        machine.moved("created", "launch", "user")
        if not body.get("skip_launch"):
            # A moment later, so that the answer of the create still says "created", as Fly's does.
            asyncio.get_running_loop().call_soon(life.start)
        return machine

    def life(self, app: str, machine_id: str) -> Life:
        """One machine by its id; 404 when the API does not know it."""
        life = self._lives.get(machine_id)
        if life is None or life.machine.app != app or life.machine.hidden:
            raise no_such_machine()
        return life

    def machines(self, app: str, wanted: Filter) -> list[Machine]:
        """The machines of an app that a filter shows, oldest first."""
        return [machine for machine in self.all() if machine.app == app and wanted.shows(machine)]

    def all(self) -> Iterable[Machine]:
        """Every machine ever created."""
        return [life.machine for life in self._lives.values()]

    def checked_config(self, given: dict[str, Any] | None) -> dict[str, Any]:
        """A configuration with its guest filled in; refused without an image that this server knows."""
        config = dict(given or {})
        image = config.get("image")
        if not image:
            raise invalid("config.image is required")
        if image not in self._images:
            raise invalid(f"could not resolve image {image!r}; this server knows {sorted(self._images)}")
        return config | {"guest": checked_guest(config)}

    def change(self, machine: Machine, config: dict[str, Any]) -> None:
        """Give a machine another configuration; what faults wait for its new metadata strike it."""
        before = machine.config
        machine.new_version(config)
        try:
            self.volumes.attach(machine)
        except ApiError:
            machine.config = before
            raise
        machine.command = self._command(config)
        if machine.metadata != (before.get("metadata") or {}):
            machine.faults = self._faults.for_machine(machine.name, dict(machine.metadata))

    async def close(self) -> None:
        """Kill every process."""
        await asyncio.gather(*(life.cut() for life in self._lives.values()))
        self._nursery.close()

    def _command(self, config: dict[str, Any]) -> list[str]:
        init = config.get("init") or {}
        if init.get("exec"):
            return list(init["exec"])
        return [*(init.get("entrypoint") or self._images[config["image"]]), *(init.get("cmd") or [])]

    def _check_name(self, app: str, name: str) -> None:
        for machine in self.all():
            if machine.app == app and machine.name == name and not machine.gone:
                raise ApiError(
                    409,
                    f"already_exists: unique machine name violation, machine ID {machine.id} already exists"
                    f' with name "{name}"',
                )
