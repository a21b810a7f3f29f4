"""Planning and dispatch of the warm-up, wired once per process."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.placements import DynamoPlacements
from mailtide.adapters.dynamodb.table import Table, make_dynamodb_client
from mailtide.adapters.dynamodb.visits import DynamoVisits
from mailtide.adapters.mail_queue import SqsMailQueue
from mailtide.adapters.queues import make_sqs_client
from mailtide.adapters.s3 import S3Bucket, make_client
from mailtide.warmup.contracts import day_of
from mailtide.warmup.days import RosterStore
from mailtide.warmup.metrics import WarmupMetrics, measure
from mailtide.warmup.reading.book import PlacementBook
from mailtide.warmup.reading.shown import PlacementReport, of_pool
from mailtide.warmup.services import PlanningServices, ReadingPorts
from mailtide.warmup.settings import WarmupResources, WarmupSettings, load_warmup_resources, load_warmup_settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from mailtide.deliverability.due_domains import DomainServices

READERS = 16
"""Summaries that are read side by side."""


@cache
def mailboxes() -> DynamoMailboxes:
    """The table of the mailboxes. SettingsError."""
    name = load_warmup_resources().required("mailboxes_table")
    return DynamoMailboxes(Table(name, make_dynamodb_client(), _clock()))


@cache
def _clock() -> ServerClock:
    return ServerClock()


def forget_time() -> None:
    """The process may have been frozen since its last call: let its idea of the time start anew."""
    _clock().forget()


@cache
def mail_queue() -> SqsMailQueue:
    """The queues of the warm-up. SettingsError."""
    return SqsMailQueue(make_sqs_client(), load_warmup_resources())


@cache
def planning() -> PlanningServices:
    """What plan_warmup, dispatch_shard and the looks at mailboxes are given. SettingsError."""
    settings, resources = load_warmup_settings(), load_warmup_resources()
    clock, client = _clock(), make_dynamodb_client()
    bucket = S3Bucket(resources.bucket, make_client())
    pool = DynamoMailboxes(Table(resources.mailboxes_table, client, clock))
    return PlanningServices(
        bucket=bucket,
        rosters=RosterStore(bucket),
        mailboxes=pool,
        health=pool,
        ledger=DynamoLedger(
            Table(resources.ledger_table, client, clock), retention_days=settings.metrics_retention_days
        ),
        queue=mail_queue(),
        clock=clock,
        settings=settings,
        reading=_reading(settings, resources, client),
        # It asks itself for it, by a message behind the tick's.
        checks_domains=bool(settings.dns_check_days and resources.warmup_plan_queue_url),
    )


@cache
def domain_services() -> "DomainServices":
    """What a check of domains is given. SettingsError; InputError where this machine names no resolver."""
    from mailtide.adapters.dns import DnsResolver
    from mailtide.deliverability.due_domains import DNS_S, DomainServices

    own = planning()
    return DomainServices(
        bucket=own.bucket,
        mailboxes=mailboxes(),
        dns=DnsResolver(lifetime_s=DNS_S),
        clock=own.clock,
        every_days=own.settings.dns_check_days,
    )


def _reading(settings: WarmupSettings, resources: WarmupResources, client: "DynamoDBClient") -> ReadingPorts | None:
    """None where the environment names no table or no queue for it, as in a shell of before."""
    if not (resources.reads_table and resources.warmup_read_queue_url):
        return None
    table = Table(resources.reads_table, client, _clock())
    placements = DynamoPlacements(table, retention_days=settings.metrics_retention_days)
    visits = DynamoVisits(table, retention_days=settings.metrics_retention_days)
    return ReadingPorts(placements=placements, queue=mail_queue(), visits=visits)


@cache
def _readers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(READERS, thread_name_prefix="summaries")


def measure_now() -> WarmupMetrics | None:
    """The metrics of the deployed warm-up; None while today has no roster."""
    own = planning()
    return measure(
        own.bucket,
        now_ms=own.clock.now_ms(),
        depth=own.queue.depth(),
        settings=own.settings,
        executor=_readers(),
        dead_letters=mail_queue().dead_letters(),
    )


@cache
def _placement_book() -> PlacementBook:
    own = planning()
    return PlacementBook(own.bucket, own.rosters)


def placement_now(limit: int) -> PlacementReport:
    """Where the deployed pool's mails landed, as of the last day that was folded; held: at most `limit`."""
    sheets = _placement_book().latest(day_of(planning().clock.now_ms()), _readers())
    return of_pool(sheets, limit=limit)
