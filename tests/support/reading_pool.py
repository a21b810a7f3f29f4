"""A small pool on its day, whose mails lie in real mailboxes: for tests of visits."""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import httpx
from pydantic import SecretStr

from mailtide.adapters.imap import ImapServers
from mailtide.adapters.oauth2 import AccessTokens, KeptToken
from mailtide.adapters.smtp import make_tls_context
from mailtide.contracts import new_token
from mailtide.warmup.content import packaged_templates
from mailtide.warmup.contracts import DAY_MS, Auth, Engagement, LedgerKey, Mailbox, MailServer, RoundState, day_start_ms
from mailtide.warmup.days import RosterStore
from mailtide.warmup.ids import SendId
from mailtide.warmup.mail_ports import Credentials, SecretError, Secrets
from mailtide.warmup.memory import MemoryLedger, MemoryObjects, VirtualClock
from mailtide.warmup.message import build_mail, build_reply
from mailtide.warmup.ports import Claim, Outcome
from mailtide.warmup.reading.contracts import Placement, ReadMessage, VisitState
from mailtide.warmup.reading.days import ReadingDay, ReadingDays
from mailtide.warmup.reading.memory import MemoryPlacements, MemoryVisits
from mailtide.warmup.reading.ports import MailServers
from mailtide.warmup.reading.read import ReadServices, VisitReport, read
from mailtide.warmup.user_files import BucketControl
from tests.support.warmup_pools import DAY, roster_of

NOON = day_start_ms(DAY) + DAY_MS // 2
BEFORE = DAY - timedelta(days=1)
LOOPBACK = "127.0.0.1"


@cache
def usual_trust() -> ssl.SSLContext:
    """Made once: it reads every authority that there is."""
    return make_tls_context()


class OpenSecrets:
    """Secrets that are sealed in nothing: their text is the password."""

    def seal(self, _user_id: str, _mailbox_id: str, credentials: Credentials, *, beside: str | None = None) -> str:
        assert beside is None
        assert credentials.password is not None
        return credentials.password.get_secret_value()

    def open(self, _user_id: str, _mailbox_id: str, sealed: str) -> Credentials:
        if not sealed:
            raise SecretError("It cannot be opened.")
        return Credentials(password=SecretStr(sealed), refresh_token=SecretStr(sealed), client_id="mailtide")


class Book:
    """Mailboxes by id."""

    def __init__(self, mailboxes: Iterable[Mailbox]) -> None:
        self.mailboxes = {mailbox.mailbox_id: mailbox for mailbox in mailboxes}
        self.asked = 0

    def get_many(self, mailbox_ids: Iterable[str]) -> dict[str, Mailbox]:
        names = list(mailbox_ids)
        self.asked += len(names)
        return {name: self.mailboxes[name] for name in names if name in self.mailboxes}


