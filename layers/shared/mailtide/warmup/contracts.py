"""Mailboxes, messages and views of the ledger, as frozen models (the objects in the bucket: mailtide.warmup.objects).

Instants are whole milliseconds since 1970-01-01 UTC (`…_ms`): three million mails a day pass through them. A day is a
UTC day.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, StringConstraints, TypeAdapter, field_validator, model_validator

from mailtide.contracts import Contract
from mailtide.warmup.ids import ID_PATTERN, MAX_ROUNDS, SendId

DAY_MS = 86_400_000

type MailboxId = Annotated[str, Field(pattern=ID_PATTERN)]
type UserId = Annotated[str, Field(pattern=ID_PATTERN)]
type Round = Annotated[int, Field(ge=0, lt=MAX_ROUNDS)]
type Shard = Annotated[int, Field(ge=0)]
type HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
type MailboxStatus = Literal["active", "paused", "disconnected", "quarantined"]
type ProviderId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{0,32}$")]
"""Of mailtide.warmup.providers, "" where it is not known."""

MAX_SEALED = 4_096
MAX_REASON = 300
_ADDRESS = re.compile(
    r"(?=[^@]{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}"
)
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def day_start_ms(day: date) -> int:
    """00:00 UTC of a day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def day_of(instant_ms: int) -> date:
    """The UTC day of an instant."""
    return datetime.fromtimestamp(instant_ms // 1000, UTC).date()


def to_ms(instant: datetime) -> int:
    """An aware instant in milliseconds."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def is_safe_url(url: str) -> bool:
    """Whether secrets may go to this address: over TLS alone, but for this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))


class MailServer(Contract):
    """Where a mailbox's server is, and how the connection is protected. `tls` is from the first byte on."""

    host: HostName
    port: Annotated[int, Field(ge=1, le=65_535)]
    security: Literal["starttls", "tls", "none"]


class Auth(Contract):
    """How a mailbox logs in.

    `sealed` is made and read by mailtide.warmup's secrets alone: a password, or a refresh token with its client's
    id and secret, encrypted under the user's data key, bound to user and mailbox by the encryption context.
    """

    kind: Literal["password", "xoauth2"]
    username: Annotated[str, Field(min_length=1, max_length=320)]
    sealed: Annotated[str, Field(repr=False, max_length=MAX_SEALED)]
    token_url: Annotated[str, Field(max_length=2_048)] | None = None
    """Where an access token is fetched with the refresh token; xoauth2 only."""

    @field_validator("token_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value is not None and not is_safe_url(value):
            raise ValueError("not an address that begins with https://")
        return value

    @model_validator(mode="after")
    def _has_token_url(self) -> Self:
        if (self.kind == "xoauth2") != (self.token_url is not None):
            raise ValueError("xoauth2 needs a token_url, a password has none")
        return self


class Ramp(Contract):
    """How a mailbox's daily mails grow."""

    start_count: Annotated[int, Field(ge=1, le=10)] = 3
    increase_by: Annotated[int, Field(ge=1, le=5)] = 3
    max_daily: Annotated[int, Field(ge=1, lt=MAX_ROUNDS)] = 30


class SendWindow(Contract):
    """When a mailbox writes: minutes of the local day, from `opens_min` until before `closes_min`.

    It closes on the next day when `closes_min` is not later. (0, 1440) is the whole day.
    """

    opens_min: Annotated[int, Field(ge=0, le=1_439)] = 0
    closes_min: Annotated[int, Field(ge=1, le=1_440)] = 1_440
    weekdays: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], Field(min_length=1)] = (0, 1, 2, 3, 4, 5, 6)
    """0 is Monday; of the local day on which the window opens."""
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is no time zone") from None
        return value

    @field_validator("weekdays")
    @classmethod
    def _sorted(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(value)))


