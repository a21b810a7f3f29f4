"""RunFinished on the event bus."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mailtide.contracts import RunFinished
from mailtide.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


def make_events_client() -> "EventBridgeClient":
    """A client with time-outs and a few retries."""
    return boto3.client(
        "events",
        config=Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4}),
    )


class EventBridgeAnnouncer:
    """Implements mailtide.ports.Announcer. bucket: told as the event's resource, so that deployments can share a bus."""

    def __init__(self, client: "EventBridgeClient", bus_name: str, bucket: str) -> None:
        self._events = client
        self._bus_name = bus_name
        self._bucket = bucket

    def run_finished(self, event: RunFinished) -> None:
        """See mailtide.ports.Announcer."""
        entry = {
            "Source": "mailtide",
            "DetailType": "RunFinished",
            "Detail": event.model_dump_json(),
            "EventBusName": self._bus_name,
            "Resources": [f"arn:aws:s3:::{self._bucket}"],
        }
        try:
            answer = self._events.put_events(Entries=[entry])  # type: ignore[list-item]  # a plain dict fits
        except (ClientError, BotoCoreError) as error:
            raise TransientError(f"put_events: {type(error).__name__}") from error
        if answer["FailedEntryCount"]:
            raise TransientError("put_events: the bus refused the event")
