"""From the body of a queue message to the call it stands for: our own messages, and S3's events by their key."""

import json

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mailtide.contracts import MESSAGE, CollectMessage, FinishMessage, Message, PlanMessage
from mailtide.runs import keys


class _Object(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str


class _Detail(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    object_: _Object = Field(alias="object")


class _ObjectCreated(BaseModel):
    """The part of EventBridge's `Object Created` that is read; the rest may change as it likes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    detail: _Detail


def parse(body: str) -> Message | None:
    """The message of a queue record; None for an event of an object that starts nothing (a wildcard in a rule
    crosses slashes, so strangers do arrive). ValueError when the body is neither: it belongs in the dead-letter queue."""
    content = json.loads(body)
    if isinstance(content, dict) and "kind" in content:
        return _own(content)
    try:
        return of_key(_ObjectCreated.model_validate(content).detail.object_.key)
    except ValidationError as error:
        raise ValueError("The body is neither a message of mailtide nor an event of S3.") from error


def _own(content: dict[str, object]) -> Message:
    try:
        return MESSAGE.validate_json(json.dumps(content))
    except ValidationError as error:
        raise ValueError(f"The {content['kind']!r} message is not valid: {error.errors()[0]['msg']}") from error


def of_key(key: str) -> Message | None:
    """What a new object asks for."""
    org = keys.parse_source(key)
    if org is not None:
        return PlanMessage(org=org)
    ended = keys.parse_result(key)
    if ended is not None:
        return FinishMessage(org=ended[0], run=ended[1])
    attempt = keys.parse_try(key)
    if attempt is not None and attempt[1] in {"manifest.json", "error.json"}:
        paths = attempt[0]
        return CollectMessage(org=paths.org, run=paths.run, task=paths.task, attempt=paths.attempt)
    return None
