"""The OpenAPI 3.1 document of the API, from the types of its routes."""

import json
from typing import Any

from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer, License

from mailtide import __version__
from mailtide.api.gate import OPEN
from mailtide.api.handler import make_app

DESCRIPTION = (
    "Runs and organisations, status and control of the warm-up, and the webhook of buckets on Tigris. Every request but the one "
    "for health carries a bearer token (`mailtide tokens add`); an organisation's token sees and controls only its own runs, a "
    "user's only that user's mailboxes. The page at / uses a session in a cookie instead, and sends `X-Mailtide: page` with each "
    'order. Refusals are one sentence: {"error": "…"}.'
)


def openapi_text() -> str:
    """The document as JSON, with its keys in order."""
    document = json.loads(_made_from_types())
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _refusals_as_they_are(operation)
            if (method.upper(), path) in OPEN:
                operation["security"] = []
    for unused in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _refusals_as_they_are(operation: dict[str, Any]) -> None:
    """Powertools documents its own 422; bad input gets 400 here. Every route may refuse in ways that none declares."""
    responses = operation["responses"]
    if "HTTPValidationError" in json.dumps(responses.get("422", "")):
        del responses["422"]
    responses["default"] = {
        "description": "Refused: 413 or 414 too large, 415 no JSON, 429 too many wrong tokens, 500 a mistake here, "
        "503 try again later.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}},
    }


def _made_from_types() -> str:
    return make_app().get_openapi_json_schema(
        title="mailtide",
        version=__version__,
        description=DESCRIPTION,
        license_info=License(name="Apache-2.0", identifier="Apache-2.0"),
        security_schemes={"token": HTTPBearer(description="A token made by `mailtide tokens add`.")},
        security=[{"token": []}],
    )
