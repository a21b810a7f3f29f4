"""A transport that lets nothing pass which breaks Fly's specification, in either direction."""

import json

import httpx
from starlette.datastructures import Headers, ImmutableMultiDict

from localstack.fly.spec import SpecRequest, SpecResponse, request_fault, response_fault

ERROR_FIELDS = {"error", "status", "details"}


class JudgingTransport(httpx.BaseTransport):
    """The real HTTP transport; `exchanges` counts what was judged."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()
        self.exchanges = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        query = ImmutableMultiDict(request.url.params.multi_items())
        asked = SpecRequest(request.method, request.url.path, query, Headers(dict(request.headers)), request.content)
        assert request_fault(asked) is None
        response = self._inner.handle_request(request)
        response.read()
        if response.status_code < 400:
            assert response_fault(asked, SpecResponse(response.status_code, response.content)) is None
        else:
            body = json.loads(response.content)
            assert isinstance(body["error"], str)
            assert set(body) <= ERROR_FIELDS
        self.exchanges += 1
        return response

    def close(self) -> None:
        """Stays open: clients come and go, and a new pool of connections costs a TLS context each."""

    def shut(self) -> None:
        self._inner.close()
