"""The queues of the run functions, on SQS."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from mailtide.adapters.refusals import PASSING, usable_endpoint
from mailtide.contracts import Message
from mailtide.errors import SettingsError, TransientError
from mailtide.settings import WHERE_TO_FIND, Settings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def make_sqs_client(*, connections: int = 10) -> "SQSClient":
    """A client with time-outs and a few retries, and as many connections as there are threads that use it."""
    config = Config(
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 4},
    )
    with usable_endpoint():
        return boto3.client("sqs", config=config)


class SqsQueues:
    """Implements mailtide.ports.Queues."""

    def __init__(self, client: "SQSClient", settings: Settings) -> None:
        self._sqs = client
        self._urls = {
            "plan": settings.plan_queue_url,
            "launch": settings.launch_queue_url,
            "collect": settings.collect_queue_url,
            "finish": settings.finish_queue_url,
            "watch": settings.watch_queue_url,
            "webhook": settings.webhook_queue_url,
        }

    def send(self, message: Message, *, delay_s: int = 0) -> None:
        """See mailtide.ports.Queues. SettingsError when this function was given no such queue."""
        queue = "plan" if message.kind == "tick" else message.kind
        url = self._urls[queue]
        if not url:
            raise SettingsError(f"The setting MAILTIDE_{queue.upper()}_QUEUE_URL is missing; {WHERE_TO_FIND}.")
        try:
            self._sqs.send_message(QueueUrl=url, MessageBody=message.model_dump_json(), DelaySeconds=delay_s)
        except PASSING as error:
            raise TransientError(f"send {message.kind}: {type(error).__name__}") from error
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) < 500:
                raise
            raise TransientError(f"send {message.kind}: the queue failed") from error
