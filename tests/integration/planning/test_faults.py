"""Planning and dispatch over services that throttle, are not there or lose their answers: a tick fails and is made good,
and no send gets a second id."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.mail_queue import SqsMailQueue
from mailtide.adapters.s3 import S3Bucket
from mailtide.errors import TransientError
from mailtide.warmup import keys
from mailtide.warmup.contracts import SendMessage, ShardTick, WarmupTick, day_start_ms
from mailtide.warmup.days import RosterStore
from mailtide.warmup.dispatch import dispatch_shard
from mailtide.warmup.ids import SendId
from mailtide.warmup.memory import VirtualClock
from mailtide.warmup.objects import ShardSummary
from mailtide.warmup.plan import plan_warmup
from mailtide.warmup.services import PlanningServices
from mailtide.warmup.settings import WarmupResources, WarmupSettings
from mailtide.warmup.store import read
from tests.integration.planning.test_handlers import CREDENTIALS, mailbox
from tests.support import dynamodb
from tests.support.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from tests.support.warmup_pools import DAY

NOON = day_start_ms(DAY) + 12 * 3_600_000
ONE_TRY = Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=10)
QUEUES = ("plan", "dispatch", "send")


@pytest.fixture(scope="module")
def shared_proxy(ministack: str) -> Iterator[FaultyProxy]:
    with faulty_proxy(ministack) as running:
        yield running


@pytest.fixture
def proxy(shared_proxy: FaultyProxy) -> FaultyProxy:
    shared_proxy.sound()
    shared_proxy.faults.clear()
    shared_proxy.carried.clear()
    return shared_proxy


class Deployment:
    """Bucket, tables and queues of its own, reached through the proxy; 60 mailboxes in two shards, at noon."""

    def __init__(self, url: str, proxy: FaultyProxy) -> None:
        name = f"mailtide-{uuid4().hex[:8]}"
        self.clock = VirtualClock(NOON)
        direct = dynamodb.client_of(url)
        boto3.client("s3", endpoint_url=url, **CREDENTIALS).create_bucket(Bucket=name)
        sqs = boto3.client("sqs", endpoint_url=url, **CREDENTIALS)
        urls = {kind: sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"] for kind in QUEUES}
        self.queues = {kind: queue.replace(url, proxy.url) for kind, queue in urls.items()}
        self.proxy = proxy
        tables = dynamodb.create_mailboxes_table(direct), dynamodb.create_ledger_table(direct)
        DynamoMailboxes(Table(tables[0], direct, ServerClock())).put_many([mailbox(number) for number in range(60)])
        client = self._client("dynamodb", proxy)
        bucket = S3Bucket(name, self._client("s3", proxy))
        resources = WarmupResources(
            bucket=name,
            warmup_plan_queue_url=self.queues["plan"],
            warmup_dispatch_queue_url=self.queues["dispatch"],
            warmup_send_queue_url=self.queues["send"],
        )
        self.services = PlanningServices(
            bucket=bucket,
            rosters=RosterStore(bucket),
            mailboxes=DynamoMailboxes(Table(tables[0], client, ServerClock())),
            ledger=DynamoLedger(Table(tables[1], client, ServerClock()), retention_days=30),
            queue=SqsMailQueue(self._client("sqs", proxy), resources),
            clock=self.clock,
            settings=WarmupSettings(shards=2),
        )

    def _client(self, service: str, proxy: FaultyProxy) -> Any:  # noqa: ANN401 - boto3's own types
        make: Any = boto3.client
        return make(service, endpoint_url=proxy.url, config=ONE_TRY, **CREDENTIALS)

    def ticks(self) -> list[ShardTick]:
        """What is on the dispatchers' queue."""
        return [ShardTick.model_validate_json(body) for body in self._queued("dispatch")]

    def sends(self, shards: list[int]) -> Counter[SendId]:
        """How often each send was queued since the proxy was cleared: all that the shards' summaries count were."""
        summaries = [self.summary(shard) for shard in shards]
        found = Counter(SendMessage.model_validate_json(body).send_id for body in self._queued("send"))
        assert len(found) == sum(summary.offered for summary in summaries if summary) > 10 * len(shards)
        return found

    def _queued(self, kind: str) -> list[str]:
        requests = [
            json.loads(body) for operation, body in self.proxy.carried if operation.endswith("SendMessageBatch")
        ]
        mine = [request for request in requests if request["QueueUrl"] == self.queues[kind]]
        return [entry["MessageBody"] for request in mine for entry in request["Entries"]]

    def summary(self, shard: int) -> ShardSummary | None:
        return read(self.services.bucket, keys.summary(DAY, shard), ShardSummary)


@pytest.fixture
def deployment(ministack: str, proxy: FaultyProxy) -> Deployment:
    return Deployment(ministack, proxy)


@pytest.fixture(scope="module")
def planned(ministack: str, shared_proxy: FaultyProxy) -> Deployment:
    """One whose day is planned: its roster is read partition by partition."""
    made = Deployment(ministack, shared_proxy)
    plan_warmup(made.services, WarmupTick())
    return made


@pytest.fixture
def ticks(planned: Deployment, proxy: FaultyProxy) -> list[ShardTick]:
    """Both shards' messages of a tick that nobody has seen."""
    assert not proxy.faults
    planned.clock.at_ms += 600_000
    plan_warmup(planned.services, WarmupTick())
    return sorted(planned.ticks(), key=lambda tick: tick.shard)


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("DynamoDB_20120810.Query", "throttled"),
        ("AmazonSQS.SendMessageBatch", "answer lost"),
    ],
)
def test_a_tick_that_cannot_be_planned_is_planned_when_all_is_well(
    deployment: Deployment, proxy: FaultyProxy, operation: str, fault: Fault
) -> None:
    proxy.judge = lambda asked: fault if asked.startswith(operation) else None
    with pytest.raises(TransientError):
        plan_warmup(deployment.services, WarmupTick())
    assert proxy.faults
    proxy.sound()
    plan_warmup(deployment.services, WarmupTick())
    header = deployment.services.rosters.header(DAY)
    assert header is not None
    assert header.mailboxes == 60
    shards = Counter(tick.shard for tick in deployment.ticks())
    assert set(shards) == {0, 1}
    # Of a lost answer nobody knows whether the ticks are on the queue: they may come twice, which costs a look each.
    assert set(shards.values()) == ({2} if (operation[:3], fault) == ("Ama", "answer lost") else {1})


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("DynamoDB_20120810.Query", "throttled"),
        ("DynamoDB_20120810.BatchGetItem", "unavailable"),
        ("AmazonSQS.SendMessageBatch", "throttled"),
        ("AmazonSQS.SendMessageBatch", "answer lost"),
        ("PUT", "unavailable"),
        ("PUT", "answer lost"),
        ("GET", "unavailable"),
    ],
)
def test_a_shard_that_cannot_be_dispatched_offers_the_same_sends_when_all_is_well(
    planned: Deployment, ticks: list[ShardTick], proxy: FaultyProxy, operation: str, fault: Fault
) -> None:
    """Also when some of its mails stand on the queue already: the ledger lets each of them through once."""
    tick, asked_before = ticks[0], 0

    def judge(asked: str) -> Fault | None:
        nonlocal asked_before
        if not asked.startswith(operation):
            return None
        asked_before += 1
        # The queue fails midway: some mails stand on it.
        return fault if asked_before > (1 if "SQS" in operation else 0) else None

    proxy.judge = judge
    with pytest.raises(TransientError):
        dispatch_shard(planned.services, tick)
    proxy.sound()
    before = planned.summary(0)
    is_written = before is not None and before.tick_ms == tick.start_ms
    assert is_written == ((operation, fault) == ("PUT", "answer lost"))
    dispatch_shard(planned.services, tick)
    sends = planned.sends([0])
    assert max(sends.values()) <= 2


def test_shards_side_by_side_through_a_queue_that_fails_now_and_then(
    planned: Deployment, ticks: list[ShardTick], proxy: FaultyProxy
) -> None:
    asked_before = 0

    def judge(_: str) -> Fault | None:
        nonlocal asked_before
        asked_before += 1
        return "unavailable" if asked_before % 5 == 0 and asked_before < 60 else None

    proxy.judge = judge

    def until_done(tick: ShardTick) -> None:
        for _ in range(40):
            try:
                dispatch_shard(planned.services, tick)
            except TransientError:
                continue
            return
        pytest.fail("forty tries")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(until_done, ticks))
    proxy.sound()
    assert planned.sends([0, 1])
    assert proxy.faults
    asked = {operation.partition(".")[2] for operation, _ in proxy.carried if operation.startswith("DynamoDB")}
    assert asked == {"Query", "BatchGetItem"}, "no scan, and nothing is written to the tables before a send"
