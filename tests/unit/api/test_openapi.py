"""The OpenAPI document is one, and the samples of the function are requests of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from mailtide.api.openapi import openapi_text

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT: dict[str, Any] = json.loads(openapi_text())
OPERATIONS = [
    (path, method, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]


def test_it_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=[one[2]["operationId"] for one in OPERATIONS])
def test_every_operation_says_what_it_is(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert path.startswith(("/api/", "/v1/"))
    assert method in {"get", "post", "delete"}
    for parameter in operation.get("parameters", []):
        assert parameter["description"].endswith(".")
    assert {"200", "303"} & operation["responses"].keys()
    assert {"400", "default"} <= operation["responses"].keys()
    assert "422" not in operation["responses"] or path == "/api/warmup/control"


def test_only_health_is_open() -> None:
    assert DOCUMENT["security"] == [{"token": []}]
    assert [path for path, _, operation in OPERATIONS if operation.get("security") == []] == ["/api/health"]


@pytest.mark.parametrize("sample", sorted((ROOT / "events").glob("api.*.json")), ids=lambda path: path.stem)
def test_a_sample_is_a_request_of_it(sample: Path) -> None:
    event = json.loads(sample.read_text())
    assert event["version"] == "2.0"
    assert event["requestContext"]["http"]["method"].lower() in DOCUMENT["paths"][event["rawPath"]]
