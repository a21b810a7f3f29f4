"""The ASGI application: the Machines API below /v1, and the admin paths that begin with an underscore."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from localstack.fly.faultbook import FaultBook
from localstack.fly.faults import FAULT
from localstack.fly.fleet import Fleet
from localstack.fly.pipeline import ConnectionDropped, Pipeline, json_response
from localstack.fly.ratelimit import RateLimit
from localstack.fly.routes import ROUTES
from localstack.fly.spec import openapi


@dataclass(frozen=True)
class Options:
    """What a server is started with. images: name -> command line; rate_per_s: None switches the rate limit off."""

    token: str
    images: Mapping[str, list[str]]
    log_dir: Path
    rate_per_s: float | None = 1.0


class App:
    """Starlette, with dropped connections kept out of its error handling; its machines die with its lifespan."""

    def __init__(self, options: Options) -> None:
        self._faults = FaultBook()
        self._fleet = Fleet(options.images, options.log_dir, self._faults)
        self._pipeline = Pipeline(self._fleet, options.token, self._faults, RateLimit(options.rate_per_s))
        api = [Route(path, self._pipeline.endpoint(name, run), methods=[verb]) for verb, path, name, run in ROUTES]
        self._starlette = Starlette(
            routes=[
                *api,
                Route("/v1/{path:path}", _unimplemented, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
                Route("/_health", _health),
                Route("/_faults", self._plant, methods=["POST"]),
                Route("/_faults", self._planted, methods=["GET"]),
                Route("/_faults", self._remove, methods=["DELETE"]),
                Route("/_faults/{fault_id}", self._remove, methods=["DELETE"]),
                Route("/_machines", self._machines),
                Route("/_volumes", self._volumes),
                Route("/_requests", self._requests),
            ],
            lifespan=self._lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry."""
        with contextlib.suppress(ConnectionDropped):
            await self._starlette(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        openapi()
        try:
            yield
        finally:
            await self._fleet.close()

    async def _plant(self, request: Request) -> Response:
        try:
            fault = FAULT.validate_json(await request.body())
        except ValidationError as error:
            return json_response(422, {"error": [f"{row['loc']}: {row['msg']}" for row in error.errors()]})
        return JSONResponse(self._faults.plant(fault).row(), 201)

    async def _planted(self, _: Request) -> Response:
        return JSONResponse(self._faults.rows())

    async def _remove(self, request: Request) -> Response:
        if not self._faults.remove(request.path_params.get("fault_id")):
            return json_response(404, {"error": "no such fault"})
        return Response(status_code=204)

    async def _machines(self, _: Request) -> Response:
        rows = [
            machine.view(summary=True)
            | {
                "app": machine.app,
                "vanished": machine.vanished,
                "pid": machine.pid,
                "log": str(machine.log),
                "metadata": machine.metadata,
                "faults": [fault.kind for fault in machine.faults],
                "struck": machine.struck,
            }
            for machine in self._fleet.all()
        ]
        return JSONResponse(rows)

    async def _volumes(self, _: Request) -> Response:
        rows = [v.view() | {"app": v.app, "folder": str(v.folder)} for v in self._fleet.volumes.all()]
        return JSONResponse(rows)

    async def _requests(self, _: Request) -> Response:
        return JSONResponse(list(self._pipeline.log))


async def _health(_: Request) -> Response:
    return JSONResponse({"ok": True})


async def _unimplemented(_: Request) -> Response:
    return json_response(501, {"error": "unimplemented: this local server does not have that part of the API"})
