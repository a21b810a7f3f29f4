"""What a pool needs, whether the limits allow it, and what it costs (spec §7). Pure arithmetic."""

from collections.abc import Iterator
from math import ceil

from pydantic import BaseModel, ConfigDict, Field

from mailtide.contracts import Contract
from mailtide.warmup.contracts import DAY_MS
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.size import size_warning
from mailtide.warmup.slots import most_mails

DAY_S = 86_400
SLOT_SHARE = 0.92
"""The part of the day that slots are spread over."""
DAYS_A_MONTH = 30
NEAR_LIMITS = 0.8


class Prices(BaseModel):
    """AWS list prices in dollars, US East, November 2026; functions on arm64, tables on demand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    write_units_million: float = 0.625
    read_units_million: float = 0.125
    queue_requests_million: float = 0.40
    function_requests_million: float = 0.20
    function_gb_s: float = 0.000_013_333_4
    bucket_puts_thousand: float = 0.005
    bucket_gets_thousand: float = 0.000_4
    key_requests_10_thousand: float = 0.03
    egress_gb: float = 0.09
    log_gb: float = 0.50
    metric_month: float = 0.30
    alarm_month: float = 0.10
    key_month: float = 1.0
    container_vcpu_hour: float = 0.032_38
    container_gb_hour: float = 0.003_56
    """Fargate, Linux on arm64."""
    origin_instance_month: float = 15.0
    """One of the 100 t3.small instances that this replaces."""


class Model(BaseModel):
    """What the estimate assumes of one mail, one tick, one function."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ledger_write_units: float = 3.0
    """Claim, data, result: one conditional update each, items of at most 1 KB."""
    limit_write_units: float = 0.6
    """Each wave one update of the system's item and about one for every four mails of users."""
    wasted_write_units: float = 0.15
    """Claims that are refused, or given back because a limit is reached."""
    mail_read_units: float = 3.6
    """Consistent reads, one unit an item: sender and recipient (2, half of them twice), the original of a reply (0.35), at a
    mailbox's first mail the seven days before (7/30)."""
    standing_read_units: float = 1.0
    """A mailbox at a tick."""
    ledger_item_kb: float = Field(default=0.6, description="Mean size of a ledger item over the day")
    put_back_share: float = 0.05
    """Messages that go back on the queue, of all."""
    send_function_gb: float = 1.0
    dispatch_s: float = 1.0
    dispatch_gb: float = 1.0
    mail_kb: float = 3.0
    template_reads_a_day: int = 288
    """Of each user by each sender: kept for 5 minutes."""
    control_reads_a_day: int = 5_760
    """By each sender: kept for 15 s."""
    log_kb_a_call: float = 2.5
    metrics: int = 38
    alarms: int = 25
    container_vcpu: float = 0.25
    container_gb: float = 0.5
    """Of each process without Lambda; a sender used 0.09 to 0.16 of a core (docs/performance.md)."""
    containers_beside_senders: int = 4
    """A planner, two dispatchers, the API."""


class Capacity(Contract):
    """The answer for users × mailboxes × mails."""

    mailboxes: int
    mails_a_day: int
    needed_per_second: float
    """Over the whole day."""
    planned_per_minute: float
    """While slots last: 92 % of the day."""
    limit_per_day: int
    limits_allow: bool
    refusals: tuple[str, ...]
    """Why they do not, one sentence each."""
    share_of_limits: float
    """Planned mails a minute, of what the tighter of the global limits carries in one."""
    limit_share: float
    """Mails of the day, of what the global limits carry in one; the alarm is at 0.8."""
    senders: int
    """Concurrency of the sender function at the planned rate."""
    senders_at_limit: int
    """At the minute limit, after an outage."""
    write_units_per_mail: float
    write_units_per_day: int
    read_units_per_day: int
    queue_requests_per_day: int
    dollars_a_day: dict[str, float]
    """By service."""
    dollars_a_month: float
    containers_dollars_a_day: float
    """On Fargate, in the place of `functions`, for a team without Lambda."""
    origin_dollars_a_month: float
    """100 instances of the worker mode that this replaces."""
    warnings: tuple[str, ...]
    """What a pool of this size calls for, and whether the alarm of the limits would fire."""


def capacity(
    *,
    users: int,
    mailboxes_per_user: int,
    mails_per_mailbox: int,
    seconds_per_send: float,
    settings: WarmupSettings,
    prices: Prices | None = None,
    model: Model | None = None,
) -> Capacity:
    """What so many users, mailboxes each and mails a mailbox a day need."""
    prices, model = prices or Prices(), model or Model()
    mailboxes = users * mailboxes_per_user
    mails = mailboxes * mails_per_mailbox
    a_minute = mails / (SLOT_SHARE * 1_440)
    carried = min(settings.global_minute_limit, settings.global_hourly_limit / 60)
    refusals = _refusals(users, mailboxes_per_user, mails_per_mailbox, settings)
    writes = mails * (model.ledger_write_units + model.limit_write_units + model.wasted_write_units)
    ticks = ceil(1_440 / settings.tick_minutes)
    reads = mails * model.mail_read_units + ticks * mailboxes * (model.standing_read_units + model.ledger_item_kb / 4)
    requests = _queue_requests(mails, ticks, settings, model)
    dollars = _dollars(mails, writes, reads, requests, ticks, seconds_per_send, users, settings, prices, model)
    return Capacity(
        mailboxes=mailboxes,
        mails_a_day=mails,
        needed_per_second=round(mails / DAY_S, 2),
        planned_per_minute=round(a_minute, 1),
        limit_per_day=int(carried * 1_440),
        limits_allow=not refusals,
        refusals=refusals,
        share_of_limits=round(a_minute / carried, 4),
        limit_share=round(mails / (carried * 1_440), 4),
        senders=_senders(a_minute, seconds_per_send, settings),
        senders_at_limit=_senders(carried, seconds_per_send, settings),
        write_units_per_mail=round(writes / mails, 2) if mails else 0.0,
        write_units_per_day=int(writes),
        read_units_per_day=int(reads),
        queue_requests_per_day=requests,
        dollars_a_day={name: round(value, 2) for name, value in dollars.items()},
        dollars_a_month=round(DAYS_A_MONTH * sum(dollars.values()), 2),
        containers_dollars_a_day=round(_containers(_senders(carried, seconds_per_send, settings), prices, model), 2),
        origin_dollars_a_month=100 * prices.origin_instance_month,
        warnings=tuple(_warnings(mailboxes, mails / (carried * 1_440))),
    )