class Engagement(Contract):
    """What may be done with warm-up mail in a mailbox whose IMAP server is known; nothing else there is ever touched."""

    read: bool = True
    """Mark it as seen. Replies wait until it is."""
    rescue: bool = True
    """Move it from junk to the inbox."""
    flag: bool = False
    """Flag it as important."""

    @property
    def is_any(self) -> bool:
        """Whether anything is done with mail, beyond looking where it landed."""
        return self.read or self.rescue or self.flag


class MailboxProfile(Contract):
    """What planning and dispatch know of a mailbox: no server, no secret."""

    mailbox_id: MailboxId
    user_id: UserId
    address: Annotated[str, Field(max_length=320)]
    ramp: Ramp = Ramp()
    window: SendWindow = SendWindow()
    status: MailboxStatus = "active"
    first_day: date
    """Day 1 of its ramp; it stands in no roster before. A new mailbox gets tomorrow."""
    provider: ProviderId = ""
    """Whose mail servers its domain names (MX), as of the last check of the domain."""
    pace: Annotated[float, Field(ge=0.01, le=1)] = 1.0
    """Part of its ramp's mails that it writes (mailtide.warmup.reading.health)."""
    graduated_on: date | None = None
    """Its ramp has ended, and its mails surely arrive."""

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not _ADDRESS.fullmatch(value):
            raise ValueError("not a mail address in ASCII (domains in other scripts as xn--…)")
        local, _, domain = value.rpartition("@")
        return f"{local}@{domain.lower()}"

    @property
    def domain(self) -> str:
        """The part after the @, lower case."""
        return self.address.rpartition("@")[2]


class Mailbox(MailboxProfile):
    """One mailbox, as the table holds it."""

    display_name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")] = ""
    smtp: MailServer
    imap: MailServer | None = None
    engagement: Engagement = Engagement()
    auth: Auth
    status_reason: Annotated[str, Field(max_length=MAX_REASON)] = ""
    """One sentence, safe to show; never a server's text with secrets in it."""
    not_before_ms: int = 0
    """Parked until then (a provider's daily limit, throttling beyond the day)."""
    held_back: Annotated[str, Field(max_length=MAX_REASON)] = ""
    """Why it writes less than its ramp says, for a person; "" when it does not."""
    health: Annotated[str, Field(repr=False)] = ""
    """A mailtide.warmup.reading.record.MailboxHealth as text; "" before the first fold that concerns it."""


class Standing(Contract):
    """What may change about a mailbox within a day."""

    status: MailboxStatus
    not_before_ms: int = 0
    is_read: bool = False
    """It has an IMAP server: its warm-up mail is looked for."""
    replies_wait: bool = False
    """Its replies wait until what they answer was found in it."""
    held_back: str = ""
    """Why it writes less than its ramp says; "" when it does not."""


def standing_of(mailbox: Mailbox) -> Standing:
    """What a mailbox stands for in a dispatch."""
    is_read = mailbox.imap is not None
    return Standing(
        status=mailbox.status,
        not_before_ms=mailbox.not_before_ms,
        is_read=is_read,
        replies_wait=is_read and mailbox.engagement.read,
        held_back=mailbox.held_back,
    )


class WarmupTick(Contract):
    """On plan_warmup's queue: a tick of the schedule. `scheduled_ms` None: the tick that holds the present."""

    kind: Literal["warmup_tick"] = "warmup_tick"
    scheduled_ms: int | None = None


class ShardTick(Contract):
    """On dispatch_shard's queue: offer what is due in [start, end) for one shard.

    With `request_id` it is a person's demand beside the schedule: what one user's mailboxes, or one of them, have due by now
    is offered at once, again if need be. It leaves no summary.
    """

    kind: Literal["shard_tick"] = "shard_tick"
    day: date
    start_ms: int
    end_ms: int
    shard: Shard
    request_id: Annotated[str, Field(pattern=ID_PATTERN)] | None = None
    user_id: UserId | None = None
    mailbox_id: MailboxId | None = None

    def concerns(self, mailbox_id: str, user_id: str) -> bool:
        """Whether a mailbox is among those that the demand names; always so for a tick of the schedule."""
        return self.user_id in {None, user_id} and self.mailbox_id in {None, mailbox_id}


