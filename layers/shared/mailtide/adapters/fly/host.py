"""Fly as the machine host that use cases see: create, get, find, destroy."""

from collections.abc import Mapping

from mailtide.adapters.fly.client import FlyClient
from mailtide.adapters.fly.errors import FlyConflictError, FlyNotFoundError
from mailtide.adapters.fly.launch import create_with_fallback
from mailtide.machines import MachineInfo, MachineRequest


class FlyMachineHost:
    """The MachineHost port over one Fly app.

    Every method may raise FlyError; what may pass with time is a TransientError too.
    """

    def __init__(self, client: FlyClient) -> None:
        self._client = client

    def create(self, request: MachineRequest) -> MachineInfo:
        """Create the machine, or adopt the live one of its name; falls back over regions, then sizes.

        Raises FlyNoCapacityError when nowhere has room, FlyNameTakenError when the name's machine has other metadata.
        """
        return create_with_fallback(self._client, request)

    def get(self, machine_id: str) -> MachineInfo:
        """One machine; a destroyed one with its exit. Raises NotFoundError, also within seconds of its creation."""
        return self._client.get(machine_id).info

    def find(self, metadata: Mapping[str, str]) -> list[MachineInfo]:
        """The machines, not yet destroyed, whose metadata holds all the given pairs."""
        return [machine.info for machine in self._client.machines(metadata)]

    def destroy(self, machine_id: str) -> None:
        """Destroy the machine, running or not; fine when it is gone. Raises FlyConflictError while others lease it."""
        try:
            self._client.destroy(machine_id, force=True)
        except FlyNotFoundError:
            return
        except FlyConflictError:
            if not self.get(machine_id).gone:
                raise
