"""A sender in a process of its own that ends itself at one point: `python -m tests.support.crashing_worker < JSON`.

The ports are the real ones; those of this module stand around them and call os._exit, as a crash would: nothing is cleaned up.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.limits import DynamoLimits
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.kms import KmsSecrets
from mailtide.adapters.oauth2 import AccessTokens, make_http_client
from mailtide.adapters.smtp import SmtpMailer, make_tls_context
from mailtide.warmup.attempt import SendServices
from mailtide.warmup.content import TemplateSet, packaged_templates
from mailtide.warmup.contracts import Mailbox, SendMessage
from mailtide.warmup.desk import TokenDesk
from mailtide.warmup.limits import GlobalLimits
from mailtide.warmup.mail_ports import MailSession
from mailtide.warmup.objects import ControlFlags
from mailtide.warmup.pauses import HostPauses
from mailtide.warmup.ports import Claim, ClaimAnswer, Grant, Mark, Outcome, UserDemand
from mailtide.warmup.send import Sender
from mailtide.warmup.settings import WarmupSettings
from tests.support import dynamodb

CRASHED = 77
POINTS = (
    "claim:before",
    "claim:after",
    "tokens:after",
    "offer:after",
    "begin_data:before",
    "begin_data:after",
    "data:before",
    "data:during",
    "data:after",
    "finish:before",
    "finish:after",
)
DURING_S = 0.3
"""How long the server is left with the whole mail before the process ends."""


class Bomb:
    """Ends the process at the point that it was set to."""

    def __init__(self, point: str) -> None:
        self._point = point

    def at(self, point: str) -> None:
        if point == self._point:
            os._exit(CRASHED)

    def soon_at(self, point: str) -> None:
        if point == self._point:
            asyncio.get_running_loop().call_later(DURING_S, os._exit, CRASHED)


class CrashingLedger(DynamoLedger):
    """The real ledger, with a bomb before and after each step."""

    bomb: Bomb

    def claim(self, claim: Claim, *, target: int, now_ms: int, next_ok_ms: int, day_end_ms: int) -> ClaimAnswer:
        self.bomb.at("claim:before")
        answer = super().claim(claim, target=target, now_ms=now_ms, next_ok_ms=next_ok_ms, day_end_ms=day_end_ms)
        self.bomb.at("claim:after")
        return answer

    def begin_data(self, claim: Claim, *, now_ms: int, next_ok_ms: int) -> bool:
        self.bomb.at("begin_data:before")
        is_own = super().begin_data(claim, now_ms=now_ms, next_ok_ms=next_ok_ms)
        self.bomb.at("begin_data:after")
        return is_own

    def finish(self, claim: Claim, outcome: Outcome, *, mark: Mark | None = None) -> bool:
        self.bomb.at("finish:before")
        is_own = super().finish(claim, outcome, mark=mark)
        self.bomb.at("finish:after")
        return is_own


class CrashingLimits:
    """The real limits, with a bomb after the tokens are taken."""

    def __init__(self, limits: DynamoLimits, bomb: Bomb) -> None:
        self._limits, self._bomb = limits, bomb

    def take(self, demand: Mapping[str, UserDemand]) -> Grant:
        grant = self._limits.take(demand)
        self._bomb.at("tokens:after")
        return grant


class CrashingSession:
    """A real session, with a bomb around DATA."""

    def __init__(self, session: MailSession, bomb: Bomb) -> None:
        self._session, self._bomb = session, bomb

    async def offer(self, sender: str, recipient: str) -> None:
        await self._session.offer(sender, recipient)
        self._bomb.at("offer:after")

    async def data(self, content: bytes) -> None:
        self._bomb.at("data:before")
        self._bomb.soon_at("data:during")
        await self._session.data(content)
        self._bomb.at("data:after")

    async def release(self, *, reusable: bool) -> None:
        await self._session.release(reusable=reusable)


class CrashingMailer:
    """The real mailer; its sessions hold bombs."""

    def __init__(self, mailer: SmtpMailer, bomb: Bomb) -> None:
        self._mailer, self._bomb = mailer, bomb

    async def prepare(self, mailbox: Mailbox) -> None:
        await self._mailer.prepare(mailbox)

    async def connect(self, mailbox: Mailbox) -> MailSession:
        return CrashingSession(await self._mailer.connect(mailbox), self._bomb)

    async def close(self) -> None:
        await self._mailer.close()


class _Templates:
    def of_user(self, _user_id: str) -> TemplateSet:
        return packaged_templates()


class _Control:
    def flags(self) -> ControlFlags:
        return ControlFlags()


class _NoQueue:
    def send_mails(self, mails: object) -> None:
        raise AssertionError(f"nothing is to be put back: {mails}")


async def run(order: dict[str, Any]) -> None:
    pool = ThreadPoolExecutor(8)
    began = time.monotonic_ns()
    clock = ServerClock(wall_ms=lambda: order["now_ms"] + (time.monotonic_ns() - began) / 1e6)
    client = dynamodb.client_of(order["url"])
    kms = boto3.client(
        "kms",
        endpoint_url=order["url"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    bomb = Bomb(order["point"])
    ledger = CrashingLedger(Table(order["ledger_table"], client, ServerClock()), retention_days=30)
    ledger.bomb = bomb
    limits = DynamoLimits(
        Table(order["limits_table"], client, ServerClock()),
        GlobalLimits(hour=1_000, minute=100),
        user_hourly_limit=1_000,
        executor=pool,
        now_ms=clock.now_ms,
    )

    async def run_blocking(call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call returns
        return await asyncio.get_running_loop().run_in_executor(pool, call)

    async with make_http_client(make_tls_context(), 5) as http:
        mailer = SmtpMailer(KmsSecrets(kms, order["key_id"]), AccessTokens(http), timeout_s=5, host_concurrency=5)
        services = SendServices(
            ledger=ledger,
            mailboxes=DynamoMailboxes(Table(order["mailboxes_table"], client, ServerClock())),
            mailer=CrashingMailer(mailer, bomb),
            templates=_Templates(),
            clock=clock,
            desk=TokenDesk(CrashingLimits(limits, bomb), clock, run_blocking),
            pauses=HostPauses(clock.monotonic_ms),
            run_blocking=run_blocking,
            settings=WarmupSettings(),
            chance=random.Random(1),
        )
        message = SendMessage.model_validate_json(order["message"])
        report = await Sender(services, _NoQueue(), _Control()).send_batch([message], time_left_s=290)
    print(json.dumps(report.counts()))


def main() -> None:
    asyncio.run(run(json.load(sys.stdin)))


if __name__ == "__main__":
    main()
