"""The warm-up without Lambda: `mailtide warmup worker` as processes, on MiniStack and a mail server that records."""

import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from pydantic import SecretStr

from localstack.processes import LOOPBACK, free_port
from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.kms import KmsSecrets
from mailtide.warmup.contracts import Auth, Mailbox, MailServer, SendMessage, day_of
from mailtide.warmup.mail_ports import Credentials
from tests.integration.planning.test_handlers import CREDENTIALS, Deployed
from tests.support import dynamodb, forkserver
from tests.support.mail_servers import PASSWORD, USERNAME, LoopThread, RecordingServer, loop_thread
from tests.support.warmup_pools import LONG_AGO


@dataclass
class Worker:
    """One process of a role."""

    role: str
    process: forkserver.Started
    log: Path
    health_port: int
    told: signal.Signals | None = None

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.health_port}/", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def tell(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process.poll() is None and self.told != number:
            self.told = number
            os.kill(self.process.pid, number)

    def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 40) -> int:
        self.tell(number)
        return self.process.wait(timeout_s)


@dataclass
class Site:
    """Tables, queues, bucket and key, the mailboxes of a pool, and the workers that were started."""

    deployed: Deployed
    folder: Path
    server: RecordingServer
    key_id: str
    environment: dict[str, str]
    workers: list[Worker] = field(default_factory=list)

    def start(self, role: str, **environment: str) -> Worker:
        port = free_port()
        log = self.folder / f"{role}-{uuid4().hex[:6]}.log"
        process = forkserver.Started(
            "warmup", "worker", role, "--health-port", port, env=self.environment | environment, log=log
        )
        worker = Worker(role, process, log, port)
        self.workers.append(worker)
        return worker

    def add_mailboxes(self, count: int) -> list[Mailbox]:
        """New ones, each of a user of its own, all on the recording server."""
        kms = boto3.client("kms", endpoint_url=self.deployed.url, **CREDENTIALS)
        secrets, name = KmsSecrets(kms, self.key_id), uuid4().hex[:6]
        made = [self._mailbox(f"{name}-{number}", secrets) for number in range(count)]
        self.deployed.mailboxes.put_many(made)
        return made

    def _mailbox(self, name: str, secrets: KmsSecrets) -> Mailbox:
        sealed = secrets.seal(f"user-{name}", f"box-{name}", Credentials(password=SecretStr(PASSWORD)))
        return Mailbox(
            mailbox_id=f"box-{name}",
            user_id=f"user-{name}",
            address=f"m@company-{name}.example",
            first_day=LONG_AGO,
            smtp=MailServer(host=LOOPBACK, port=self.server.port, security="none"),
            auth=Auth(kind="password", username=USERNAME, sealed=sealed),
        )

    def messages(self, mailboxes: list[Mailbox]) -> list[SendMessage]:
        """The first mail of each of today, to its neighbour; due now."""
        now_ms = int(time.time() * 1000)
        return [
            SendMessage(
                day=day_of(now_ms),
                shard=0,
                mailbox_id=one.mailbox_id,
                user_id=one.user_id,
                round=0,
                target=30,
                user_day_limit=100,
                recipient_id=other.mailbox_id,
                due_ms=now_ms,
                tick_end_ms=now_ms + 3_600_000,
                tick_ms=600_000,
            )
            for one, other in zip(mailboxes, [*mailboxes[1:], mailboxes[0]], strict=True)
        ]

    def offer(self, messages: list[SendMessage]) -> None:
        for message in messages:
            self.deployed.sqs.send_message(
                QueueUrl=self.deployed.queues["send"], MessageBody=message.model_dump_json(exclude_none=True)
            )

    @cached_property
    def ledger(self) -> DynamoLedger:
        client = dynamodb.client_of(self.deployed.url)
        name = self.environment["MAILTIDE_LEDGER_TABLE"]
        return DynamoLedger(Table(name, client, ServerClock()), retention_days=30)

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 90) -> None:
        ends_at = time.monotonic() + timeout_s
        while not condition():
            logs = "\n".join(worker.text()[-3_000:] for worker in self.workers)
            assert time.monotonic() < ends_at, logs
            time.sleep(0.1)

    def close(self) -> None:
        for worker in self.workers:
            worker.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with dynamodb.serving("ministack", tmp_path_factory.mktemp("ministack")) as url:
        yield Deployed(url)


@pytest.fixture(scope="module")
def loop() -> Iterator[LoopThread]:
    with loop_thread() as started:
        yield started


@pytest.fixture
def site(deployed: Deployed, loop: LoopThread, tmp_path: Path) -> Iterator[Site]:
    server = RecordingServer(loop)
    kms: Any = boto3.client("kms", endpoint_url=deployed.url, **CREDENTIALS)
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    client = dynamodb.client_of(deployed.url)
    environment = deployed.environment | {
        "MAILTIDE_LIMITS_TABLE": dynamodb.create_limits_table(client),
        "MAILTIDE_MAILBOXES_TABLE": dynamodb.create_mailboxes_table(client),
        "MAILTIDE_SECRETS_KMS_KEY_ID": key_id,
        "WARMUP_STAGGER_MIN_MS": "0",
        "WARMUP_STAGGER_MAX_MS": "0",
    }
    deployed.mailboxes = DynamoMailboxes(Table(environment["MAILTIDE_MAILBOXES_TABLE"], client, ServerClock()))
    made = Site(deployed, tmp_path, server, key_id, environment)
    yield made
    made.close()
    server.close()
