"""The parts of the local server that need no server."""

from typing import Any

import pytest
from pydantic import ValidationError
from starlette.datastructures import Headers, ImmutableMultiDict

from localstack.fly.faultbook import FaultBook, Target
from localstack.fly.faults import FAULT, Kill, MachineFault, NoCapacity, RateLimited, RequestFault
from localstack.fly.guests import checked_guest
from localstack.fly.lease import LeaseBook
from localstack.fly.machine import ulid
from localstack.fly.problems import ApiError
from localstack.fly.ratelimit import RateLimit
from localstack.fly.routes import ROUTES
from localstack.fly.spec import SPEC_FILE, SpecRequest, openapi, request_fault


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_three_at_once_then_one_a_second_for_each_action_and_machine() -> None:
    clock = Clock()
    limit = RateLimit(1.0, clock)
    assert [limit.allows("get", "m1") for _ in range(4)] == [True, True, True, False]
    assert limit.allows("get", "m2")
    assert limit.allows("wait", "m1")
    clock.now_s += 1.0
    assert [limit.allows("get", "m1") for _ in range(2)] == [True, False]
    clock.now_s += 100.0
    assert [limit.allows("get", "m1") for _ in range(4)] == [True, True, True, False]
    assert all(RateLimit(None, clock).allows("get", "m1") for _ in range(10))


def test_a_lease_ends_with_its_time_and_is_refreshed_by_its_nonce() -> None:
    clock = Clock()
    book = LeaseBook("148e", clock)
    nonce = book.acquire({"ttl": 10}, None, "v1")["nonce"]
    clock.now_s += 9
    assert book.acquire({"ttl": 10}, nonce, "v1")["nonce"] == nonce
    clock.now_s += 9
    with pytest.raises(ApiError) as caught:
        book.check(None)
    assert caught.value.http_status == 409
    book.check(nonce)
    clock.now_s += 1
    assert book.current is None
    assert book.acquire({}, None, "v1")["nonce"] != nonce
    with pytest.raises(ApiError):
        book.release(nonce)


def test_faults_strike_what_they_name_and_as_often_as_they_say() -> None:
    book = FaultBook()
    book.plant(NoCapacity(region="iad", count=None))
    limited = book.plant(RateLimited(action="get", path="*/m1", count=2))
    create = Target("create", "POST", "/v1/apps/a/machines", "task-1", "iad", 1024)
    assert [book.for_request(create) is not None for _ in range(3)] == [True] * 3
    assert book.for_request(Target("create", "POST", "/v1/apps/a/machines", "task-1", "ord", 1024)) is None
    get = Target("get", "GET", "/v1/apps/a/machines/m1")
    assert [book.for_request(get) is not None for _ in range(3)] == [True, True, False]
    assert (limited.left, limited.struck) == (0, 2)
    assert len(book.rows()) == 1
    book.plant(Kill(machine_name="task-*", metadata={"run": "r1"}))
    assert book.for_machine("other", {"run": "r1"}) == []
    assert book.for_machine("task-1", {"run": "r2"}) == []
    assert [fault.kind for fault in book.for_machine("task-1", {"run": "r1", "x": "y"})] == ["kill"]
    assert not book.remove("99")
    assert book.remove(None)
    assert book.rows() == []


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "unknown"},
        {"kind": "server_error", "status": 404},
        {"kind": "server_error", "when": "later"},
        {"kind": "kill", "after_s": -1},
        {"kind": "kill", "count": 0},
        {"kind": "rate_limited", "acton": "get"},
        {"kind": "no_capacity", "wording": "full"},
    ],
)
def test_a_fault_with_a_typing_error_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FAULT.validate_python(fault)


@pytest.mark.parametrize(
    ("config", "memory_mb"),
    [
        ({}, 256),
        ({"size": "shared-cpu-2x"}, 512),
        ({"size": "performance-2x"}, 4096),
        ({"guest": {"cpu_kind": "shared", "cpus": 2, "memory_mb": 2048}}, 2048),
        ({"guest": {"cpu_kind": "performance", "cpus": 8, "memory_mb": 16384}}, 16384),
    ],
)
def test_sizes_that_fly_has(config: dict[str, Any], memory_mb: int) -> None:
    assert checked_guest(config)["memory_mb"] == memory_mb


@pytest.mark.parametrize(
    "guest",
    [
        {"cpu_kind": "shared", "cpus": 1, "memory_mb": 4096},
        {"cpu_kind": "shared", "cpus": 1, "memory_mb": 300},
        {"cpu_kind": "performance", "cpus": 1, "memory_mb": 1024},
        {"cpu_kind": "performance", "cpus": 3, "memory_mb": 8192},
        {"cpu_kind": "fast", "cpus": 1},
    ],
)
def test_sizes_that_it_has_not(guest: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        checked_guest({"guest": guest})
    assert caught.value.http_status == 422


def test_every_route_is_in_the_specification() -> None:
    paths = openapi().spec["paths"].read_value()
    for method, path, _, _ in ROUTES:
        assert method.lower() in paths[path.removeprefix("/v1")]


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("POST", "/v1/apps/a/machines", {}, b""),
        ("POST", "/v1/apps/a/machines", {}, b"{"),
        ("POST", "/v1/apps/a/machines", {}, b'{"config": {"guest": {"memory_mb": "1024"}}}'),
        ("POST", "/v1/apps/a/machines", {}, b'{"config": {"restart": {"policy": "never"}}}'),
        ("POST", "/v1/apps/a/machines", {}, b'{"config": {"auto_destory": true}}'),
        ("GET", "/v1/apps/a/machines/m1/wait", {"state": "running"}, b""),
        ("GET", "/v1/apps/a/machines/m1/wait", {"timeout": "soon"}, b""),
        ("DELETE", "/v1/apps/a/machines/m1/lease", {}, b""),
        ("GET", "/v1/apps/a/machine", {}, b""),
    ],
)
def test_the_specification_refuses(method: str, path: str, query: dict[str, str], body: bytes) -> None:
    headers = Headers({"content-type": "application/json"})
    assert request_fault(SpecRequest(method, path, ImmutableMultiDict(query), headers, body))


def test_ids_sort_by_time() -> None:
    first = ulid()
    assert len(first) == 26
    assert first[:10] <= ulid()[:10]


def test_every_fault_is_in_the_readme() -> None:
    text = SPEC_FILE.with_name("README.md").read_text()
    kinds = [fault.model_fields["kind"].default for fault in (*RequestFault.__args__, *MachineFault.__args__)]
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []
