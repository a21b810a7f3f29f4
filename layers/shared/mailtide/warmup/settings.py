"""Every setting of the warm-up, read from the environment once, validated, frozen (docs/settings.md lists them).

The numbers carry the prefix WARMUP_; the names of tables, queues and keys that template.yaml hands in carry MAILTIDE_.
Names of the system that this one replaces are accepted; `old_names` says what became of each.
"""

from functools import cache
from typing import Annotated, Any, Self

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mailtide.errors import SettingsError
from mailtide.settings import WHERE_TO_FIND


def _either(name: str, *old: str) -> AliasChoices:
    return AliasChoices(name, *old)


class WarmupSettings(BaseSettings):
    """The rules of the warm-up; the defaults carry 100,000 mailboxes."""

    model_config = SettingsConfigDict(
        env_prefix="WARMUP_", frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    min_daily_quota: int = Field(default=30, ge=1, lt=1_000, description="Mails a fully ramped mailbox sends a day")
    tick_minutes: int = Field(
        default=10,
        ge=1,
        le=15,
        description="How often due mails are dispatched",
        validation_alias=_either("WARMUP_TICK_MINUTES", "WARMUP_CRON_INTERVAL_MINUTES"),
    )
    shards: int = Field(default=100, ge=1, le=10_000, description="Mailboxes are spread over this many shards by hash")
    global_hourly_limit: int = Field(default=150_000, ge=1, description="Mails an hour, system-wide, never exceeded")
    global_minute_limit: int = Field(default=2_500, ge=2, description="Mails a minute, system-wide, never exceeded")
    user_hourly_limit: int = Field(default=1_500, ge=1, description="Mails an hour of all mailboxes of one user")
    user_daily_cap: float = Field(default=1.2, ge=1, le=10, description="Times the user's planned mails of the day")
    mailbox_cooldown_min_ms: int = Field(
        default=120_000, ge=0, description="Shortest gap between two mails of a mailbox"
    )
    mailbox_cooldown_max_ms: int = Field(
        default=300_000, ge=0, le=43_200_000, description="Longest random gap between two mails of a mailbox"
    )
    stagger_min_ms: int = Field(
        default=500, ge=0, le=60_000, description="Shortest gap between starts in a worker lane"
    )
    stagger_max_ms: int = Field(
        default=2_000, ge=0, le=60_000, description="Longest gap between starts in a worker lane"
    )
    batch_size: int = Field(default=200, ge=1, le=10_000, description="Messages that one call of the sender takes")
    max_concurrent: int = Field(default=50, ge=1, le=1_000, description="Sends in flight in one call of the sender")
    smtp_timeout_ms: int = Field(default=30_000, ge=100, le=240_000, description="Time-out of each SMTP command")
    rate_limit_backoff_ms: int = Field(
        default=5_000, ge=1, le=3_600_000, description="First pause after a provider throttles; doubles up to 1 h"
    )
    quota_priority_boost: float = Field(default=2.0, ge=1, le=100, description="Weight of mailboxes behind quota")
    reply_rate: float = Field(
        default=0.35, ge=0, le=1, description="Share of mails answered (0.25 to 0.45 looks human)"
    )
    reply_delay_min: int = Field(default=5, ge=0, le=1_439, description="Minutes before a reply, at least")
    reply_delay_max: int = Field(default=240, ge=0, le=1_440, description="Minutes before a reply, at most")
    read_minutes: int = Field(default=30, ge=0, le=720, description="How often a mailbox with IMAP is read; 0: never")
    read_concurrent: int = Field(default=20, ge=1, le=200, description="Mailboxes that one call of the reader has open")
    imap_timeout_ms: int = Field(default=30_000, ge=100, le=120_000, description="Time-out of each IMAP command")
    placement_min_mails: int = Field(
        default=20, ge=1, le=10_000, description="Mails of seven days below which nothing follows from placement"
    )
    slow_inbox_share: float = Field(
        default=0.8, ge=0, le=1, description="Surely less of its mails in the inbox: it writes less; 0: never"
    )
    slow_pace: float = Field(default=0.5, ge=0.05, le=1, description="Part of its mails that a slowed mailbox writes")
    slow_days: int = Field(
        default=7, ge=1, le=365, description="Days after which a slowed mailbox goes on, if nothing new is against it"
    )
    quarantine_inbox_share: float = Field(
        default=0.4, ge=0, le=1, description="Surely less in the inbox: quarantined; 0: never for placement"
    )
    quarantine_bounce_share: float = Field(
        default=0.05, ge=0, le=1, description="Surely more of its mails reported back: quarantined; 1: never"
    )
    quarantine_complaints: int = Field(
        default=2,
        ge=1,
        le=10_000,
        description="Complaints in seven days, of as many users, that quarantine; one less slows",
    )
    graduate_inbox_share: float = Field(
        default=0.9, ge=0, le=1, description="Surely more in the inbox, with its ramp ended: it has graduated"
    )
    graduate_days: int = Field(default=14, ge=0, le=365, description="Days after its ramp's end, at the earliest")
    graduated_quota: int = Field(
        default=0, ge=0, lt=1_000, description="Mails a day of one that has graduated, at most; 0: as before"
    )
    dns_check_days: int = Field(
        default=7, ge=0, le=90, description="Days after which the DNS of a domain is checked again; 0: never"
    )
    pair_across_providers: bool = Field(
        default=False, description="Prefer pairs of mailboxes whose mail providers differ"
    )
    metrics_retention_days: int = Field(
        default=30, ge=1, le=3_650, description="Days that summaries and ledgers are kept"
    )
    start_count: int = Field(default=3, ge=1, le=10, description="Mails on a new mailbox's first day, unless it says")
    increase_by: int = Field(default=3, ge=1, le=5, description="Mails more each day of the ramp, unless it says")
    max_daily: int = Field(default=30, ge=1, lt=1_000, description="Where a new mailbox's ramp ends, unless it says")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for low, high in (
            ("mailbox_cooldown_min_ms", "mailbox_cooldown_max_ms"),
            ("stagger_min_ms", "stagger_max_ms"),
            ("reply_delay_min", "reply_delay_max"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"WARMUP_{low.upper()} is above WARMUP_{high.upper()}")
        return self

    @property
    def tick_ms(self) -> int:
        """Length of a tick."""
        return self.tick_minutes * 60_000


class WarmupResources(BaseSettings):
    """Names that template.yaml hands to the functions of the warm-up."""

    model_config = SettingsConfigDict(env_prefix="MAILTIDE_", frozen=True, extra="ignore", env_ignore_empty=True)

    bucket: str = Field(description="The bucket that holds everything")
    warmup_plan_queue_url: str = Field(default="", description="Queue of plan_warmup")
    warmup_dispatch_queue_url: str = Field(default="", description="Queue of dispatch_shard")
    warmup_send_queue_url: str = Field(default="", description="Queue of send_mail")
    warmup_read_queue_url: str = Field(default="", description="Queue of read_mailboxes; without it no mailbox is read")
    warmup_dead_letter_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Their dead-letter queues, separated by commas, for the metrics"
    )
    mailboxes_table: str = Field(default="", description="Table of the mailboxes")
    ledger_table: str = Field(default="", description="Table of the ledger")
    reads_table: str = Field(default="", description="Table of the visits to mailboxes and of what they found")
    limits_table: str = Field(default="", description="Table of the limits")
    idempotency_table: str = Field(default="", description="Table of the ticks that were carried out")
    secrets_kms_key_id: str = Field(default="", description="KMS key that wraps the users' data keys")

    def required(self, name: str) -> str:
        """The value of a field that this command cannot do without. SettingsError when it is missing."""
        value: str = getattr(self, name)
        if not value:
            raise SettingsError(f"The setting MAILTIDE_{name.upper()} is missing; {WHERE_TO_FIND}.")
        return value

    @field_validator("warmup_dead_letter_urls", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


OLD_NAMES: dict[str, str] = {
    "WARMUP_CRON_INTERVAL_MINUTES": "It still works; its new name is WARMUP_TICK_MINUTES.",
    "CRON_INTERVAL": "Use WARMUP_TICK_MINUTES, a number of minutes.",
    "BATCH_SIZE": "Use WARMUP_BATCH_SIZE.",
    "MAX_CONCURRENT_SENDS": "Use WARMUP_MAX_CONCURRENT.",
    "GLOBAL_HOURLY_LIMIT": "Use WARMUP_GLOBAL_HOURLY_LIMIT.",
    "GLOBAL_MINUTE_LIMIT": "Use WARMUP_GLOBAL_MINUTE_LIMIT.",
    "WARMUP_DISTRIBUTED_MODE": "Nothing to switch on: the queue's depth sets the number of senders.",
    "WARMUP_ENABLE_DISTRIBUTED_MODE": "Nothing to switch on: the queue's depth sets the number of senders.",
    "WARMUP_WORKER_ID": "Workers have no ids: each mailbox has a shard by hash (WARMUP_SHARDS), any sender takes any mail.",
    "WORKER_ID": "Workers have no ids: each mailbox has a shard by hash (WARMUP_SHARDS), any sender takes any mail.",
    "WARMUP_WORKER_COUNT": "Workers are not counted: the queue's depth sets their number, up to what `mailtide warmup "
    "capacity` says.",
    "WORKER_COUNT": "Workers are not counted: the queue's depth sets their number, up to what `mailtide warmup capacity` says.",
    "WARMUP_BATCH_DELAY_MS": "Batches do not wait: WARMUP_STAGGER_MIN_MS and _MAX_MS space the sends, the limits hold them back.",
    "DATABASE_URL": "Nothing reads it: mailboxes and ledger are tables of DynamoDB (MAILTIDE_MAILBOXES_TABLE and others).",
    "BATCH_DELAY_MS": "Batches do not wait: WARMUP_STAGGER_MIN_MS and _MAX_MS space the sends, the limits hold them back.",
}
"""Every name of the replaced system, and what to do about it."""


class _OldNames(BaseSettings):
    """Whether the environment holds an old name."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    warmup_cron_interval_minutes: str | None = None
    cron_interval: str | None = None
    batch_size: str | None = None
    max_concurrent_sends: str | None = None
    global_hourly_limit: str | None = None
    global_minute_limit: str | None = None
    warmup_distributed_mode: str | None = None
    warmup_enable_distributed_mode: str | None = None
    warmup_worker_id: str | None = None
    worker_id: str | None = None
    warmup_worker_count: str | None = None
    worker_count: str | None = None
    warmup_batch_delay_ms: str | None = None
    batch_delay_ms: str | None = None
    database_url: str | None = None


def old_names() -> dict[str, str]:
    """Old names that the environment holds, each with one sentence on what replaces it."""
    found: dict[str, Any] = _OldNames().model_dump(exclude_none=True)
    return {name: note for name, note in OLD_NAMES.items() if name.lower() in found}


@cache
def load_warmup_settings() -> WarmupSettings:
    """The rules of this process. SettingsError names the first variable that is impossible."""
    try:
        return WarmupSettings()
    except ValidationError as error:
        raise _sentence(error, "WARMUP_") from None


class _PoolName(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MAILTIDE_", frozen=True, extra="ignore", env_ignore_empty=True)

    mailboxes_table: str = ""


def names_a_pool() -> bool:
    """Whether the environment names the table of the mailboxes, whatever else it lacks."""
    return bool(_PoolName().mailboxes_table)


@cache
def load_warmup_resources() -> WarmupResources:
    """The names of this deployment. SettingsError names the first variable that is missing."""
    try:
        return WarmupResources()
    except ValidationError as error:
        raise _sentence(error, "MAILTIDE_") from None


def _sentence(error: ValidationError, prefix: str) -> SettingsError:
    first = error.errors()[0]
    if not first["loc"]:
        return SettingsError(f"The settings contradict each other: {first['msg'].removeprefix('Value error, ')}.")
    name = "_".join(str(part) for part in first["loc"]).upper()
    name = name if name.startswith("WARMUP_") else prefix + name
    what = f"is missing; {WHERE_TO_FIND}" if first["type"] == "missing" else f"is not usable: {first['msg']}"
    return SettingsError(f"The setting {name} {what}.")