def _warnings(mailboxes: int, limit_share: float) -> Iterator[str]:
    of_size = size_warning(mailboxes)
    if of_size:
        yield of_size
    if limit_share > NEAR_LIMITS:
        yield f"The mails are {limit_share:.0%} of what the limits carry in a day; the alarm is at {NEAR_LIMITS:.0%}."


def _refusals(users: int, per_user: int, per_mailbox: int, settings: WarmupSettings) -> tuple[str, ...]:
    found = []
    a_minute = users * per_user * per_mailbox / (SLOT_SHARE * 1_440)
    if a_minute > settings.global_minute_limit:
        found.append(f"{a_minute:.0f} mails a minute are above WARMUP_GLOBAL_MINUTE_LIMIT.")
    if a_minute * 60 > settings.global_hourly_limit:
        found.append(f"{a_minute * 60:.0f} mails an hour are above WARMUP_GLOBAL_HOURLY_LIMIT.")
    of_user = per_user * per_mailbox / (SLOT_SHARE * 24)
    if of_user > settings.user_hourly_limit:
        found.append(f"{of_user:.0f} mails an hour of one user are above WARMUP_USER_HOURLY_LIMIT.")
    fits = most_mails(DAY_MS, settings.mailbox_cooldown_max_ms)
    if per_mailbox > fits:
        found.append(f"{fits} mails a mailbox are all that WARMUP_MAILBOX_COOLDOWN_MAX_MS lets through in a day.")
    return tuple(found)


def _senders(a_minute: float, seconds_per_send: float, settings: WarmupSettings) -> int:
    """Rate × seconds per send ÷ sends in flight in one call of the sender."""
    return ceil(a_minute / 60 * seconds_per_send / settings.max_concurrent)


def _queue_requests(mails: int, ticks: int, settings: WarmupSettings, model: Model) -> int:
    """Sends and deletes by ten, receives by ten, and put-backs; then three a tick and shard."""
    messages = mails * (1 + model.put_back_share)
    return int(3 * messages / 10 + 3 * ticks * settings.shards)


def _dollars(
    mails: int,
    writes: float,
    reads: float,
    requests: int,
    ticks: int,
    seconds_per_send: float,
    users: int,
    settings: WarmupSettings,
    prices: Prices,
    model: Model,
) -> dict[str, float]:
    dispatches = ticks * settings.shards
    send_s = mails * seconds_per_send / settings.max_concurrent
    gb_s = send_s * model.send_function_gb + dispatches * model.dispatch_s * model.dispatch_gb
    calls = mails / min(settings.batch_size, 100) + dispatches
    senders = _senders(mails / 1_440, seconds_per_send, settings)
    gets = 4 * dispatches + senders * (users * model.template_reads_a_day + model.control_reads_a_day)
    watched = model.metrics * prices.metric_month + model.alarms * prices.alarm_month
    return {
        "tables": (writes * prices.write_units_million + reads * prices.read_units_million) / 1e6,
        "functions": gb_s * prices.function_gb_s + calls * prices.function_requests_million / 1e6,
        "queues": requests * prices.queue_requests_million / 1e6,
        "bucket": (2 * dispatches * prices.bucket_puts_thousand + gets * prices.bucket_gets_thousand) / 1e3,
        "keys": min(users * senders * 24, mails) * prices.key_requests_10_thousand / 1e4
        + prices.key_month / DAYS_A_MONTH,
        "logs and metrics": calls * model.log_kb_a_call / 1e6 * prices.log_gb + watched / DAYS_A_MONTH,
        "egress": mails * model.mail_kb / 1e6 * prices.egress_gb,
    }


def _containers(senders: int, prices: Prices, model: Model) -> float:
    """Dollars a day of so many senders and what is beside them, up all day long."""
    an_hour = model.container_vcpu * prices.container_vcpu_hour + model.container_gb * prices.container_gb_hour
    return 24 * (senders + model.containers_beside_senders) * an_hour


class WorkerMode(Contract):
    """The manual worker mode that this replaces."""

    runs_a_day: float
    mails_a_worker: int
    mailboxes_a_worker: int
    mails_a_day: int
    mailboxes: int


def worker_mode(
    *, interval_minutes: float, batch_size: int, workers: int = 1, mails_per_mailbox: int = 30
) -> WorkerMode:
    """Runs a day = 1440/interval; mails a worker a day = runs × batch; mailboxes a worker = that ÷ 30."""
    runs = 1_440 / interval_minutes
    mails = int(runs * batch_size)
    return WorkerMode(
        runs_a_day=runs,
        mails_a_worker=mails,
        mailboxes_a_worker=mails // mails_per_mailbox,
        mails_a_day=mails * workers,
        mailboxes=mails * workers // mails_per_mailbox,
    )
