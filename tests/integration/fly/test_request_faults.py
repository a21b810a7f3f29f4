"""Each way in which a request can fail leads to one machine or one error of the right kind."""

import time
from collections.abc import Callable

import pytest

from localstack.fly.faults import (
    FAULT,
    Dropped,
    FaultClient,
    Hidden,
    NoCapacity,
    NotFound,
    RateLimited,
    RequestFault,
    ServerError,
    TimeOut,
    Unauthorized,
)
from mailtide.adapters.fly import FlyClient, FlyMachineHost
from mailtide.adapters.fly.errors import (
    FlyAuthError,
    FlyHiddenError,
    FlyNoCapacityError,
    FlyNotFoundError,
    FlyQuotaError,
    FlyRateLimitedError,
    FlyUnansweredError,
    FlyUnavailableError,
)
from mailtide.errors import TransientError
from mailtide.machines import MachineInfo
from tests.integration.fly.conftest import LARGE, SMALL, wanted

type Requests = Callable[[str], list[dict[str, object]]]

CREATE_FAULTS: list[RequestFault] = [
    RateLimited(action="create"),
    RateLimited(action="create", retry_after_s=1),
    ServerError(action="create", status=500),
    ServerError(action="create", status=503, when="after"),
    TimeOut(action="create"),
    TimeOut(action="create", when="after"),
    Dropped(action="create"),
    Dropped(action="create", when="after"),
]


def told(fault: RequestFault) -> str:
    return "-".join(str(value) for value in fault.model_dump(include={"kind", "when", "wording", "status"}).values())


def machines_named(client: FlyClient, name: str) -> list[str]:
    return [machine.id for machine in client.machines(include_deleted=True) if machine.name == name]


@pytest.mark.parametrize("fault", CREATE_FAULTS, ids=told)
def test_whatever_happens_to_a_create_one_machine_lives(
    fault: RequestFault, client: FlyClient, impatient: FlyClient, faults: FaultClient
) -> None:
    faults.plant(fault)
    created = FlyMachineHost(impatient if fault.kind == "time_out" else client).create(wanted())
    assert machines_named(client, "task-1") == [created.id]
    assert faults.planted() == []


