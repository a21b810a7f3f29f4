"""Volumes as folders: they outlast the runs of a machine, and the machine itself."""

import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localstack.fly.guests import checked_region
from localstack.fly.machine import Machine, now
from localstack.fly.problems import ApiError, invalid, not_now

_MAX_NAME = 30


@dataclass
class Volume:
    """A volume of an app; `folder` is what stands on it."""

    app: str
    name: str
    region: str
    size_gb: int
    folder: Path
    encrypted: bool
    auto_backup_enabled: bool
    id: str = field(default_factory=lambda: f"vol_{secrets.token_hex(8)}")
    created_at: str = field(default_factory=now)
    machine: Machine | None = None

    @property
    def attached(self) -> Machine | None:
        """The machine that has it; a destroyed one has none."""
        return None if self.machine is None or self.machine.gone else self.machine

    def view(self) -> dict[str, Any]:
        """The volume as JSON."""
        attached = self.attached
        return {
            "id": self.id,
            "name": self.name,
            "state": "created",
            "size_gb": self.size_gb,
            "region": self.region,
            "encrypted": self.encrypted,
            "auto_backup_enabled": self.auto_backup_enabled,
            "created_at": self.created_at,
            "host_status": "ok",
            "fstype": "ext4",
        } | ({"attached_machine_id": attached.id} if attached else {})


class Volumes:
    """Creates volumes and finds them; `directory` holds a folder of each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._volumes: dict[str, Volume] = {}

    def create(self, app: str, body: dict[str, Any]) -> Volume:
        """An empty volume."""
        name = body.get("name") or ""
        if not name or len(name) > _MAX_NAME or not name.replace("_", "a").isalnum() or name != name.lower():
            raise invalid("a volume's name has small letters, digits and underscores, 30 at most")
        volume = Volume(
            app=app,
            name=name,
            region=checked_region(body.get("region")),
            size_gb=body.get("size_gb") or 3,
            folder=self._directory,
            encrypted=body.get("encrypted", True),
            auto_backup_enabled=body.get("auto_backup_enabled", True),
        )
        volume.folder = self._directory / volume.id
        volume.folder.mkdir(parents=True)
        self._volumes[volume.id] = volume
        return volume

    def get(self, app: str, volume_id: str) -> Volume:
        """One volume by its id; 404 when there is none."""
        volume = self._volumes.get(volume_id)
        if volume is None or volume.app != app:
            raise ApiError(404, "not_found: volume not found")
        return volume

    def of(self, app: str) -> list[Volume]:
        """The volumes of an app, oldest first."""
        return [volume for volume in self._volumes.values() if volume.app == app]

    def all(self) -> list[Volume]:
        """Every volume that stands."""
        return list(self._volumes.values())

    def delete(self, app: str, volume_id: str) -> Volume:
        """Gone with what is on it; 412 while a machine has it."""
        volume = self.get(app, volume_id)
        if volume.attached is not None:
            raise not_now(f"volume {volume_id} is attached to machine {volume.attached.id}")
        shutil.rmtree(volume.folder, ignore_errors=True)
        return self._volumes.pop(volume_id)

    def attach(self, machine: Machine) -> None:
        """Give a machine the volumes of its configuration; 412 when somebody else has one, 422 in another region."""
        wanted = [self.get(machine.app, mount.get("volume") or "") for mount in machine.config.get("mounts") or []]
        for volume in wanted:
            if volume.attached not in (None, machine):
                raise not_now(f"volume {volume.id} is attached to another machine")
            if volume.region != machine.region:
                raise ApiError(422, f"invalid_argument: volume {volume.id} is in {volume.region}")
        for volume in wanted:
            volume.machine = machine

    def places(self, machine: Machine) -> dict[str, Path]:
        """Where the machine sees its volumes, and where they stand on this computer."""
        mounts = machine.config.get("mounts") or []
        return {mount["path"]: self.get(machine.app, mount["volume"]).folder for mount in mounts}
