"""The queues of the warm-up functions, on SQS."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from mailtide.errors import SettingsError, TransientError
from mailtide.warmup.contracts import DomainTick, SendMessage, ShardTick, WarmupTick
from mailtide.warmup.ports import QueueDepth
from mailtide.warmup.reading.contracts import ReadMessage
from mailtide.warmup.settings import WarmupResources

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

BATCH = 10
"""Messages that SQS takes in one request."""


class SqsMailQueue:
    """Implements mailtide.warmup.ports.MailQueue and mailtide.warmup.reading.ports.ReadQueue."""

    def __init__(self, client: "SQSClient", resources: WarmupResources) -> None:
        self._sqs = client
        self._resources = resources

    def send_plan(self, tick: WarmupTick) -> None:
        """See mailtide.warmup.ports.MailQueue."""
        self._send(_url(self._resources.warmup_plan_queue_url, "WARMUP_PLAN"), [(tick.model_dump_json(), 0)])

    def send_ticks(self, ticks: Sequence[ShardTick]) -> None:
        """See mailtide.warmup.ports.MailQueue."""
        url = _url(self._resources.warmup_dispatch_queue_url, "WARMUP_DISPATCH")
        self._send(url, [(tick.model_dump_json(), 0) for tick in ticks])

    def send_domains(self, tick: DomainTick) -> None:
        """See mailtide.warmup.ports.MailQueue."""
        self._send(_url(self._resources.warmup_plan_queue_url, "WARMUP_PLAN"), [(tick.model_dump_json(), 0)])

    def send_mails(self, mails: Sequence[tuple[SendMessage, int]]) -> None:
        """See mailtide.warmup.ports.MailQueue."""
        url = _url(self._resources.warmup_send_queue_url, "WARMUP_SEND")
        self._send(url, [(mail.model_dump_json(exclude_none=True), delay_s) for mail, delay_s in mails])

    def send_reads(self, messages: Sequence[tuple[ReadMessage, int]]) -> None:
        """See mailtide.warmup.reading.ports.ReadQueue."""
        url = _url(self._resources.warmup_read_queue_url, "WARMUP_READ")
        self._send(url, [(message.model_dump_json(), delay_s) for message, delay_s in messages])

    def depth(self) -> QueueDepth:
        """See mailtide.warmup.ports.MailQueue."""
        return self._depth(_url(self._resources.warmup_send_queue_url, "WARMUP_SEND"))

    def _depth(self, url: str) -> QueueDepth:
        try:
            answer = self._sqs.get_queue_attributes(
                QueueUrl=url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesDelayed",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )["Attributes"]
        except (ClientError, BotoCoreError) as error:
            raise TransientError(f"get_queue_attributes: {type(error).__name__}") from error
        return QueueDepth(
            visible=int(answer["ApproximateNumberOfMessages"]),
            delayed=int(answer["ApproximateNumberOfMessagesDelayed"]),
            in_flight=int(answer["ApproximateNumberOfMessagesNotVisible"]),
        )

    def dead_letters(self) -> int | None:
        """Messages in the dead-letter queues; None when the settings name none. TransientError."""
        urls = self._resources.warmup_dead_letter_urls
        return sum(self._depth(url).visible for url in urls) if urls else None

    def _send(self, url: str, bodies: Sequence[tuple[str, int]]) -> None:
        for start in range(0, len(bodies), BATCH):
            entries: list[SendMessageBatchRequestEntryTypeDef] = [
                {"Id": str(number), "MessageBody": body, "DelaySeconds": delay_s}
                for number, (body, delay_s) in enumerate(bodies[start : start + BATCH])
            ]
            try:
                answer = self._sqs.send_message_batch(QueueUrl=url, Entries=entries)
            except (ClientError, BotoCoreError) as error:
                raise TransientError(f"send_message_batch: {type(error).__name__}") from error
            if answer.get("Failed"):
                raise TransientError(f"send_message_batch: {len(answer['Failed'])} messages were refused")


def _url(url: str, name: str) -> str:
    if not url:
        raise SettingsError(f"The setting MAILTIDE_{name}_QUEUE_URL is missing.")
    return url