@pytest.mark.parametrize(
    "fault", [fault.model_copy(update={"count": 2}) for fault in CREATE_FAULTS if fault.kind != "time_out"], ids=told
)
def test_twice_in_a_row_as_well(
    fault: RequestFault, host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    faults.plant(fault)
    created = host.create(wanted())
    assert machines_named(client, "task-1") == [created.id]


def test_a_machine_that_ran_and_was_gone_before_the_lookup_is_adopted(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    faults.plant(ServerError(action="create", when="after"))
    faults.plant(TimeOut(action="list", hang_s=0.3))
    created = host.create(wanted("echo"))
    assert created.gone
    assert created.exit_code == 0
    assert machines_named(client, "task-1") == [created.id]


def test_when_the_lookup_fails_too_the_next_create_meets_the_name(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient, own_requests: Requests
) -> None:
    faults.plant(ServerError(action="create", when="after"))
    faults.plant(ServerError(action="list", count=4))
    created = host.create(wanted())
    assert [row["status"] for row in own_requests("create")] == [500, 409]
    assert machines_named(client, "task-1") == [created.id]


def test_a_machine_that_is_not_visible_yet_is_adopted_once_it_is(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    faults.plant(Hidden(machine_name="task-1", for_s=0.15))
    faults.plant(Dropped(action="create", when="after"))
    created = _eventually(lambda: host.create(wanted()))
    assert machines_named(client, "task-1") == [created]
    assert host.get(created).name == "task-1"


def test_two_launches_at_once_of_a_machine_that_is_not_visible_yet(
    host: FlyMachineHost, impatient: FlyClient, faults: FaultClient
) -> None:
    """The second is told that the name is taken, and by whom; that this one cannot be seen is no refusal."""
    faults.plant(Hidden(machine_name="task-1", for_s=2.5))
    first = host.create(wanted())
    with pytest.raises(FlyHiddenError) as caught:
        FlyMachineHost(impatient).create(wanted())
    assert isinstance(caught.value, TransientError)
    assert _eventually(lambda: host.create(wanted())) == first.id


def _eventually(create: Callable[[], MachineInfo]) -> str:
    """The id of the machine, by as many calls as a queue would make."""
    ends_at = time.monotonic() + 30
    while True:
        try:
            return create().id
        except TransientError:
            assert time.monotonic() < ends_at, "never created"
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (RateLimited(action="create", count=None), FlyRateLimitedError),
        (ServerError(action="create", count=None), FlyUnavailableError),
        (ServerError(action="create", status=504, count=None), FlyUnavailableError),
        (Dropped(action="create", count=None), FlyUnansweredError),
        (TimeOut(action="create", count=None, hang_s=5), FlyUnansweredError),
    ],
)
def test_what_never_passes_ends_as_a_transient_error(
    fault: RequestFault, expected: type[Exception], client: FlyClient, impatient: FlyClient, faults: FaultClient
) -> None:
    faults.plant(fault)
    host = FlyMachineHost(impatient if fault.kind == "time_out" else client)
    with pytest.raises(expected) as caught:
        host.create(wanted())
    assert isinstance(caught.value, TransientError)
    assert machines_named(client, "task-1") == []


def test_a_refused_token_is_not_tried_again(host: FlyMachineHost, faults: FaultClient, own_requests: Requests) -> None:
    faults.plant(Unauthorized(action="create", count=None))
    with pytest.raises(FlyAuthError) as caught:
        host.create(wanted())
    assert not isinstance(caught.value, TransientError)
    assert len(own_requests("create")) == 1


@pytest.mark.parametrize("wording", ["insufficient_capacity", "aborted", "volume_placement_capacity", "over_quota"])
def test_no_room_in_one_region_means_the_next(wording: str, host: FlyMachineHost, faults: FaultClient) -> None:
    faults.plant(NoCapacity.model_validate({"wording": wording, "region": "iad", "count": None}))
    created = host.create(wanted(regions=("iad", "ord", "ewr"), sizes=(SMALL, LARGE)))
    assert (created.region, created.size) == ("ord", SMALL)


def test_regions_are_tried_before_sizes(host: FlyMachineHost, faults: FaultClient, own_requests: Requests) -> None:
    faults.plant(NoCapacity(memory_mb=SMALL.memory_mb, count=None))
    faults.plant(NoCapacity(memory_mb=LARGE.memory_mb, region="iad", count=None))
    created = host.create(wanted(regions=("iad", "ord"), sizes=(SMALL, LARGE)))
    assert (created.region, created.size) == ("ord", LARGE)
    assert [row["status"] for row in own_requests("create")] == [422, 422, 422, 200]


@pytest.mark.parametrize(
    ("wording", "expected"), [("insufficient_capacity", FlyNoCapacityError), ("over_quota", FlyQuotaError)]
)
def test_no_room_anywhere_is_one_clear_error(
    wording: str, expected: type[Exception], host: FlyMachineHost, faults: FaultClient, own_requests: Requests
) -> None:
    faults.plant(NoCapacity.model_validate({"wording": wording, "count": None}))
    with pytest.raises(expected):
        host.create(wanted(regions=("iad", "ord"), sizes=(SMALL, LARGE)))
    assert len(own_requests("create")) == 4


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["server_error", "dropped"])
def test_safe_and_idempotent_calls_are_tried_again(
    kind: str, when: str, host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    created = host.create(wanted(auto_destroy=False))
    client.wait(created.id, "started", timeout_s=30)
    for action in ("get", "list", "events", "wait", "stop", "start", "destroy"):
        faults.plant(FAULT.validate_python({"kind": kind, "action": action, "when": when}))
    assert host.get(created.id).id == created.id
    assert [machine.id for machine in host.find({"run": "r1"})] == [created.id]
    assert client.events(created.id)
    assert client.wait(created.id, "started", timeout_s=30) is not None
    client.stop(created.id)
    client.wait(created.id, "stopped", timeout_s=30)
    client.start(created.id)
    client.wait(created.id, "started", timeout_s=30)
    host.destroy(created.id)
    assert faults.planted() == []
    assert host.get(created.id).gone


def test_a_lease_is_not_taken_twice_after_a_lost_answer(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient, own_requests: Requests
) -> None:
    created = host.create(wanted())
    faults.plant(RateLimited(action="lease_acquire"))
    faults.plant(ServerError(action="lease_acquire", when="after"))
    with pytest.raises(FlyUnavailableError):
        client.acquire_lease(created.id, ttl_s=1)
    assert [row["status"] for row in own_requests("lease_acquire")] == [429, 500]
    time.sleep(1.1)


def test_a_machine_unknown_just_after_its_creation_can_be_waited_for(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    faults.plant(Hidden(for_s=2.0))
    created = host.create(wanted())
    with pytest.raises(FlyNotFoundError):
        host.get(created.id)
    assert host.find({"run": "r1"}) == []
    assert client.wait(created.id, "started", timeout_s=30) is not None
    assert host.get(created.id).id == created.id


def test_a_planted_404_is_an_error_for_get(host: FlyMachineHost, faults: FaultClient) -> None:
    created = host.create(wanted())
    faults.plant(NotFound(action="get", machine_name="task-1"))
    with pytest.raises(FlyNotFoundError):
        host.get(created.id)
    assert host.get(created.id).id == created.id
