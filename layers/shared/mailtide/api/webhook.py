"""POST /api/webhooks/tigris: what a bucket on Tigris says of new objects, in place of EventBridge."""

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import BaseModel, ConfigDict, Field

from mailtide.api.once import once
from mailtide.api.problems import ProblemError, answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.bootstrap import queues
from mailtide.runs.inbox import of_key
from mailtide.settings import load_settings

CREATED = "OBJECT_CREATED"

router = ApiRouter()


class StoredObject(BaseModel):
    """The object that an event is about."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str = Field(max_length=1_024)
    etag: str = Field(default="", alias="eTag", max_length=256)


class BucketEvent(BaseModel):
    """One event; fields that are not named here are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    event_name: str = Field(alias="eventName", max_length=64)
    event_time: str = Field(default="", alias="eventTime", max_length=64)
    bucket: str = Field(max_length=255)
    stored: StoredObject = Field(alias="object")


class BucketEvents(BaseModel):
    """A delivery; it may come more than once, and in any order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    events: tuple[BucketEvent, ...] = Field(max_length=100)


class Taken(BaseModel):
    """What became of a delivery."""

    queued: int = Field(description="Events that started something, now or at an earlier delivery.")
    ignored: int = Field(description="Events of objects that start nothing.")


@router.post(
    "/api/webhooks/tigris",
    summary="New objects in a bucket on Tigris",
    operation_id="tigrisWebhook",
    tags=["webhooks"],
    responses=documented(
        Taken,
        description="Every event was taken; the delivery need not come again.",
        refusals={403: "The token is no webhook's.", 409: "The same event is being taken just now."},
    ),
)
def tigris(delivery: Annotated[BucketEvents, Body(description="As Tigris sends it.")]) -> Response[str]:
    """Each event is queued once, however often it is delivered."""
    if router.caller.scope != "webhook":
        raise ProblemError(HTTPStatus.FORBIDDEN, "This needs a token that was made for webhooks.")
    queued = sum(_take(event) for event in delivery.events)
    return answer(Taken(queued=queued, ignored=len(delivery.events) - queued))


def _take(event: BucketEvent) -> bool:
    if not event.event_name.startswith(CREATED) or event.bucket != load_settings().bucket:
        return False
    message = of_key(event.stored.key)
    if message is None:
        return False

    def queue() -> dict[str, Any]:
        queues().send(message)
        return {"kind": message.kind}

    name = f"tigris/{event.stored.key}/{event.stored.etag}/{event.event_time}"
    once(name, event.bucket, queue, router.lambda_context)
    return True
