"""Everything that a sender talks to, real: tables and KMS on MiniStack, mail servers on port 0."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import httpx
import pytest
from pydantic import SecretStr

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.limits import DynamoLimits
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.kms import KmsSecrets
from mailtide.adapters.oauth2 import AccessTokens
from mailtide.adapters.smtp import SmtpMailer, make_tls_context
from mailtide.warmup.attempt import SendServices
from mailtide.warmup.content import TemplateSet, packaged_templates
from mailtide.warmup.contracts import (
    Auth,
    LedgerKey,
    LedgerView,
    Mailbox,
    SendMessage,
    day_of,
    day_start_ms,
)
from mailtide.warmup.desk import TokenDesk
from mailtide.warmup.limits import HALF_MINUTE_MS, GlobalLimits
from mailtide.warmup.mail_ports import Credentials
from mailtide.warmup.objects import ControlFlags
from mailtide.warmup.pauses import HostPauses
from mailtide.warmup.providers import provider_by_id
from mailtide.warmup.send import BatchReport, Sender
from mailtide.warmup.settings import WarmupSettings
from tests.support import dynamodb
from tests.support.mail_servers import LOOPBACK, PASSWORD, USERNAME, LoopThread, loop_thread
from tests.support.tls import Authority, make_authority

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY = date(2026, 11, 21)
SHARD = 3


@dataclass(frozen=True)
class Cloud:
    """MiniStack with the warm-up's tables and its KMS key."""

    url: str
    client: "DynamoDBClient"
    ledger_table: str
    limits_table: str
    mailboxes_table: str
    secrets: KmsSecrets
    key_id: str


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    if not dynamodb.is_installed("ministack"):
        pytest.fail("MiniStack is not set up; run: make setup")
    with dynamodb.serving("ministack", tmp_path_factory.mktemp("ministack")) as url:
        client = dynamodb.client_of(url)
        kms = boto3.client(
            "kms", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        key_id = kms.create_key()["KeyMetadata"]["KeyId"]
        yield Cloud(
            url,
            client,
            dynamodb.create_ledger_table(client),
            dynamodb.create_limits_table(client),
            dynamodb.create_mailboxes_table(client),
            KmsSecrets(kms, key_id),
            key_id,
        )


@pytest.fixture(scope="session")
def loop() -> Iterator[LoopThread]:
    with loop_thread() as started:
        yield started


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as threads:
        yield threads


def monotonic_ms() -> float:
    return time.monotonic_ns() / 1e6


class OpenClock(ServerClock):
    """Runs in real time, from the first good moment of a half minute that no other test counts in."""

    def __init__(self, hour: int) -> None:
        start_ms = day_start_ms(DAY) + hour * 3_600_000 + 12 * HALF_MINUTE_MS + 5_100
        self._offset_ms = start_ms - monotonic_ms()
        super().__init__(wall_ms=lambda: monotonic_ms() + self._offset_ms)

    def skip_ms(self, passed_ms: int) -> None:
        """Time passes, in whole minutes."""
        self._offset_ms += passed_ms


@dataclass
class QueuedMails:
    """What was put back."""

    mails: list[tuple[SendMessage, int]] = field(default_factory=list)

    def send_mails(self, mails: Sequence[tuple[SendMessage, int]]) -> None:
        self.mails += mails


@dataclass
class Stops:
    """What a person has stopped."""

    now: ControlFlags = field(default_factory=ControlFlags)

    def flags(self) -> ControlFlags:
        return self.now


class PackagedTemplates:
    def of_user(self, _user_id: str) -> TemplateSet:
        return packaged_templates()


type RunBlocking = Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]]


def blocking_in(pool: ThreadPoolExecutor) -> RunBlocking:
    async def run(call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call returns
        return await asyncio.get_running_loop().run_in_executor(pool, call)

    return run


@dataclass
class World:
    """One sender's process, and what it works on."""

    cloud: Cloud
    pool: ThreadPoolExecutor
    port: int
    clock: OpenClock
    settings: WarmupSettings
    authority: Authority | None = None
    queue: QueuedMails = field(default_factory=QueuedMails)
    stops: Stops = field(default_factory=Stops)
    name: str = field(default_factory=lambda: uuid4().hex[:8])
    limits: GlobalLimits = field(default_factory=lambda: GlobalLimits(hour=100_000, minute=10_000))

    host_wait_s: float = 25.0
    limits_client: Any = None
    """In place of the cloud's."""
    provider: str = ""
    """Whose servers the mail server is taken for."""

    def __post_init__(self) -> None:
        self.ledger = DynamoLedger(Table(self.cloud.ledger_table, self.cloud.client, ServerClock()), retention_days=30)
        self.mailboxes = DynamoMailboxes(Table(self.cloud.mailboxes_table, self.cloud.client, ServerClock()))
        self.pauses = HostPauses(self.clock.monotonic_ms)

    def mailbox(self, name: str, **changes: object) -> Mailbox:
        """A mailbox in the table; its id is `name` made unique."""
        mailbox_id, user_id = f"{name}-{self.name}", str(changes.pop("user_id", f"user-{self.name}"))
        credentials = changes.pop("credentials", None) or Credentials(
            password=SecretStr(str(changes.pop("password", PASSWORD)))
        )
        assert isinstance(credentials, Credentials)
        sealed = self.cloud.secrets.seal(user_id, mailbox_id, credentials)
        fields: dict[str, Any] = {
            "mailbox_id": mailbox_id,
            "user_id": user_id,
            "address": f"{mailbox_id}@{name}.example",
            "display_name": f"The {name}",
            "first_day": DAY,
            "smtp": {"host": LOOPBACK, "port": self.port, "security": changes.pop("security", "none")},
            "auth": Auth(kind="password", username=USERNAME, sealed=sealed),
        }
        token_url = changes.pop("token_url", None)
        if token_url:
            fields["auth"] = Auth(kind="xoauth2", username=USERNAME, sealed=sealed, token_url=str(token_url))
        mailbox = Mailbox.model_validate(fields | changes)
        self.mailboxes.put_many([mailbox])
        return mailbox

    def message(self, sender: Mailbox, recipient: Mailbox, number: int = 0, **changes: object) -> SendMessage:
        now_ms = self.clock.now_ms()
        fields: dict[str, Any] = {
            "day": day_of(now_ms),
            "shard": SHARD,
            "mailbox_id": sender.mailbox_id,
            "user_id": sender.user_id,
            "round": number,
            "target": 30,
            "user_day_limit": 10_000,
            "recipient_id": recipient.mailbox_id,
            "due_ms": now_ms,
            "tick_end_ms": now_ms + 600_000,
            "tick_ms": 600_000,
        }
        return SendMessage.model_validate(fields | changes)

    def message_again(self, message: SendMessage) -> SendMessage:
        """As the next tick offers it."""
        now_ms = self.clock.now_ms()
        return message.model_copy(update={"due_ms": now_ms, "tick_end_ms": now_ms + 600_000})

    def mailer(self, http: httpx.AsyncClient, *, host_concurrency: int = 50) -> SmtpMailer:
        return SmtpMailer(
            self.cloud.secrets,
            AccessTokens(http),
            timeout_s=self.settings.smtp_timeout_ms / 1000,
            host_concurrency=host_concurrency,
            host_wait_s=self.host_wait_s,
            tls_context=self.authority.client_context() if self.authority else None,
            provider_of=lambda _host: provider_by_id(self.provider),
        )

    def send(self, *messages: SendMessage, time_left_s: float = 290.0, host_concurrency: int = 50) -> BatchReport:
        """One invocation."""

        async def run() -> BatchReport:
            async with httpx.AsyncClient(verify=make_tls_context()) as http:
                run_blocking = blocking_in(self.pool)
                limits = DynamoLimits(
                    Table(self.cloud.limits_table, self.limits_client or self.cloud.client, ServerClock()),
                    self.limits,
                    user_hourly_limit=self.settings.user_hourly_limit,
                    executor=self.pool,
                    now_ms=self.clock.now_ms,
                )
                services = SendServices(
                    ledger=self.ledger,
                    mailboxes=self.mailboxes,
                    mailer=self.mailer(http, host_concurrency=host_concurrency),
                    templates=PackagedTemplates(),
                    clock=self.clock,
                    desk=TokenDesk(limits, self.clock, run_blocking),
                    pauses=self.pauses,
                    run_blocking=run_blocking,
                    settings=self.settings,
                    chance=random.Random(1),
                )
                sender = Sender(services, self.queue, self.stops)
                return await sender.send_batch(messages, time_left_s=time_left_s)

        return asyncio.run(run())

    def view(self, message: SendMessage) -> LedgerView:
        view = self.ledger.read(LedgerKey(message.day, message.shard, message.mailbox_id))
        assert view is not None
        return view

    def status(self, mailbox: Mailbox) -> str:
        return self.mailboxes.get_many([mailbox.mailbox_id])[mailbox.mailbox_id].status


_hours = iter(range(100_000))


@pytest.fixture
def world_at(cloud: Cloud, pool: ThreadPoolExecutor) -> Callable[..., World]:
    """Makes a world around the mail server at a port; settings by name."""

    def make(
        port: int, *, authority: Authority | None = None, limits: GlobalLimits | None = None, **settings: object
    ) -> World:
        quick = {"stagger_min_ms": 0, "stagger_max_ms": 0, "smtp_timeout_ms": 1_500} | settings
        # A whole day apart, and at noon: the tests of one run share their tables.
        clock = OpenClock(24 * next(_hours) + 12)
        world = World(cloud, pool, port, clock, WarmupSettings.model_validate(quick), authority)
        if limits:
            world.limits = limits
        return world

    return make
