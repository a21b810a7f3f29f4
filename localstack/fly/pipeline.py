"""The way of one API request: token, specification, faults, rate limit, action, faults again, specification again."""

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from localstack.fly.api import Call, Handler
from localstack.fly.faultbook import FaultBook, Target
from localstack.fly.faults import Dropped, NoCapacity, NotFound, RateLimited, RequestFault, ServerError, TimeOut
from localstack.fly.fleet import Fleet
from localstack.fly.problems import ApiError, no_such_machine
from localstack.fly.ratelimit import RateLimit
from localstack.fly.spec import SpecRequest, SpecResponse, request_fault, response_fault

LOG_ROWS = 20_000
_NO_CAPACITY = {
    "insufficient_capacity": (422, "insufficient capacity in region", "insufficient_capacity"),
    "aborted": (409, "aborted: no capacity", None),
    "volume_placement_capacity": (412, "insufficient resources to create new machine", "volume_placement_capacity"),
    "over_quota": (403, "organization is over the allowed quota. please consider other regions", None),
}


class ConnectionDropped(Exception):  # noqa: N818 - an outcome that was asked for, not an error
    """The connection was cut on purpose; there is nothing to answer."""


@dataclass
class Pipeline:
    """Everything that a request passes; `log` keeps one row each of the latest requests, without tokens or bodies."""

    fleet: Fleet
    token: str
    faults: FaultBook
    rate_limit: RateLimit
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LOG_ROWS))

    def endpoint(self, action: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The Starlette endpoint of one action."""

        async def answer(request: Request) -> Response:
            row: dict[str, Any] = {
                "at": time.time(),
                "action": action,
                "method": request.method,
                "path": request.url.path,
                "query": request.url.query,
                "status": None,
                "fault": None,
            }
            self.log.append(row)
            try:
                response = await self._answer(action, handler, request, row)
            except ApiError as error:
                response = json_response(error.http_status, error.body, error.headers)
            row["status"] = response.status_code
            return response

        return answer

    async def _answer(self, action: str, handler: Handler, request: Request, row: dict[str, Any]) -> Response:
        self._check_token(request)
        body = await request.body()
        asked = SpecRequest(request.method, request.url.path, request.query_params, request.headers, body)
        if wrong := request_fault(asked):
            raise ApiError(400, f"invalid_argument: {wrong}")
        content = json.loads(body) if body else {}
        struck = self.faults.for_request(self._target(action, request, content))
        row["fault"] = struck[0] if struck else None
        fault = struck[1] if struck else None
        if fault and getattr(fault, "when", "before") == "before":
            await _fail(fault, request)
        self._check_rate(action, request)
        call = Call(
            self.fleet,
            request.path_params["app_name"],
            request.path_params,
            request.query_params,
            request.headers,
            content,
        )
        status, result = await handler(call)
        if fault:
            await _fail(fault, request)
        response = json_response(status, result)
        if wrong := response_fault(asked, SpecResponse(status, bytes(response.body))):
            raise ApiError(500, f"internal: this server's own answer breaks the specification: {wrong}")
        return response

    def _check_token(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.encode(), self.token.encode()):
            raise ApiError(401, "unauthenticated: the token is missing or wrong")

    def _check_rate(self, action: str, request: Request) -> None:
        subject = request.path_params.get("machine_id") or request.path_params["app_name"]
        if not self.rate_limit.allows(action, subject):
            raise ApiError(429, "resource_exhausted: rate limit exceeded")

    def _target(self, action: str, request: Request, content: dict[str, Any]) -> Target:
        seen = (action, request.method, request.url.path)
        if action == "create":
            guest = (content.get("config") or {}).get("guest") or {}
            return Target(*seen, content.get("name") or "", content.get("region"), guest.get("memory_mb"))
        try:
            if action == "volume_create":
                return Target(*seen, content.get("name") or "", content.get("region"))
            machine = self.fleet.life(request.path_params["app_name"], request.path_params["machine_id"]).machine
        except (ApiError, KeyError):
            return Target(*seen)
        return Target(*seen, machine.name, machine.region, machine.memory_mb)


def json_response(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:  # noqa: ANN401 - any JSON
    """A JSON answer; without a body for 204."""
    if status == HTTPStatus.NO_CONTENT:
        return Response(status_code=status)
    return Response(json.dumps(content), status, headers, media_type="application/json")


async def _fail(fault: RequestFault, request: Request) -> None:
    """Fail in the way of the fault; always raises."""
    if isinstance(fault, TimeOut):
        await _hang(request, fault.hang_s)
    if isinstance(fault, TimeOut | Dropped):
        await _drop(request)
    raise _refusal(fault)


def _refusal(fault: RequestFault) -> ApiError:
    if isinstance(fault, ServerError):
        return ApiError(fault.status, f"{HTTPStatus(fault.status).phrase.lower().replace(' ', '_')}: planted fault")
    if isinstance(fault, RateLimited):
        headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
        return ApiError(429, "resource_exhausted: rate limit exceeded", headers=headers)
    if isinstance(fault, NoCapacity):
        return ApiError(*_NO_CAPACITY[fault.wording])
    if isinstance(fault, NotFound):
        return no_such_machine()
    return ApiError(401, "unauthenticated: the token is missing or wrong")


async def _hang(request: Request, hang_s: float) -> None:
    """Say nothing until time is up or the client has gone."""
    try:
        async with asyncio.timeout(hang_s):
            while not await request.is_disconnected():
                await asyncio.sleep(0.05)
    except TimeoutError:
        return


async def _drop(request: Request) -> None:
    """Cut the connection and wait until the server knows it."""
    request.scope["fly.abort"]()
    while not await request.is_disconnected():
        await asyncio.sleep(0)
    raise ConnectionDropped
