"""plan_warmup and dispatch_shard as they are deployed: wired by their environment, handed what SQS delivers."""

import json
import time
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.s3 import S3Bucket
from mailtide.warmup import keys
from mailtide.warmup.contracts import (
    WARMUP_MESSAGE,
    Auth,
    DomainTick,
    Mailbox,
    MailServer,
    SendMessage,
    ShardTick,
    WarmupTick,
    day_of,
    day_start_ms,
)
from mailtide.warmup.objects import RosterHeader, ShardSummary
from mailtide.warmup.reading.contracts import ReadMessage
from mailtide.warmup.store import read
from tests.support import dynamodb, forkserver
from tests.support.warmup_pools import LONG_AGO

ROOT = Path(__file__).resolve().parents[3]
CREDENTIALS: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
MAILBOXES = 300


class Deployed:
    """Bucket, queues and tables of a small warm-up, and the environment of its functions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.s3 = boto3.client("s3", endpoint_url=url, **CREDENTIALS)
        self.sqs = boto3.client("sqs", endpoint_url=url, **CREDENTIALS)
        client = dynamodb.client_of(url)
        name = f"mailtide-{uuid4().hex[:8]}"
        self.bucket_name = name
        self.s3.create_bucket(Bucket=name)
        self.bucket = S3Bucket(name, self.s3)
        self.queues = {kind: self.sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"] for kind in QUEUES}
        tables = {
            "MAILTIDE_MAILBOXES_TABLE": dynamodb.create_mailboxes_table(client),
            "MAILTIDE_LEDGER_TABLE": dynamodb.create_ledger_table(client),
            "MAILTIDE_IDEMPOTENCY_TABLE": f"{name}-ticks",
        }
        client.create_table(
            TableName=tables["MAILTIDE_IDEMPOTENCY_TABLE"],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.mailboxes = DynamoMailboxes(Table(tables["MAILTIDE_MAILBOXES_TABLE"], client, ServerClock()))
        self.environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
            "POWERTOOLS_SERVICE_NAME": "mailtide",
            "POWERTOOLS_METRICS_NAMESPACE": "Mailtide",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "MAILTIDE_BUCKET": name,
            "WARMUP_SHARDS": "3",
            **{f"MAILTIDE_WARMUP_{kind.upper()}_QUEUE_URL": queue for kind, queue in self.queues.items()},
            **tables,
        }

    def invoke(self, function: str, *bodies: str) -> tuple[list[str], str]:
        """Message ids that return to the queue (their places as text), and everything that was logged."""
        records = [{"messageId": str(place), "body": body} for place, body in enumerate(bodies)]
        done = forkserver.run(
            "tests.support.invoke_function:main",
            function,
            env=self.environment,
            text=json.dumps({"Records": records}),
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]], done.stdout + done.stderr

    def received(self, kind: str) -> list[str]:
        """Bodies on a queue, taken off it; delayed ones are not seen."""
        bodies: list[str] = []
        while True:
            answer = self.sqs.receive_message(QueueUrl=self.queues[kind], MaxNumberOfMessages=10)
            if not answer.get("Messages"):
                return bodies
            bodies += [message["Body"] for message in answer["Messages"]]
            for message in answer["Messages"]:
                self.sqs.delete_message(QueueUrl=self.queues[kind], ReceiptHandle=message["ReceiptHandle"])

    def delayed(self, kind: str) -> int:
        """Messages on a queue, visible or not."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.queues[kind], AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesDelayed"])


QUEUES = ("plan", "dispatch", "send")


@pytest.fixture(scope="module")
def deployed(ministack: str) -> Deployed:
    made = Deployed(ministack)
    made.mailboxes.put_many([mailbox(number) for number in range(MAILBOXES)])
    return made


def mailbox(number: int) -> Mailbox:
    return Mailbox(
        mailbox_id=f"box-{number}",
        user_id=f"user-{number // 3}",
        address=f"m{number}@company{number // 3}.example",
        first_day=LONG_AGO,
        smtp=MailServer(host="127.0.0.1", port=2525, security="none"),
        auth=Auth(kind="password", username="x", sealed="x"),
    )


def roomy_tick() -> tuple[date, str]:
    """A tick that does not end while a test is under way, with its day: the one that holds the moment four minutes hence.

    It ends within a quarter of an hour, which is as long as a queue can delay a mail.
    """
    moment_ms = int(time.time() * 1000) + 240_000
    return day_of(moment_ms), WarmupTick(scheduled_ms=moment_ms).model_dump_json()


