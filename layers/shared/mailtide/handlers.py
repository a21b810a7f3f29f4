"""What every queue function is made of: each record is parsed and carried out by itself, and only failed ones return to the
queue. One log line and one count for whatever was done; a failure is logged where it ends this try."""

from collections.abc import Callable
from typing import Any, cast

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from mailtide.bootstrap import services
from mailtide.contracts import Contract
from mailtide.runs.dispatch import carry_out
from mailtide.runs.inbox import parse
from mailtide.runs.services import StepReport

logger = Logger()
metrics = Metrics()
tracer = Tracer()

type Handler = Callable[[dict[str, Any], LambdaContext], PartialItemFailureResponse]


def queue_function(*accepted: type[Contract]) -> Handler:
    """The handler of a function that takes these messages from its queue; any other is a failure of its record."""
    batch = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    def carry_out_one(record: SQSRecord) -> None:
        message = None
        try:
            message = parse(record.body)
            if message is not None and not isinstance(message, accepted):
                raise ValueError(f"This function takes no {message.kind!r} messages.")
            _write_down(carry_out(services(), message), record.message_id)
        except Exception as error:
            # `mailtide logs` finds a run's lines by its id.
            about = message.model_dump(include={"org", "run"}, exclude_none=True) if message is not None else {}
            facts = {"message_id": record.message_id, "error": type(error).__name__, **about}
            logger.exception("failed", extra=facts)
            raise

    @logger.inject_lambda_context(clear_state=True)
    @tracer.capture_lambda_handler(capture_response=False)
    @metrics.log_metrics
    def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
        return process_partial_response(event, carry_out_one, batch, context)

    # The tracer's and the metrics' decorators are typed as returning Any.
    return cast("Handler", handler)


def _write_down(reports: list[StepReport], message_id: str) -> None:
    for report in reports:
        about = {"message_id": message_id, "org": report.org, "run": report.run}
        logger.info(report.action, extra={**about, **report.details})
        metrics.add_metric(name=report.action, unit=MetricUnit.Count, value=1)
