"""Tables that fail or lose answers, clocks that are wrong, poisoned mailboxes: nothing twice, nothing above a limit."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from localstack.processes import free_port
from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.kms import KmsSecrets
from mailtide.adapters.mail_queue import SqsMailQueue
from mailtide.warmup.contracts import LedgerKey
from mailtide.warmup.limits import GlobalLimits
from mailtide.warmup.ports import CLAIM_TTL_MS
from mailtide.warmup.send import KEY_REFUSED, KEY_REFUSED_MS
from mailtide.warmup.settings import WarmupResources
from tests.integration.mail.conftest import QueuedMails, World
from tests.support.mail_servers import LOOPBACK, LoopThread, RecordingServer


class FaultyClient:
    """A DynamoDB client whose requests fail, or are carried out while their answers are lost, by chance."""

    def __init__(self, client: Any, seed: int, rate: float) -> None:  # noqa: ANN401 - boto3's own
        self._client = client
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.rate = rate
        self.faults: Counter[str] = Counter()

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:  # noqa: ANN401 - boto3's own
            with self._lock:
                draw = self._chance.random()
            if draw < self.rate / 3:
                self.faults["throttled"] += 1
                error: Any = {"Error": {"Code": "ProvisionedThroughputExceededException"}}
                raise ClientError(error, operation)
            if draw < self.rate * 2 / 3:
                self.faults["not applied"] += 1
                raise ConnectionClosedError(endpoint_url="http://127.0.0.1")
            answer = getattr(self._client, operation)(**arguments)
            if draw < self.rate:
                self.faults["answer lost"] += 1
                raise ConnectionClosedError(endpoint_url="http://127.0.0.1")
            return answer

        return call


@pytest.fixture
def server(loop: LoopThread) -> Iterator[RecordingServer]:
    started = RecordingServer(loop)
    yield started
    started.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_ledger_that_fails_one_call_in_four(
    server: RecordingServer, world_at: Callable[..., World], seed: int
) -> None:
    world = world_at(server.port)
    recipient = world.mailbox("target")
    messages = [world.message(world.mailbox(f"s{number}"), recipient) for number in range(12)]
    faulty = FaultyClient(world.cloud.client, seed, 0.25)
    sound = world.ledger
    world.ledger = DynamoLedger(Table(world.cloud.ledger_table, faulty, ServerClock()), retention_days=30)  # type: ignore[arg-type]  # stands in for the client
    for _ in range(2):
        world.send(*messages)
    assert set(server.record.message_ids().values()) <= {1}
    # All is well again, and what was left hanging has expired.
    world.ledger = sound
    world.clock.skip_ms(2 * CLAIM_TTL_MS)
    later = [world.message_again(message) for message in messages]
    world.send(*later)
    for message in messages:
        view = sound.read(LedgerKey(message.day, message.shard, message.mailbox_id))
        assert view is not None
        sound.expire(view, now_ms=world.clock.now_ms())
    world.send(*later)
    views = [world.view(message) for message in messages]
    sent = server.record.message_ids()
    assert set(sent.values()) == {1}
    assert all(view.states in {"s", "u"} for view in views)
    assert len(sent) >= sum(view.states == "s" for view in views)
    assert sum(faulty.faults.values()) > 5
    assert set(faulty.faults) == {"throttled", "not applied", "answer lost"}


def test_limits_that_cannot_be_asked_send_nothing(server: RecordingServer, world_at: Callable[..., World]) -> None:
    world = world_at(server.port)
    message = world.message(world.mailbox("alpha"), world.mailbox("beta"))
    faulty = FaultyClient(world.cloud.client, 1, 1.0)
    world.limits_client = faulty
    assert world.send(message).counts() == {"put_back": 1}
    assert server.record.mails == []
    view = world.view(message)
    assert (view.in_flight, view.tries) == (0, {})
    world.limits_client = None
    assert world.send(message).counts() == {"sent": 1}


def test_mailboxes_that_cannot_be_read_send_everything_back_to_the_queue(
    server: RecordingServer, world_at: Callable[..., World]
) -> None:
    """As new messages: sound ones must not become dead letters because a table was away."""
    world = world_at(server.port)
    recipient = world.mailbox("target")
    messages = [world.message(world.mailbox(f"s{number}"), recipient) for number in range(4)]
    sound = world.mailboxes
    faulty = FaultyClient(world.cloud.client, 1, 1.0)
    world.mailboxes = DynamoMailboxes(Table(world.cloud.mailboxes_table, faulty, ServerClock()))  # type: ignore[arg-type]  # stands in for the client
    report = world.send(*messages)
    assert (report.failures(), report.counts()) == ([], {"put_back": 4})
    assert server.record.mails == []
    world.mailboxes = sound
    again = [message for message, delay_s in world.queue.mails if 20 <= delay_s <= 31]
    assert {message.send_id for message in again} == {message.send_id for message in messages}
    assert world.send(*again).counts() == {"sent": 4}


def test_what_cannot_be_put_back_is_delivered_again(server: RecordingServer, world_at: Callable[..., World]) -> None:
    """The queue does not answer just when a mail is to wait: its claim is free, and the same message comes again."""
    world = world_at(server.port, limits=GlobalLimits(hour=1_000, minute=2))
    recipient = world.mailbox("target")
    messages = [world.message(world.mailbox(f"s{number}"), recipient) for number in range(3)]
    nowhere = f"http://{LOOPBACK}:{free_port()}"
    client = boto3.client(
        "sqs",
        endpoint_url=nowhere,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    resources = WarmupResources(bucket="-", warmup_send_queue_url=f"{nowhere}/000000000000/mails")
    world.queue = SqsMailQueue(client, resources)  # type: ignore[assignment]  # the deployed one, in place of a list
    report = world.send(*messages)
    assert len(server.record.mails) == 1
    failures = report.failures()
    assert len(failures) == 2
    assert all(world.view(message).in_flight == 0 for message in failures)
    world.clock.skip_ms(60_000)
    for _ in range(2):
        world.queue = QueuedMails()
        failures = [mail for message in failures for mail in world.send(message).failures() or [message]]
        world.clock.skip_ms(60_000)
    assert set(server.record.message_ids().values()) == {1}
    assert len(server.record.mails) == 3


def test_a_slow_server_gets_every_mail_once(server: RecordingServer, world_at: Callable[..., World]) -> None:
    """Within the time-out a mail is sent; beyond it nobody knows, and nobody sends it again."""
    world = world_at(server.port, smtp_timeout_ms=1_200)
    recipient = world.mailbox("target")
    messages = [world.message(world.mailbox(f"s{number}"), recipient) for number in range(8)]
    server.handler.delay_s = 0.7
    assert world.send(*messages[:4]).counts() == {"sent": 4}
    server.handler.delay_s = 1.8
    assert world.send(*messages[4:]).counts() == {"unknown": 4}
    server.handler.delay_s = 0.0
    world.clock.skip_ms(2 * CLAIM_TTL_MS)
    assert world.send(*(world.message_again(message) for message in messages)).counts() == {"not_claimed": 8}
    assert set(server.record.message_ids().values()) == {1}


def test_a_busy_host_costs_no_try(server: RecordingServer, world_at: Callable[..., World]) -> None:
    server.handler.delay_s = 3.0
    world = world_at(server.port, smtp_timeout_ms=20_000)
    world.host_wait_s = 1.0
    recipient = world.mailbox("target")
    messages = [world.message(world.mailbox(f"s{number}"), recipient) for number in range(2)]
    report = world.send(*messages, host_concurrency=1)
    assert report.counts() == {"sent": 1, "put_back": 1}
    [(waiting, _)] = world.queue.mails
    view = world.view(waiting)
    assert (view.in_flight, view.tries, view.next_ok_ms) == (0, {}, 0)


def test_one_poisoned_mailbox_stops_nobody(server: RecordingServer, world_at: Callable[..., World]) -> None:
    world = world_at(server.port)
    recipient = world.mailbox("target")
    good = [world.message(world.mailbox(f"s{number}"), recipient) for number in range(5)]
    poisoned = world.mailbox("poisoned")
    world.mailboxes.put_many(
        [poisoned.model_copy(update={"auth": poisoned.auth.model_copy(update={"sealed": "nonsense"})})]
    )
    report = world.send(good[0], world.message(poisoned, recipient), *good[1:])
    assert report.counts() == {"sent": 5, "given_back": 1}
    assert report.failures() == []
    assert world.status(poisoned) == "disconnected"


def test_the_limit_holds_over_edges_and_senders(server: RecordingServer, world_at: Callable[..., World]) -> None:
    """Four senders at once through one edge of a half minute, in real time; every start is held against its window."""
    limits = GlobalLimits(hour=1_000, minute=16)
    worlds = [world_at(server.port, limits=limits, max_concurrent=10) for _ in range(4)]
    clock = worlds[0].clock
    # The window that is open closes soon: those who come late get tokens of the next one, and wait for it.
    clock.skip_ms(15_500)
    recipient = worlds[0].mailbox("target")
    messages = [worlds[0].message(worlds[0].mailbox(f"s{number}"), recipient) for number in range(40)]
    offset_ms = clock.now_ms() - clock.monotonic_ms()
    ends: list[Counter[str]] = []
    starts: list[int] = []
    lock = threading.Lock()

    def act(place: int) -> None:
        worlds[place].clock = clock
        report = worlds[place].send(*messages[place::4])
        with lock:
            ends.append(Counter(report.counts()))
            starts.extend(
                int(one.ending.started_s * 1000) + offset_ms
                for one in report.handled
                if one.ending.started_s is not None
            )

    threads = [threading.Thread(target=act, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    by_half = Counter(start // 30_000 for start in starts)
    assert max(by_half.values()) <= 8
    assert all(5_000 <= start % 30_000 < 25_000 for start in starts)
    assert len(starts) == len(server.record.mails) >= 8
    assert sum(ends, Counter())["put_back"] == 40 - len(starts)


@pytest.mark.parametrize("wrong_by_ms", [-90_000, 90_000])
def test_a_wrong_wall_clock_is_corrected_by_the_table_server(
    server: RecordingServer, world_at: Callable[..., World], wrong_by_ms: int
) -> None:
    world = world_at(server.port)
    clock = ServerClock(wall_ms=lambda: time.time() * 1000 + wrong_by_ms)
    table = Table(world.cloud.ledger_table, world.cloud.client, clock)
    assert abs(clock.now_ms() - time.time() * 1000 - wrong_by_ms) < 5_000
    table.get({"p": "none", "m": "none"})
    assert abs(clock.now_ms() - time.time() * 1000) < 5_000


def test_a_disabled_key_costs_no_claim_and_is_told(server: RecordingServer, world_at: Callable[..., World]) -> None:
    """The sender says so of each mail, and has them come back when a person may have mended it; then they go out."""
    world = world_at(server.port)
    kms = boto3.client(
        "kms",
        endpoint_url=world.cloud.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    world.cloud = replace(world.cloud, secrets=KmsSecrets(kms, key_id))
    recipient = world.mailbox("target")
    senders = [world.mailbox(f"s{number}") for number in range(3)]
    messages = [world.message(sender, recipient) for sender in senders]
    # Another process, which has opened none of their data keys.
    world.cloud = replace(world.cloud, secrets=KmsSecrets(kms, key_id))
    kms.disable_key(KeyId=key_id)
    report = world.send(*messages)
    assert {(one.ending.end, one.ending.reason) for one in report.handled} == {("put_back", KEY_REFUSED)}
    assert min(delay_s for _, delay_s in world.queue.mails) >= KEY_REFUSED_MS / 1000
    assert [world.ledger.read(LedgerKey(one.day, one.shard, one.mailbox_id)) for one in messages] == [None] * 3
    assert {world.status(sender) for sender in senders} == {"active"}
    kms.enable_key(KeyId=key_id)
    world.cloud = replace(world.cloud, secrets=KmsSecrets(kms, key_id))
    assert world.send(*messages).counts() == {"sent": 3}
