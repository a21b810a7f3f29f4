"""read_mailboxes' batches: every mailbox of a call's messages, side by side. Only what is no message becomes a dead letter: a
visit that fails is asked for again by the dispatcher, an interval later."""

from collections import Counter
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from mailtide import reading
from mailtide.warmup.reading.contracts import ReadMessage
from mailtide.warmup.reading.read import FAILED_EXCESS, VisitReport, failed_excess

logger = Logger()
metrics = Metrics()
tracer = Tracer()

FOUND = ("inbox", "junk", "marked", "rescued", "settled", "missing", "filed", "reports")


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """An SQS event -> its partial failures (`batchItemFailures`)."""
    messages: list[ReadMessage] = []
    failed: list[str] = []
    for record in event["Records"]:
        try:
            messages.append(ReadMessage.model_validate_json(record["body"]))
        except ValidationError as error:
            logger.error("poisoned", extra={"message_id": record["messageId"], "faults": error.error_count()})
            failed.append(record["messageId"])
    if messages:
        left_s = context.get_remaining_time_in_millis() / 1000
        write_down(reading.visit_all(messages, time_left_s=left_s))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def write_down(reports: list[VisitReport]) -> None:
    """Counts alone: neither the log nor the metrics name a mailbox."""
    ends = Counter(report.end for report in reports)
    failures = Counter(f"{report.failure} {report.detail}".strip() for report in reports if report.failure)
    found = {name: sum(getattr(report, name) for report in reports) for name in FOUND}
    say = logger.warning if failures else logger.info
    say("visits", extra={"ends": dict(ends), "failures": dict(failures), **found})
    if refused := ends["key_refused"]:
        logger.error(
            "key_refused", extra={"visits": refused, "do": "mailtide doctor: the key of the mailboxes' secrets"}
        )
        metrics.add_metric(name="key_refused", unit=MetricUnit.Count, value=refused)
    for end, count in ends.items():
        metrics.add_metric(name=f"visit_{end}", unit=MetricUnit.Count, value=count)
    metrics.add_metric(name=f"visit_{FAILED_EXCESS}", unit=MetricUnit.Count, value=failed_excess(ends))
    for name, count in found.items():
        if count:
            metrics.add_metric(name=f"read_{name}", unit=MetricUnit.Count, value=count)
