"""The queues of the run functions, on SQS."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mailtide.contracts import Message
from mailtide.errors import SettingsError, TransientError
from mailtide.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def make_sqs_client() -> "SQSClient":
    """A client with time-outs and a few retries."""
    return boto3.client(
        "sqs", config=Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})
    )


class SqsQueues:
    """Implements mailtide.ports.Queues."""

    def __init__(self, client: "SQSClient", settings: Settings) -> None:
        self._sqs = client
        self._urls = {
            "plan": settings.plan_queue_url,
            "tick": settings.plan_queue_url,
            "launch": settings.launch_queue_url,
            "collect": settings.collect_queue_url,
            "finish": settings.finish_queue_url,
            "watch": settings.watch_queue_url,
        }

    def send(self, message: Message, *, delay_s: int = 0) -> None:
        """See mailtide.ports.Queues. SettingsError when this function was given no such queue."""
        url = self._urls[message.kind]
        if not url:
            raise SettingsError(f"The setting for the queue of {message.kind!r} messages is missing.")
        try:
            self._sqs.send_message(QueueUrl=url, MessageBody=message.model_dump_json(), DelaySeconds=delay_s)
        except (ClientError, BotoCoreError) as error:
            raise TransientError(f"send {message.kind}: {type(error).__name__}") from error