def sample(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((ROOT / "events" / name).read_text())["Records"][0]["body"]


def test_the_samples_are_understood() -> None:
    assert WARMUP_MESSAGE.validate_json(sample("plan_warmup.tick.json")) == WarmupTick()
    tick = WARMUP_MESSAGE.validate_json(sample("dispatch_shard.tick.json"))
    assert isinstance(tick, ShardTick)
    assert day_of(tick.start_ms) == tick.day
    assert tick.end_ms - tick.start_ms == 600_000


def test_a_tick_that_found_nobody_is_carried_out_again_once_mailboxes_have_come(deployed: Deployed) -> None:
    fresh, began_ms = Deployed(deployed.url), int(time.time() * 1000)
    failed, log = fresh.invoke("plan_warmup", sample("plan_warmup.tick.json"))
    assert failed == []
    assert '"no_mailboxes"' in log
    assert '"warmup_system_health":[2.0]' in log, "silence would be an alarm"
    assert read(fresh.bucket, keys.roster(day_of(began_ms)), RosterHeader) is None
    fresh.mailboxes.put_many([mailbox(number) for number in range(20)])
    assert fresh.invoke("plan_warmup", sample("plan_warmup.tick.json"))[0] == []
    days = {day_of(began_ms), day_of(int(time.time() * 1000))}
    headers = [header for day in days if (header := read(fresh.bucket, keys.roster(day), RosterHeader))]
    assert [header.mailboxes for header in headers] == [20]


def test_domains_are_checked_behind_the_ticks(deployed: Deployed) -> None:
    """The message for what is left of the day's list; of names that nobody can have there is no such list."""
    now_ms = int(time.time() * 1000)
    over = DomainTick(day=day_of(now_ms), start_ms=now_ms - 1_200_000, end_ms=now_ms - 600_000)
    present = DomainTick(day=day_of(now_ms), start_ms=now_ms, end_ms=now_ms + 600_000)
    failed, log = deployed.invoke("plan_warmup", over.model_dump_json(), present.model_dump_json())
    assert failed == []
    lines = [json.loads(line) for line in log.splitlines() if '"domains_checked"' in line and '"level"' in line]
    assert [(line["checked"], line["left"], line["why"]) for line in lines] == [(0, 0, "stale"), (0, 0, "")]
    assert deployed.received("plan") == []
    assert deployed.invoke("dispatch_shard", present.model_dump_json())[0] == ["0"]


def test_a_visit_as_the_reader_is_deployed(deployed: Deployed) -> None:
    """A secret that cannot be opened is the mailbox's failure; one that has no IMAP server is not read."""
    fresh = Deployed(deployed.url)
    fresh.environment["MAILTIDE_READS_TABLE"] = dynamodb.create_reads_table(dynamodb.client_of(fresh.url))
    imap = MailServer(host="127.0.0.1", port=9, security="none")
    fresh.mailboxes.put_many([mailbox(0), mailbox(1).model_copy(update={"imap": imap})])
    now_ms = int(time.time() * 1000)
    message = ReadMessage(day=day_of(now_ms), shard=0, mailbox_ids=("box-0", "box-1"), until_ms=now_ms + 600_000)
    failed, log = fresh.invoke("read_mailboxes", message.model_dump_json())
    assert failed == []
    [line] = [json.loads(line) for line in log.splitlines() if '"visits"' in line and '"level"' in line]
    assert (line["ends"], line["failures"]) == ({"not_read": 1, "failed": 1}, {"login": 1})
    assert '"visit_failed_excess":[0.8]' in log.replace(" ", "")
    assert "box-" not in log


def test_a_tick_from_the_schedule_to_the_send_queue(deployed: Deployed) -> None:
    today, tick = roomy_tick()
    failed, log = deployed.invoke("plan_warmup", tick, "no JSON", '{"kind":"send"}')
    assert failed == ["1", "2"]
    assert '"warmup_total_mailboxes"' in log
    header = read(deployed.bucket, keys.roster(today), RosterHeader)
    assert header is not None
    assert (header.mailboxes, header.planned, header.shards) == (MAILBOXES, MAILBOXES * 30, 3)
    ticks = deployed.received("dispatch")
    assert sorted(WARMUP_MESSAGE.validate_json(body).shard for body in ticks) == [0, 1, 2]  # type: ignore[union-attr]  # shards only

    failed, log = deployed.invoke("plan_warmup", tick)
    assert failed == []
    assert '"roster_made"' not in log, "it was not made again"
    assert deployed.received("dispatch") == []

    failed, log = deployed.invoke("dispatch_shard", *ticks)
    assert failed == []
    summaries = [read(deployed.bucket, keys.summary(today, shard), ShardSummary) for shard in range(3)]
    offered = sum(summary.offered for summary in summaries if summary)
    assert offered == deployed.delayed("send") > 0
    assert sum(summary.active for summary in summaries if summary) == MAILBOXES
    assert "@" not in log
    assert "box-" not in log

    before = deployed.delayed("send")
    assert deployed.invoke("dispatch_shard", *ticks)[0] == []
    assert deployed.delayed("send") == before

    of_user = {"request_id": "now", "user_id": "user-1"}
    demands = [ShardTick.model_validate_json(body).model_copy(update=of_user) for body in ticks]
    assert deployed.invoke("dispatch_shard", *(demand.model_dump_json() for demand in demands))[0] == []
    # Those of the tick wait for their time, these three are due, but perhaps in the first two hours of a day.
    mails = [SendMessage.model_validate_json(body) for body in deployed.received("send")]
    assert len(mails) >= 3 or int(time.time() * 1000) < day_start_ms(today) + 7_200_000
    for mail in mails:
        assert mail.day == today
        assert mail.recipient_id != mail.mailbox_id
