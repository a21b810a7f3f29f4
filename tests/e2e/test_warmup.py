"""The warm-up on the deployed template: mailboxes in, a tick, and each mail arrives once, however often anything comes twice."""

import csv
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from localstack.cloud import LocalCloud
from localstack.mail_sink import MailSink
from mailtide.warmup.contracts import SendMessage
from mailtide.warmup.ids import message_id

MAILTIDE = Path(sys.executable).with_name("mailtide")
MAILBOXES = 16
PASSWORD = "not a secret"
QUEUES = ("warmup_plan", "warmup_dispatch", "warmup_send")


def _address(number: int) -> str:
    return f"box{number}@company{number // 2}.example"


@pytest.fixture(scope="module")
def sink() -> Iterator[MailSink]:
    with MailSink({_address(number): PASSWORD for number in range(MAILBOXES)}) as running:
        yield running


class Warmup:
    """What an operator does with the deployed warm-up, and what the queues hold."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.sqs: Any = cloud.client("sqs")

    def mailtide(self, *arguments: object) -> str:
        done = subprocess.run(
            [str(MAILTIDE), *map(str, arguments)],
            env=self.cloud.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def tick(self) -> None:
        """What the schedule sends."""
        url = self.cloud.stack.queue_url("warmup_plan")
        self.sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"kind": "warmup_tick"}))

    def depth(self, url: str) -> int:
        """Messages that are waiting or being worked on; not those that are not due yet."""
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])

    def set_sender(self, *, enabled: bool) -> None:
        """Whether send_mail takes messages from its queue."""
        functions: Any = self.cloud.client("lambda")
        (name,) = (name for name in self.cloud.stack.functions if name.endswith("send-mail"))
        (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)

    def take_all(self) -> list[str]:
        """The bodies on the send queue, taken off it."""
        url, bodies = self.cloud.stack.queue_url("warmup_send"), []
        while found := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get(
            "Messages"
        ):
            for message in found:
                bodies.append(message["Body"])
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


def _until(condition: Callable[[], bool], timeout_s: float, what: str, poll_s: float = 0.1) -> None:
    ends_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at, what
        time.sleep(poll_s)


def _write_pool(path: Path, port: int) -> None:
    """Mailboxes of one mail a day, whose window opened three minutes ago, so that most of the mails are due."""
    now = datetime.now(UTC)
    minute = now.hour * 60 + now.minute
    opens, closes = max(0, minute - 3), min(1_439, minute + 2)
    window = f"{opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"
    long_ago = now.date() - timedelta(days=60)
    with path.open("w", newline="") as text:
        lines = csv.writer(text)
        names = ("mailbox_id", "user_id", "address", "smtp_host", "smtp_port", "smtp_security")
        lines.writerow([*names, "password", "start_count", "max_daily", "window", "first_day"])
        for number in range(MAILBOXES):
            box = (f"box{number}", f"user{number // 2}", _address(number), "127.0.0.1", port, "none")
            lines.writerow([*box, PASSWORD, 1, 1, window, long_ago])


def test_each_mail_arrives_once_however_often_ticks_and_messages_come(
    cloud: LocalCloud, sink: MailSink, tmp_path: Path
) -> None:
    warmup = Warmup(cloud)
    file = tmp_path / "mailboxes.csv"
    _write_pool(file, sink.port)
    assert f"{MAILBOXES} mailboxes imported" in warmup.mailtide("mailboxes", "import", file)

    # A tick comes twice; its mails wait until each of them stands on the queue three times.
    warmup.set_sender(enabled=False)
    send_url = cloud.stack.queue_url("warmup_send")
    try:
        for _ in range(2):
            warmup.tick()
        bodies: list[str] = []

        def enough() -> bool:
            bodies.extend(warmup.take_all())
            return len(bodies) >= 4

        _until(enough, 40, "the tick has queued too few mails")
        for body in bodies * 3:
            cloud.client("sqs").send_message(QueueUrl=send_url, MessageBody=body)
    finally:
        warmup.set_sender(enabled=True)
    messages = [SendMessage.model_validate_json(body) for body in bodies]
    assert len({message.send_id for message in messages}) == len(messages), "the doubled tick was dispatched twice"
    domains = {f"box{number}": _address(number).partition("@")[2] for number in range(MAILBOXES)}
    expected = {message_id(message.send_id, domains[message.mailbox_id]) for message in messages}

    def arrived() -> set[str]:
        return {mail.message_id for mail in list(sink.arrived)}

    def again() -> bool:
        # What the edge of a minute held back is offered by the next tick.
        warmup.tick()
        return expected <= arrived()

    _until(again, 60, "mails are missing", poll_s=1.0)
    _until(lambda: warmup.depth(send_url) == 0, 30, "messages are left", poll_s=0.5)
    counts = Counter(mail.message_id for mail in sink.arrived)
    assert set(counts.values()) == {1}
    assert set(Counter(mail.sender for mail in sink.arrived).values()) == {1}
    for mail in sink.arrived:
        assert mail.sender.partition("@")[2] != mail.recipient.partition("@")[2]

    for queue in QUEUES:
        assert warmup.depth(cloud.stack.dead_letters_url(queue)) == 0, queue
    status = json.loads(warmup.mailtide("warmup", "status", "--json"))
    assert (status["total_mailboxes"], status["shards_reporting"]) == (MAILBOXES, status["shards"])
    logs = cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/mailtide-plan-warmup")["events"]
    assert any('"warmup_system_health"' in event["message"] for event in logs), "the alarms watch this gauge"
    everything = [
        event["message"]
        for name in ("plan-warmup", "dispatch-shard", "send-mail")
        for event in cloud.client("logs").filter_log_events(logGroupName=f"/aws/lambda/mailtide-{name}")["events"]
    ]
    assert not [line for line in everything if PASSWORD in line or "@company" in line]