class CountedLedger(MemoryLedger):
    """Counts what is read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def read(self, key: LedgerKey) -> Any:  # noqa: ANN401 - as its base
        self.reads += 1
        return super().read(key)


@dataclass
class ReadingPool:
    """Mailboxes of as many users, the rosters of today and yesterday, and everything that a visit is given."""

    addresses: Sequence[str]
    imap: MailServer | None = None
    passwords: Sequence[str] = ()
    engagement: Engagement = field(default_factory=Engagement)
    target: int = 4

    def __post_init__(self) -> None:
        self.clock = VirtualClock(NOON)
        self.book = Book(self._mailbox(number, address) for number, address in enumerate(self.addresses))
        self.objects = MemoryObjects()
        rosters = RosterStore(self.objects)
        for day in (BEFORE, DAY):
            rosters.write(roster_of(self.book.mailboxes.values(), day=day, reply_rate=1.0))
        self.days = ReadingDays(rosters)
        self.ledger = CountedLedger()
        self.visits = MemoryVisits()
        self.placements = MemoryPlacements()
        self.secrets: Secrets = OpenSecrets()
        self.kept_tokens: dict[str, KeptToken] = {}

    def _mailbox(self, number: int, address: str) -> Mailbox:
        password = self.passwords[number] if self.passwords else "secret"
        return Mailbox.model_validate(
            {
                "mailbox_id": f"box-{number}",
                "user_id": f"user-{number}",
                "address": address,
                "display_name": f"Person {number}",
                "first_day": BEFORE - timedelta(days=60),
                "ramp": {"start_count": 1, "increase_by": 1, "max_daily": self.target},
                "smtp": {"host": LOOPBACK, "port": 25, "security": "none"},
                "imap": self.imap,
                "auth": Auth(kind="password", username=address, sealed=password),
                "engagement": self.engagement,
                "provider": "google",
            }
        )

    def mailbox(self, number: int) -> Mailbox:
        return self.book.mailboxes[f"box-{number}"]

    def change(self, number: int, **fields: object) -> Mailbox:
        """The mailbox with other fields from now on."""
        changed = Mailbox.model_validate({**self.mailbox(number).model_dump(), **fields})
        self.book.mailboxes[changed.mailbox_id] = changed
        return changed

    def day(self, day: Any = DAY) -> ReadingDay:  # noqa: ANN401 - a date
        found = self.days.get(day)
        assert found is not None
        return found

    def to(self, number: int, day: Any = DAY) -> list[SendId]:  # noqa: ANN401 - a date
        """The ordinary mails of a day to a mailbox, in the order of their slots."""
        start = day_start_ms(day)
        pool = self.day(day).pool_day
        found = self.day(day).expected(f"box-{number}", start, start + DAY_MS)
        return sorted(found, key=lambda one: pool.slot(pool.pool.mailbox_ids.index(one.mailbox_id), one.round))

    def due_ms(self, send_id: SendId) -> int:
        pool = self.day(send_id.day).pool_day
        return pool.start_ms + pool.slot(pool.pool.mailbox_ids.index(send_id.mailbox_id), send_id.round)

    def planned_reply(self, to: int | None = None) -> tuple[SendId, SendId, int]:
        """A planned reply (to this mailbox), what it answers, and the number of the mailbox that it goes to."""
        for mailbox_id in self.book.mailboxes:
            for round_number in range(self.target):
                send_id = SendId(DAY, mailbox_id, round_number)
                asked = self.day().addressees(send_id)
                number = int(asked.original.mailbox_id.removeprefix("box-")) if asked and asked.original else None
                if asked and asked.original and number is not None and to in {None, number}:
                    return send_id, asked.original, number
        raise AssertionError("no such reply is planned")

    def leave(self, send_id: SendId, state: RoundState) -> None:
        """Bring a round into a state, as a sender does."""
        key = self.day(send_id.day).key(send_id.mailbox_id)
        claim = Claim(key, send_id.round, new_token())
        start = day_start_ms(send_id.day)
        answer = self.ledger.claim(claim, target=1_000, now_ms=start, next_ok_ms=start, day_end_ms=start + DAY_MS)
        assert answer.outcome == "held", answer
        if state == RoundState.SENDING:
            return
        assert self.ledger.begin_data(claim, now_ms=start, next_ok_ms=start)
        outcomes: dict[RoundState, Outcome] = {
            RoundState.SENT: "sent",
            RoundState.SENT_REPLY: "sent_reply",
            RoundState.FAILED: "failed",
            RoundState.UNKNOWN: "unknown",
        }
        if state != RoundState.DATA:
            assert self.ledger.finish(claim, outcomes[state])

    def state(self, send_id: SendId) -> RoundState:
        return self.ledger.state(self.day(send_id.day).key(send_id.mailbox_id), send_id.round)

    def mail(self, send_id: SendId, recipient: int) -> bytes:
        """An ordinary mail, as it is sent."""
        sender = self.book.mailboxes[send_id.mailbox_id]
        return build_mail(send_id, sender, self.mailbox(recipient), packaged_templates(), now_ms=self.clock.at_ms)

    def reply(self, send_id: SendId, original: SendId) -> bytes:
        """A reply, as it is sent."""
        sender, recipient = (self.book.mailboxes[one.mailbox_id] for one in (send_id, original))
        return build_reply(send_id, sender, original, recipient, packaged_templates(), now_ms=self.clock.at_ms)

    def placed(self, send_id: SendId) -> Placement | None:
        key = self.day(send_id.day).key(send_id.mailbox_id)
        day = self.placements.read_many([key]).get(key)
        return day.placements.get(send_id.round) if day else None

    def reported(self, send_id: SendId) -> str | None:
        key = self.day(send_id.day).key(send_id.mailbox_id)
        day = self.placements.read_many([key]).get(key)
        return day.reports.get(send_id.round) if day else None

    def left(self, number: int) -> VisitState:
        return self.visits.read_many([f"box-{number}"])[f"box-{number}"]

    def read(
        self,
        *numbers: int,
        tls_context: Any = None,  # noqa: ANN401 - an ssl.SSLContext
        timeout_s: float = 10.0,
        time_left_s: float = 60.0,
        max_connections: int = 20,
        host_concurrency: int = 10,
        day: Any = DAY,  # noqa: ANN401 - a date
        servers_of: Callable[[MailServers], MailServers] = lambda servers: servers,
    ) -> list[VisitReport]:
        """One message's visits."""

        async def run() -> list[VisitReport]:
            async with httpx.AsyncClient(verify=usual_trust()) as http:
                servers = ImapServers(
                    self.secrets,
                    AccessTokens(http, self.kept_tokens),
                    timeout_s=timeout_s,
                    max_connections=max_connections,
                    host_concurrency=host_concurrency,
                    tls_context=tls_context or usual_trust(),
                )
                services = ReadServices(
                    visits=self.visits,
                    placements=self.placements,
                    ledger=self.ledger,
                    mailboxes=self.book,
                    days=self.days,
                    servers=servers_of(servers),
                    control=BucketControl(self.objects, self.clock),
                    clock=self.clock,
                    run_blocking=asyncio.to_thread,
                )
                message = ReadMessage(
                    day=day,
                    shard=0,
                    mailbox_ids=tuple(f"box-{number}" for number in numbers),
                    until_ms=self.clock.at_ms + 1_800_000,
                )
                return await read(services, message, self.clock.monotonic_ms() + int(time_left_s * 1_000))

        return asyncio.run(run())
