"""Every machine is in the bill, whatever befell the function that made it."""

import pytest

from mailtide.contracts import Done
from mailtide.settings import Settings
from tests.model.simulation.drive import drive_one_upload
from tests.model.simulation.steps import Fault
from tests.model.simulation.world import IN_CHUNKS, SETTINGS, World


def _launching(settings: Settings) -> list[int]:
    """The numbers of the port calls that make a machine, and of those that note it: of the first and the last task."""
    calls = drive_one_upload(World(settings=settings), {})
    found = [n for n, call in enumerate(calls) if call.what == "create_machine" or call.key.endswith("/launch.json")]
    return sorted({*found[:2], *found[-2:]})


@pytest.mark.parametrize("settings", [SETTINGS, IN_CHUNKS], ids=["one machine", "in chunks"])
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LATE], ids=lambda fault: fault.value)
def test_a_launch_that_breaks_off_leaves_no_machine_out(settings: Settings, fault: Fault) -> None:
    for number in _launching(settings):
        world = World(settings=settings)
        drive_one_upload(world, {number: fault})
        (body,) = (version.body for key, version in world.bucket.objects.items() if key.endswith("/done.json"))
        done = Done.model_validate_json(body)
        made = {(m.request.metadata["task"], int(m.request.metadata["try"])) for m in world.machines.machines.values()}
        assert {(use.task, use.attempt) for use in done.machines} == made
        assert {use.launch.machine_id for use in done.machines} <= world.machines.machines.keys()
        assert all(use.launch.region == "iad" for use in done.machines)
        assert done.machine is not None
