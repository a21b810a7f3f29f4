"""What the client makes of answers that no healthy server gives; through httpx's own seam."""

import time
from collections.abc import Callable

import httpx
import pytest
from pydantic import SecretStr

from mailtide.adapters.fly import FlyClient, RetryPolicy
from mailtide.adapters.fly.errors import FlyRateLimitedError, FlyUnansweredError
from mailtide.adapters.fly.launch import create_with_fallback
from mailtide.errors import SettingsError
from mailtide.machines import MachineRequest, MachineSize

QUICK = RetryPolicy(attempts=3, wait_initial_s=0.01, wait_max_s=0.02, wait_jitter_s=0.01)


class Script:
    """Answers in turn; the last one for ever."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def client_of(script: Script, retry: RetryPolicy = QUICK) -> FlyClient:
    return FlyClient(
        "app", SecretStr("t"), base_url="http://fly/v1", retry=retry, transport=httpx.MockTransport(script)
    )


def test_every_request_carries_the_token_and_goes_to_the_app() -> None:
    script = Script(httpx.Response(200, json=[]))
    client_of(script).machines({"run": "r 1&x"}, include_deleted=True)
    (request,) = script.requests
    assert request.headers["Authorization"] == "Bearer t"
    assert request.url.path == "/v1/apps/app/machines"
    assert dict(request.url.params) == {"metadata.run": "r 1&x", "include_deleted": "true"}


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    script = Script(httpx.Response(200, json={"id": "x"}))
    client_of(script).get("../../other/machines/x")
    assert script.requests[0].url.raw_path == b"/v1/apps/app/machines/..%2F..%2Fother%2Fmachines%2Fx"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>gateway</html>"),
        httpx.Response(200, json=[1, 2]),
        httpx.Response(200, json={"name": "no id"}),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(302, headers={"Location": "http://elsewhere/"}),
    ],
)
def test_an_unreadable_answer_is_no_answer(answer: httpx.Response) -> None:
    script = Script(answer)
    with pytest.raises(FlyUnansweredError):
        client_of(script).get("148e")
    assert len(script.requests) == QUICK.attempts


def test_null_lists_are_empty() -> None:
    client = client_of(Script(httpx.Response(200, text="null")))
    assert client.machines() == []
    assert client.events("148e") == []


def test_a_wait_is_cut_into_what_the_api_allows() -> None:
    script = Script(httpx.Response(408, json={"error": "deadline_exceeded"}), httpx.Response(200, json={"ok": True}))
    answer = client_of(script).wait("148e", "destroyed", timeout_s=150, instance_id="01M8")
    assert answer is not None
    assert answer.ok
    assert [request.url.params["timeout"] for request in script.requests] == ["60", "60"]
    assert script.requests[0].url.params["instance_id"] == "01M8"
    assert script.requests[0].extensions["timeout"]["read"] > 60


def test_a_wait_that_is_answered_at_once_keeps_to_the_rate_limit() -> None:
    script = Script(httpx.Response(408, json={"error": "deadline_exceeded"}))
    assert client_of(script).wait("148e", "started", timeout_s=1.5) is None
    assert len(script.requests) == 2


def took_s(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def test_retry_after_is_obeyed_up_to_the_longest_wait() -> None:
    def limited(seconds: str) -> httpx.Response:
        return httpx.Response(429, json={"error": "resource_exhausted"}, headers={"Retry-After": seconds})

    patient = RetryPolicy(attempts=2, wait_initial_s=0.0, wait_max_s=5, wait_jitter_s=0.0)
    assert took_s(lambda: client_of(Script(limited("1"), httpx.Response(200, json=[])), patient).machines()) >= 1
    assert took_s(lambda: client_of(Script(limited("20"), httpx.Response(200, json=[]))).machines()) < 10


def test_retries_end() -> None:
    script = Script(httpx.Response(429, json={"error": "resource_exhausted"}, headers={"Retry-After": "soon"}))
    with pytest.raises(FlyRateLimitedError) as caught:
        client_of(script).machines()
    assert caught.value.retry_after_s is None
    assert len(script.requests) == QUICK.attempts


def test_no_new_try_begins_after_the_time_is_up() -> None:
    script = Script(httpx.Response(503))
    hurried = RetryPolicy(attempts=100, timeout_s=0.2, wait_initial_s=0.05, wait_max_s=0.05, wait_jitter_s=0.0)
    with pytest.raises(Exception, match="503"):
        client_of(script, hurried).machines()
    assert len(script.requests) <= 6


@pytest.mark.parametrize("token", ["", " ", "FlyV1 abc\n", "FlyV1 é"])
def test_a_token_that_cannot_be_sent_is_refused_at_once_and_not_shown(token: str) -> None:
    with pytest.raises(SettingsError) as caught:
        FlyClient("app", SecretStr(token), base_url="http://fly/v1")
    assert "FlyV1" not in str(caught.value)


def test_a_destroyed_machine_counts_as_adopted_only_when_it_ran() -> None:
    started = {"type": "start", "status": "started", "timestamp": 1}
    gone = {"name": "task-1", "state": "destroyed", "config": {"metadata": {}}}
    script = Script(
        httpx.Response(500),
        httpx.Response(200, json=[gone | {"id": "never-ran"}, gone | {"id": "ran"}]),
        httpx.Response(200, json=gone | {"id": "never-ran"}),
        httpx.Response(200, json=gone | {"id": "ran", "events": [started]}),
    )
    request = MachineRequest(name="task-1", sizes=(MachineSize(cpu_kind="shared", cpus=1, memory_mb=256),), image="i")
    assert create_with_fallback(client_of(script), request).id == "ran"
    assert [request.method for request in script.requests] == ["POST", "GET", "GET", "GET"]
