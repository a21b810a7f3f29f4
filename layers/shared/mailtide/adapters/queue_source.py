"""A queue as something to poll: what Lambda's event source mapping does, for processes that are no functions."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from mailtide.errors import TransientError
from mailtide.polling import Received

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH = 10
"""Messages that SQS hands out, or takes back, in one request."""
LONG_POLL_S = 5
"""As long as a process that is told to end may take to notice."""


class SqsSource:
    """Implements mailtide.polling.Source."""

    def __init__(
        self, client: "SQSClient", url: str, *, window_s: float, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """window_s: how long a batch is gathered after its first message."""
        self._sqs = client
        self._url = url
        self._window_s = window_s
        self._monotonic_s = monotonic_s

    def receive(self, most: int, *, hidden_s: int) -> list[Received]:
        """See mailtide.polling.Source. Waits up to LONG_POLL_S for the first message."""
        found = self._receive(min(most, BATCH), LONG_POLL_S, hidden_s)
        ends_at_s = self._monotonic_s() + self._window_s
        while found and len(found) < most and self._monotonic_s() < ends_at_s:
            more = self._receive(min(most - len(found), BATCH), 1, hidden_s)
            if not more:
                break
            found += more
        return found

    def delete(self, messages: Sequence[Received]) -> None:
        """See mailtide.polling.Source."""
        for start in range(0, len(messages), BATCH):
            part = messages[start : start + BATCH]
            try:
                self._sqs.delete_message_batch(
                    QueueUrl=self._url,
                    Entries=[{"Id": str(place), "ReceiptHandle": one.receipt} for place, one in enumerate(part)],
                )
            except (ClientError, BotoCoreError) as error:
                raise TransientError(f"delete_message_batch: {_name(error)}") from error

    def _receive(self, most: int, wait_s: int, hidden_s: int) -> list[Received]:
        try:
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=wait_s,
                VisibilityTimeout=hidden_s,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
        except (ClientError, BotoCoreError) as error:
            raise TransientError(f"receive_message: {_name(error)}") from error
        return [
            Received(
                one["MessageId"],
                one["Body"],
                one["ReceiptHandle"],
                {str(name): value for name, value in one.get("Attributes", {}).items()},
            )
            for one in answer.get("Messages", [])
        ]


def _name(error: Exception) -> str:
    """Of a refusal its code, which says more than that it is one."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else type(error).__name__
