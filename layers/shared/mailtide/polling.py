"""Polls a queue and hands its messages to a function's handler, as Lambda would, for teams without Lambda (spec §8).

One batch at a time: more of them are more processes. A message is hidden from others for longer than its batch may take, is
deleted when the handler has not named it as failed, and else comes back (or goes to the dead letters) by the queue's own rules.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from mailtide.errors import TransientError

MARGIN_S = 60
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0

log = logging.getLogger("mailtide.polling")

type Handler = Callable[[dict[str, Any], Any], Any]
"""A function's: an SQS event and a context in, `batchItemFailures` out."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message, hidden from others for a while."""

    message_id: str
    body: str
    receipt: str
    attributes: dict[str, str]


class Source(Protocol):
    """A queue."""

    def receive(self, most: int, *, hidden_s: int) -> list[Received]:
        """Up to `most` messages, after some seconds of waiting none; hidden from others for `hidden_s`. TransientError."""

    def delete(self, messages: Sequence[Received]) -> None:
        """They never come back. TransientError: some may."""


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What Lambda hands over beside the event; the time left is that of the batch."""

    function_name: str
    ends_at_s: float
    """Of the monotonic clock."""
    memory_limit_in_mb: int = 0
    invoked_function_arn: str = "arn:aws:lambda:local:000000000000:function:container"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))

    def get_remaining_time_in_millis(self) -> int:
        """Until the batch has to be over."""
        return max(0, int((self.ends_at_s - time.monotonic()) * 1000))


class Poller:
    """Runs until it is told to stop; the batch that is under way is finished."""

    def __init__(
        self,
        name: str,
        source: Source,
        handler: Handler,
        *,
        most: int,
        batch_s: int,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """most: messages of a batch. batch_s: the time it may take. before: called before each look at the queue."""
        self._name = name
        self._source = source
        self._handler = handler
        self._most = most
        self._batch_s = batch_s
        self._before = before
        self._stopping = threading.Event()
        self._alive_s = time.monotonic()
        self.batches = 0

    def run(self) -> None:
        """Poll until `stop`. What fails for the moment is tried again, after pauses that double up to LONGEST_PAUSE_S."""
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._alive_s = time.monotonic()
            try:
                self._before()
                self._handle(self._source.receive(self._most, hidden_s=self._batch_s + MARGIN_S))
            except TransientError as error:
                log.warning("%s: %s; again in %.0f s", self._name, error, pause_s)
                self._stopping.wait(pause_s)
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
            else:
                pause_s = FIRST_PAUSE_S

    def stop(self) -> None:
        """From a signal's handler or another thread."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def silent_s(self) -> float:
        """Seconds since it last began to look at the queue."""
        return time.monotonic() - self._alive_s

    def is_alive(self) -> bool:
        """False when a batch has taken longer than any may."""
        return self.silent_s() < self._batch_s + MARGIN_S

    def _handle(self, received: list[Received]) -> None:
        if not received:
            return
        context = BatchContext(self._name, time.monotonic() + self._batch_s)
        try:
            answer = self._handler({"Records": [_record(message) for message in received]}, context)
        except Exception as error:  # noqa: BLE001 - as in Lambda, the batch stays on the queue; its text may quote a message
            log.error("%s: a batch failed (%s)", self._name, type(error).__name__)
            return
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        self._source.delete([message for message in received if message.message_id not in failed])
        self.batches += 1


def _record(message: Received) -> dict[str, Any]:
    return {
        "messageId": message.message_id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": message.attributes,
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }
