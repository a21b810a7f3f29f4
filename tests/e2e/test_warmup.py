"""The warm-up on the deployed template: mailboxes in, a tick, and each mail arrives once, however often anything comes twice."""

import csv
import json
import re
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
from localstack.mail_servers import packages
from localstack.mail_sink import Arrived, MailSink
from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.placements import DynamoPlacements
from mailtide.adapters.dynamodb.table import Table
from mailtide.warmup.contracts import LedgerKey, SendMessage
from mailtide.warmup.ids import message_id, parse_message_id
from mailtide.warmup.reading.contracts import Placement, ReadMessage
from tests.support.postfix_dovecot import Account, Post

MAILTIDE = Path(sys.executable).with_name("mailtide")
MAILBOXES = 16
PASSWORD = "not a secret"
QUEUES = ("warmup_plan", "warmup_dispatch", "warmup_send", "warmup_read")


def _address(number: int) -> str:
    return f"box{number}@company{number // 2}.example"


@pytest.fixture(scope="module")
def sink() -> Iterator[MailSink]:
    with MailSink({_address(number): PASSWORD for number in range(MAILBOXES)}) as running:
        yield running


@pytest.fixture(scope="module")
def imap(request: pytest.FixtureRequest) -> "Post | None":
    """A real IMAP server with these mailboxes; None where it cannot be had, which spares no more than the visits."""
    if packages.why_not() is not None:
        return None
    post: Post = request.getfixturevalue("post")
    post.servers.set_passwords({_address(number): PASSWORD for number in range(MAILBOXES)})
    return post


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


def _write_pool(path: Path, port: int, imap_port: int | None) -> None:
    """Mailboxes of one mail a day, whose window opened three minutes ago, so that most of the mails are due."""
    now = datetime.now(UTC)
    minute = now.hour * 60 + now.minute
    opens, closes = max(0, minute - 3), min(1_439, minute + 2)
    window = f"{opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"
    long_ago = now.date() - timedelta(days=60)
    with path.open("w", newline="") as text:
        lines = csv.writer(text)
        names = ("mailbox_id", "user_id", "address", "smtp_host", "smtp_port", "smtp_security")
        imap = ("imap_host", "imap_port", "imap_security") if imap_port else ()
        lines.writerow([*names, *imap, "password", "start_count", "max_daily", "window", "first_day"])
        for number in range(MAILBOXES):
            box = (f"box{number}", f"user{number // 2}", _address(number), "127.0.0.1", port, "none")
            served = ("127.0.0.1", imap_port, "none") if imap_port else ()
            lines.writerow([*box, *served, PASSWORD, 1, 1, window, long_ago])


