"""plan_warmup's and dispatch_shard's records: each tick is carried out once, and only failed ones return to the queue.

Powertools' Idempotency keeps a repeated message from doing the work again; what it cannot promise (a function that dies on
the way is run again) the use cases bear: the roster is created once, and the ledger lets each send through once.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from typing import Any, cast

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from mailtide.errors import InputError
from mailtide.planning import domain_services, forget_time, measure_now, planning
from mailtide.runs.services import StepReport
from mailtide.warmup.contracts import WARMUP_MESSAGE, DomainTick, ShardTick, WarmupMessage, WarmupTick
from mailtide.warmup.dispatch import dispatch_shard
from mailtide.warmup.health import HEALTH_VALUES
from mailtide.warmup.metrics import gauges
from mailtide.warmup.plan import plan_warmup, tick_start_ms
from mailtide.warmup.reading.fold import fold_days
from mailtide.warmup.settings import load_warmup_resources

logger = Logger()
metrics = Metrics()
tracer = Tracer()

type Handler = Callable[[dict[str, Any], LambdaContext], PartialItemFailureResponse]

KEPT_S = 3_600
"""How long a tick that was carried out is remembered."""
IDLE = {"warmup_total_mailboxes": 0.0, "warmup_system_health": float(HEALTH_VALUES["healthy"])}
"""The gauges while nobody is to write: silence would be an alarm."""


def plan_ticks() -> Handler:
    """The handler of plan_warmup: ticks of the schedule, and what they leave to do with domains."""
    return _handler((WarmupTick, DomainTick), _plan)


def dispatch_ticks() -> Handler:
    """The handler of dispatch_shard: ticks of one shard each."""
    return _handler((ShardTick,), _dispatch)


class _NobodyYetError(Exception):
    """No mailbox is to write. It passes through the guard, so that the tick does not count as carried out: a tick by hand, after
    an import, is to find the mailboxes."""


def _plan(message: WarmupMessage, config: IdempotencyConfig) -> None:
    if isinstance(message, DomainTick):
        _check_domains(message, config)
        return
    tick = cast("WarmupTick", message)
    services = planning()

    def carry_out(tick_key: str) -> None:  # noqa: ARG001 - the guard reads it
        reports = plan_warmup(services, tick)
        _write_down(reports)
        if any(report.action == "no_mailboxes" for report in reports):
            raise _NobodyYetError

    with suppress(_NobodyYetError):
        _once(carry_out, f"plan/{tick_start_ms(services, tick)}", config)
    found = measure_now()
    for name, value in (gauges(found) if found else IDLE).items():
        metrics.add_metric(name=name, unit=MetricUnit.NoUnit, value=value)


def _check_domains(tick: DomainTick, config: IdempotencyConfig) -> None:
    from mailtide.deliverability.due_domains import DomainsChecked, check_due_domains

    def carry_out(tick_key: str) -> None:  # noqa: ARG001 - the guard reads it
        try:
            done = check_due_domains(domain_services(), tick)
        except InputError:
            done = DomainsChecked(why="no resolver")
        _write_down([StepReport("domains_checked", details={"day": tick.day.isoformat(), **asdict(done)})])

    _once(carry_out, f"domains/{tick.start_ms}", config)


def _dispatch(message: WarmupMessage, config: IdempotencyConfig) -> None:
    tick = cast("ShardTick", message)

    def carry_out(tick_key: str) -> None:  # noqa: ARG001 - the guard reads it
        services = planning()
        _write_down([dispatch_shard(services, tick)])
        # What is due comes first; the fold of yesterday may take some seconds.
        _write_down(fold_days(services, tick, services.clock.now_ms()))

    _once(carry_out, f"dispatch/{tick.start_ms}/{tick.shard}/{tick.request_id or ''}", config)


def _once(carry_out: Callable[[str], None], tick_key: str, config: IdempotencyConfig) -> None:
    """Carry a tick out, unless it was carried out before."""
    guarded = idempotent_function(carry_out, data_keyword_argument="tick_key", persistence_store=_seen(), config=config)
    guarded(tick_key=tick_key)


@cache
def _seen() -> DynamoDBPersistenceLayer:
    return DynamoDBPersistenceLayer(table_name=load_warmup_resources().idempotency_table)


def _handler(
    accepted: tuple[type[WarmupTick | ShardTick | DomainTick], ...],
    work: Callable[[WarmupMessage, IdempotencyConfig], None],
) -> Handler:
    batch = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    @logger.inject_lambda_context(clear_state=True)
    @tracer.capture_lambda_handler(capture_response=False)
    @metrics.log_metrics
    def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
        forget_time()
        config = IdempotencyConfig(expires_after_seconds=KEPT_S)
        config.register_lambda_context(context)

        def carry_out_one(record: SQSRecord) -> None:
            try:
                message = WARMUP_MESSAGE.validate_json(record.body)
                if not isinstance(message, accepted):
                    raise ValueError(f"This function takes no {message.kind!r} messages.")
                work(message, config)
            except Exception as error:
                text = "poisoned" if isinstance(error, ValidationError) else "failed"
                logger.exception(text, extra={"message_id": record.message_id, "error": type(error).__name__})
                raise

        return process_partial_response(event, carry_out_one, batch, context)

    # The tracer's and the metrics' decorators are typed as returning Any.
    return cast("Handler", handler)


def _write_down(reports: list[StepReport]) -> None:
    for report in reports:
        say = logger.warning if report.details.get("warnings") else logger.info
        say(report.action, extra=report.details)
        metrics.add_metric(name=report.action, unit=MetricUnit.Count, value=1)
