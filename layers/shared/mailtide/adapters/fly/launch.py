"""Creating a machine exactly once: adoption by name after an unclear answer, and fallback when there is no room."""

from itertools import product

from mailtide.adapters.fly.client import FlyClient
from mailtide.adapters.fly.errors import (
    FlyHiddenError,
    FlyNameTakenError,
    FlyNoCapacityError,
    FlyNotFoundError,
    FlyUnansweredError,
    FlyUnavailableError,
)
from mailtide.adapters.fly.models import CreateMachine, Machine
from mailtide.machines import MachineInfo, MachineRequest


def create_with_fallback(client: FlyClient, request: MachineRequest) -> MachineInfo:
    """Create the machine in the first region with room, for the first size that any region has room for.

    All regions are tried before the next size (capacity and quota are counted by region). The answer says which region
    and size it got. Raises FlyNoCapacityError when nowhere has room, or what create_or_adopt raises.
    """
    refused: FlyNoCapacityError | None = None
    for size, region in product(request.sizes, request.regions or (None,)):
        try:
            return create_or_adopt(client, CreateMachine.of(request, region, size)).info
        except FlyNoCapacityError as error:
            refused = error
    raise refused or FlyNoCapacityError("Fly create: the request names no size")


def create_or_adopt(client: FlyClient, body: CreateMachine) -> Machine:
    """Create a machine, or take the one that has its name: however often this is asked, one machine lives.

    After a time-out, a lost connection or a 5xx the name is looked up before the next try; a name that is taken means
    that an earlier try (ours or another's) worked. Raises FlyNameTakenError when the machine of that name has other
    metadata, FlyHiddenError when it cannot be seen yet.
    """

    def once() -> Machine:
        try:
            return client.create_once(body)
        except FlyNameTakenError as error:
            # One look decides: a second one may already see what the first could not, and would call ours a stranger's.
            seen = _candidates(client, body, error.machine_id)
            found = _adoptable(client, body, seen)
            if found is None and error.machine_id and all(machine.id != error.machine_id for machine in seen):
                raise FlyHiddenError(str(error)) from error
            if found is None:
                raise
            return found
        except (FlyUnavailableError, FlyUnansweredError):
            found = _adoptable(client, body, _candidates(client, body, None))
            if found is None:
                raise
            return found

    return client.retry.call(once)


def _adoptable(client: FlyClient, body: CreateMachine, seen: list[Machine]) -> Machine | None:
    """The machine of this name: a live one, else one that has run and destroyed itself already; None without either."""
    found = [machine for machine in seen if _is_ours(machine, body)]
    live = [machine for machine in found if not machine.info.gone]
    return next((machine for machine in live + found if not machine.info.gone or _has_run(client, machine)), None)


def _has_run(client: FlyClient, machine: Machine) -> bool:
    """Whether it ever got as far as its own program: a create that found no room may leave a destroyed machine behind."""
    info = (machine if machine.events else client.get(machine.id)).info
    return info.started_at is not None or info.exit_code is not None


def _candidates(client: FlyClient, body: CreateMachine, machine_id: str | None) -> list[Machine]:
    """The machine of this id, else those of our name that have our metadata; empty when none can be seen."""
    if machine_id:
        try:
            return [client.get(machine_id)]
        except FlyNotFoundError:
            pass  # seconds after its creation a machine may be in the list alone
    listed = client.machines(body.config.metadata, include_deleted=True)
    return [machine for machine in listed if machine.name == body.name]


def _is_ours(machine: Machine, body: CreateMachine) -> bool:
    metadata = machine.info.metadata
    return machine.name == body.name and all(metadata.get(k) == v for k, v in body.config.metadata.items())