class DomainTick(Contract):
    """On plan_warmup's queue, behind a tick's other messages: check domains of the day's list, as many as there is time for."""

    kind: Literal["domain_tick"] = "domain_tick"
    day: date
    start_ms: int
    """Of the tick."""
    end_ms: int


class SendMessage(Contract):
    """On send_mail's queue: one mail. The same send may be there more than once; the ledger lets one through.

    The recipient is `recipient_id`, unless `reply_to` names an original that its ledger shows as sent (state `sent`, not
    `sent_reply`): then the mail is the reply to it and goes to the original's sender. The original's ledger key is
    (day, reply_to_shard, the mailbox in reply_to). When the recipient is not active any more: claim, then result
    `failed` without limit tokens or SMTP, so that an extra slot follows.
    """

    kind: Literal["send"] = "send"
    day: date
    shard: Shard
    mailbox_id: MailboxId
    user_id: UserId
    round: Round
    target: int
    """The claim's condition: sent + unknown + in flight < target."""
    user_day_limit: int
    """The user's planned mails of the day × WARMUP_USER_DAILY_CAP: starts of sends that the limits allow the user today."""
    recipient_id: MailboxId
    due_ms: int
    tick_end_ms: int
    """Put back only if due again before it; acknowledged unclaimed from one tick after it."""
    tick_ms: int
    reply_to: str | None = None
    """Send id of the original."""
    reply_to_shard: Shard | None = None

    @property
    def send_id(self) -> SendId:
        """day/mailbox/round"""
        return SendId(self.day, self.mailbox_id, self.round)


type WarmupMessage = Annotated[WarmupTick | ShardTick | DomainTick | SendMessage, Field(discriminator="kind")]
WARMUP_MESSAGE: TypeAdapter[WarmupMessage] = TypeAdapter(WarmupMessage)


class RoundState(StrEnum):
    """The state of one round in the ledger, as one letter."""

    UNTAKEN = "."
    SENDING = "c"
    """Claimed; DATA has not begun. May be taken over once expired."""
    DATA = "d"
    """DATA has begun or is about to. Once expired it becomes unknown, never untaken."""
    SENT = "s"
    SENT_REPLY = "r"
    """Sent, as a reply: it is not answered, and it did not go to the recipient of its round."""
    FAILED = "f"
    UNKNOWN = "u"
    MISSED = "m"


_FAILED = RoundState.FAILED.value


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """One ledger item: partition (day, shard), sort key mailbox."""

    day: date
    shard: int
    mailbox_id: str


@dataclass(slots=True)
class LedgerView:
    """What dispatch, replies and metrics read of a ledger item; while nothing happened today there is none. Never changed.

    Not frozen, since dispatch makes millions a day, and a frozen one takes three times as long.
    """

    key: LedgerKey
    target: int
    states: str
    """RoundState letters by round; rounds beyond its length are untaken. A round that was given back is untaken, with tries."""
    sent: int
    """Rounds sent, replies included."""
    unknown: int
    in_flight: int
    """Rounds in SENDING or DATA, expired or not."""
    next_ok_ms: int
    """No claim before."""
    tries: dict[int, int] = field(default_factory=dict)
    """Refused tries of rounds that had any."""
    expires_ms: dict[int, int] = field(default_factory=dict)
    """Of the rounds in SENDING or DATA."""
    closed: bool = False
    recent: int = 0
    """How many outcomes the window of the last 100 holds."""
    bounces: int = 0
    policy_refusals: int = 0
    """Of `recent`."""

    def state(self, number: int) -> RoundState:
        """The state of a round."""
        return RoundState(self.states[number]) if number < len(self.states) else RoundState.UNTAKEN

    @property
    def failed(self) -> int:
        """Rounds that ended as failed."""
        return self.states.count(_FAILED)