def _taken_of_doubled_ticks(warmup: Warmup) -> list[str]:
    """Some of the mails that are due, taken off the queue. A function that starts cold may be too late for a minute's tick."""
    bodies: list[str] = []
    asked_in: set[int] = set()

    def enough() -> bool:
        if (minute := int(time.time() // 60)) not in asked_in:
            asked_in.add(minute)
            for _ in range(2):
                warmup.tick()
        bodies.extend(warmup.take_all())
        return len(bodies) >= 4

    _until(enough, 150, "the ticks have queued too few mails")
    return bodies


def test_each_mail_arrives_once_however_often_ticks_and_messages_come(
    cloud: LocalCloud, sink: MailSink, imap: Post | None, tmp_path: Path
) -> None:
    warmup = Warmup(cloud)
    file = tmp_path / "mailboxes.csv"
    _write_pool(file, sink.port, imap.servers.ports.imap if imap else None)
    assert f"{MAILBOXES} mailboxes imported" in warmup.mailtide("mailboxes", "import", file)

    # A tick comes twice; its mails wait until each of them stands on the queue three times.
    warmup.set_sender(enabled=False)
    send_url = cloud.stack.queue_url("warmup_send")
    try:
        bodies = _taken_of_doubled_ticks(warmup)
        for body in bodies * 3:
            cloud.client("sqs").send_message(QueueUrl=send_url, MessageBody=body)
    finally:
        warmup.set_sender(enabled=True)
    messages = [SendMessage.model_validate_json(body) for body in bodies]
    of_ticks = {(message.send_id, message.tick_end_ms) for message in messages}
    assert len(of_ticks) == len(messages), "the doubled tick was dispatched twice"
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

    if imap is not None:
        _check_a_visit(warmup, imap, messages, next(mail for mail in sink.arrived if mail.message_id in expected))
    for queue in QUEUES:
        assert warmup.depth(cloud.stack.dead_letters_url(queue)) == 0, queue
    status = json.loads(warmup.mailtide("warmup", "status", "--json"))
    assert (status["total_mailboxes"], status["shards_reporting"]) == (MAILBOXES, status["shards"])
    names = ["plan-warmup", "dispatch-shard", "send-mail", *(["read-mailboxes"] if imap else [])]
    _check_logs(warmup, names, visits=MAILBOXES if imap else 0)


def _check_logs(warmup: Warmup, names: list[str], *, visits: int) -> None:
    """They hold what alarms watch, and how many visits were asked for; no secret, and no address."""

    def is_told() -> bool:
        # MiniStack writes what a call has logged down when the function is called next, so that another tick is needed.
        warmup.tick()
        logs = _lines_of(warmup, names)
        is_watched = any('"warmup_system_health"' in line for line in logs["plan-warmup"])
        return is_watched and sum(_asked_by_shard(logs["dispatch-shard"]).values()) >= visits

    _until(is_told, 60, "the alarms watch a gauge, and each tick of a minute asks for each mailbox", poll_s=1.0)
    everything = [line for lines in _lines_of(warmup, names).values() for line in lines]
    assert not [line for line in everything if PASSWORD in line or "@company" in line]


def _lines_of(warmup: Warmup, names: list[str]) -> dict[str, list[str]]:
    found = warmup.cloud.client("logs")
    return {
        name: [
            event["message"] for event in found.filter_log_events(logGroupName=f"/aws/lambda/mailtide-{name}")["events"]
        ]
        for name in names
    }


def _asked_by_shard(lines: list[str]) -> dict[str, int]:
    """The most visits that one tick asked for, of each shard."""
    asked: dict[str, int] = {}
    for line in lines:
        for shard, count in re.findall(r'"shard":(\d+),[^\n]*"visits":(\d+)', line):
            asked[shard] = max(asked.get(shard, 0), int(count))
    return asked


def _check_a_visit(warmup: Warmup, imap: Post, messages: list[SendMessage], mail: Arrived) -> None:
    """A mail that lies in junk is found there, moved and marked, and the table says where it was."""
    account = Account(mail.recipient, PASSWORD)
    private = b"From: a@friend.example\r\nMessage-ID: <1@friend.example>\r\nX-Mailtide-Warmup: 1\r\n\r\nHello\r\n"
    imap.put(account, mail.content, private, folder="Junk")
    sent = parse_message_id(mail.message_id)
    message = next(one for one in messages if one.send_id == sent)
    visit = ReadMessage(
        day=message.day,
        shard=message.shard,
        mailbox_ids=(mail.recipient.partition("@")[0],),
        until_ms=int(time.time() * 1000) + 600_000,
    )
    url = warmup.cloud.stack.queue_url("warmup_read")
    warmup.sqs.send_message(QueueUrl=url, MessageBody=visit.model_dump_json())

    def is_rescued() -> bool:
        return [kept.message_id for kept in imap.folders(account)["INBOX"].mails] == [mail.message_id]

    _until(is_rescued, 60, "the mail was not found")
    folders = imap.folders(account)
    assert folders["INBOX"].mails[0].flags == {"\\Seen"}
    assert [(kept.message_id, kept.flags) for kept in folders["Junk"].mails] == [("<1@friend.example>", frozenset())]
    reads = Table(warmup.cloud.stack.outputs["ReadsTable"], warmup.cloud.client("dynamodb"), ServerClock())
    key = LedgerKey(message.day, message.shard, message.mailbox_id)
    found = DynamoPlacements(reads, retention_days=30).read_many([key])
    assert found[key].placements == {message.round: Placement("junk")}
