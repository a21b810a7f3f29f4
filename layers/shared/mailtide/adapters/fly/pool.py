"""Fly machines that are kept stopped between tasks: MachinePool over one app.

A machine is given another setup under its lease, and only in the version that the caller saw. So two callers never give one
machine two tasks; and one that stood still past the end of its lease finds another version.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mailtide.adapters.fly.client import FlyClient
from mailtide.adapters.fly.errors import (
    FlyAuthError,
    FlyConflictError,
    FlyInvalidRequestError,
    FlyLeaseHeldError,
    FlyNameTakenError,
    FlyNoCapacityError,
    FlyNotFoundError,
    FlyUnansweredError,
    FlyUnavailableError,
)
from mailtide.adapters.fly.models import CreateConfig, CreateMachine, CreateVolume, Lease, Machine, UpdateMachine
from mailtide.errors import FlyError, TransientError
from mailtide.machines import IDLE_STATES, MachineInfo, Setup, VolumeInfo, same_image

LEASE_TTL_S = 60
LEASE_PATIENCE_S = 8.0
"""Whoever holds a lease gives it back within a few requests."""
LEASE_PAUSE_S = 1.0
SETTLE_S = 10.0
"""How long a machine may take to be stopped after its configuration was changed."""
STOP_S = 20.0
"""How long a program may take to end."""
STARTABLE_STATES = frozenset({"created", "stopped"})
_REFUSALS = (FlyConflictError, FlyNoCapacityError, FlyInvalidRequestError, FlyNotFoundError)


class FlyMachinePool:
    """The MachinePool port. Every method may raise FlyError; what may pass with time is a TransientError too.

    lease_patience_s, lease_pause_s: how long, and how often, to ask for a lease that somebody holds.
    """

    def __init__(
        self,
        client: FlyClient,
        *,
        lease_patience_s: float = LEASE_PATIENCE_S,
        lease_pause_s: float = LEASE_PAUSE_S,
    ) -> None:
        self._client = client
        self._patience_s = lease_patience_s
        self._pause_s = lease_pause_s

    def check_app(self) -> str:
        """Name of the app, when it is there and the token may see it. FlyNotFoundError or FlyAuthError."""
        return self._client.show_app().name

    def add(
        self, name: str, regions: tuple[str, ...], setup: Setup, *, volume_name: str, volume_gb: int
    ) -> MachineInfo | None:
        """A new stopped machine, with a volume unless volume_gb is 0; None when one of that name lives already.

        The first region with room is taken. Raises FlyNoCapacityError when none has.
        """
        refused: FlyNoCapacityError | None = None
        for region in regions:
            try:
                volume = self._new_volume(volume_name, region, volume_gb)
                return self._add_in(name, region, setup, volume)
            except FlyNameTakenError:
                return None
            except FlyNoCapacityError as error:
                refused = error
        raise refused or FlyNoCapacityError("Fly create: there is no region to create it in")

    def hand_over(
        self, machine_id: str, version: str, setup: Setup, *, otherwise: Setup | None = None
    ) -> MachineInfo | None:
        """Give a stopped machine another setup; with `otherwise` also start it, and if it cannot be started give it that one.

        None when it is not to be had (any more): it has another version, runs, is gone, or its host has no room. Asked
        again with the same setup, after a lost answer, it goes on where it was. FlyLeaseHeldError while somebody else
        changes it.
        """
        try:
            with self._leased(machine_id) as nonce:
                machine = self._set_up(self._client.get(machine_id), version, setup, nonce)
                if machine is None or otherwise is None or machine.info.running or machine.has_run:
                    return machine.info if machine else None
                return self._started(machine, otherwise, nonce)
        except FlyNotFoundError:
            return None

    def stop(self, machine_id: str) -> None:
        """Stop a running machine, and wait for that; it need not run. FlyUnavailableError when it does not stop."""
        try:
            self._client.stop(machine_id)
            stopped = self._client.wait(machine_id, "stopped", timeout_s=STOP_S)
        except FlyNotFoundError:
            return
        if stopped is None:
            raise FlyUnavailableError(f"Fly stop: machine {machine_id} still runs", 408)

    def volumes(self) -> list[VolumeInfo]:
        """All volumes of the app."""
        return [volume.info for volume in self._client.volumes() if "destroy" not in volume.state]

    def remove_volume(self, volume_id: str) -> None:
        """Gone afterwards, with what is on it; it need not exist. FlyConflictError while a machine has it."""
        with suppress(FlyNotFoundError):
            self._client.delete_volume(volume_id)

    def _new_volume(self, name: str, region: str, size_gb: int) -> str | None:
        if not size_gb:
            return None
        return self._client.create_volume(CreateVolume(name=name, region=region, size_gb=size_gb)).id

    def _add_in(self, name: str, region: str, setup: Setup, volume: str | None) -> MachineInfo:
        """One attempt; what is unclear afterwards the next look at the pool finds: a machine of that name, or a volume
        that belongs to none."""
        body = CreateMachine(name=name, region=region, config=CreateConfig.kept(setup, volume), skip_launch=True)
        try:
            return self._client.create_once(body).info
        except FlyError as error:
            refused = isinstance(error, FlyNoCapacityError) or not isinstance(error, TransientError)
            if volume is not None and refused:
                with suppress(FlyError):
                    self.remove_volume(volume)
            raise

    def _set_up(self, machine: Machine, version: str, setup: Setup, nonce: str) -> Machine | None:
        """The machine with its new setup: by this call, or by one before it whose answer was lost."""
        if machine.info.gone:
            return None
        if _is_set_up(machine.info, setup):
            return machine
        if machine.instance_id != version or machine.state not in STARTABLE_STATES:
            return None
        config = CreateConfig.kept(setup, machine.info.volume)
        try:
            return self._client.update(machine.id, UpdateMachine(config=config, current_version=version), nonce=nonce)
        except FlyAuthError:
            raise
        except _REFUSALS:
            return None

    def _started(self, machine: Machine, otherwise: Setup, nonce: str) -> MachineInfo | None:
        if machine.state not in IDLE_STATES:
            self._client.wait(machine.id, "stopped", timeout_s=SETTLE_S, instance_id=machine.instance_id)
        try:
            self._client.retry.call(lambda: self._start(machine.id, nonce))
        except _REFUSALS:
            config = CreateConfig.kept(otherwise, machine.info.volume)
            body = UpdateMachine(config=config, current_version=machine.instance_id)
            with suppress(FlyError):
                self._client.update(machine.id, body, nonce=nonce)
            return None
        return self._client.get(machine.id).info

    def _start(self, machine_id: str, nonce: str) -> None:
        """Start it once: after an unclear answer it may have ended already, and is not to begin anew."""
        try:
            self._client.start_once(machine_id, nonce=nonce)
        except (FlyUnavailableError, FlyUnansweredError):
            seen = self._client.get(machine_id)
            if not seen.info.running and not seen.has_run:
                raise

    @contextmanager
    def _leased(self, machine_id: str) -> Iterator[str]:
        lease = self._lease(machine_id)
        try:
            yield lease.nonce
        finally:
            # It ends by itself.
            with suppress(FlyError):
                self._client.release_lease(machine_id, lease.nonce)

    def _lease(self, machine_id: str) -> Lease:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return self._client.acquire_lease(machine_id, ttl_s=LEASE_TTL_S, description="mailtide")
            except FlyLeaseHeldError:
                if time.monotonic() + self._pause_s > deadline:
                    raise
                time.sleep(self._pause_s)


def _is_set_up(machine: MachineInfo, setup: Setup) -> bool:
    """Whether it has this setup; what Fly itself puts into the metadata of machines does not count."""
    own = {key: value for key, value in machine.metadata.items() if not key.startswith("fly_")}
    return own == dict(setup.metadata) and same_image(machine.image, setup.image)
