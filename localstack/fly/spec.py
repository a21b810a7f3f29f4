"""Fly's own OpenAPI specification as a judge of requests and answers."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from starlette.datastructures import Headers, ImmutableMultiDict

SPEC_FILE = Path(__file__).with_name("machines-openapi.json")
_HOST = "http://localhost"


@dataclass
class SpecRequest:
    """A request in openapi-core's words; path begins with /v1."""

    method: str
    path: str
    query: ImmutableMultiDict[str, str]
    headers: Headers
    body: bytes
    host_url: str = _HOST
    parameters: RequestParameters = field(init=False)

    def __post_init__(self) -> None:
        self.method = self.method.lower()
        self.parameters = RequestParameters(query=self.query, header=self.headers)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "application/json")


@dataclass(frozen=True)
class SpecResponse:
    """An answer in openapi-core's words."""

    status_code: int
    data: bytes
    content_type: str = "application/json"

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": self.content_type}


@cache
def openapi() -> OpenAPI:
    """The specification, made strict: a field that it does not know is an error, so that typing errors show."""
    document = json.loads(SPEC_FILE.read_text())
    document["servers"] = [{"url": f"{_HOST}/v1"}]
    for schema in document["components"]["schemas"].values():
        _refuse_unknown_fields(schema)
    # Fly gives two operations the same id, which OpenAPI forbids.
    document["paths"]["/apps/{app_name}/machines/{machine_id}/metadata"]["patch"]["operationId"] += "_patch"
    for path in document["paths"].values():
        for operation in path.values():
            _leave_bodies_open(operation["responses"])
    return OpenAPI.from_dict(document)


def request_fault(request: SpecRequest) -> str | None:
    """What is wrong with a request, as one sentence, or None."""
    return _fault(request, None)


def response_fault(request: SpecRequest, response: SpecResponse) -> str | None:
    """What is wrong with the answer to a request, or None; a status that the specification leaves out is wrong too."""
    return _fault(request, response)


def _fault(request: SpecRequest, response: SpecResponse | None) -> str | None:
    try:
        if response is None:
            openapi().validate_request(request)
        else:
            openapi().validate_response(request, response)
    except OpenAPIError as error:
        return _told(error)
    return None


def _told(error: OpenAPIError) -> str:
    """The sentence of an error with the causes that openapi-core hides behind it."""
    parts = [str(error)]
    cause = error.__cause__
    while cause is not None:
        parts += [inner.message for inner in getattr(cause, "schema_errors", [])] or [str(cause)]
        cause = cause.__cause__
    return "; ".join(dict.fromkeys(part for part in parts if part))


def _refuse_unknown_fields(schema: dict[str, Any]) -> None:
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
        for inner in schema["properties"].values():
            _refuse_unknown_fields(inner)


def _leave_bodies_open(responses: dict[str, Any]) -> None:
    """An empty `content` is how Fly says nothing of a body (it sends `{"ok": true}`), not that there is none."""
    for response in responses.values():
        if response.get("content") == {}:
            del response["content"]
