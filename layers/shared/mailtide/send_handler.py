"""send_mail's batches: all messages of a call side by side; only those that could not be handled return to the queue."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from mailtide import sending
from mailtide.warmup.contracts import SendMessage
from mailtide.warmup.send import KEY_REFUSED, BatchReport

logger = Logger()
metrics = Metrics()
tracer = Tracer()


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """An SQS event -> its partial failures (`batchItemFailures`)."""
    messages: dict[str, SendMessage] = {}
    failed: list[str] = []
    for record in event["Records"]:
        try:
            messages[record["messageId"]] = SendMessage.model_validate_json(record["body"])
        except ValidationError as error:
            logger.error("poisoned", extra={"message_id": record["messageId"], "faults": error.error_count()})
            failed.append(record["messageId"])
    if messages:
        report = sending.send_batch(list(messages.values()), time_left_s=context.get_remaining_time_in_millis() / 1000)
        unhandled = {id(message) for message in report.failures()}
        failed += [message_id for message_id, message in messages.items() if id(message) in unhandled]
        _write_down(report, failed)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _write_down(report: BatchReport, failed: list[str]) -> None:
    reasons = sorted({one.ending.reason for one in report.handled if one.failed})
    counts = report.counts()
    logger.info(
        "batch",
        extra={
            "ends": counts,
            "waves": report.waves,
            "tokens": report.granted,
            "forfeited": report.forfeited,
            "failed": len(failed),
            "failed_by": reasons,
        },
    )
    refused = sum(one.ending.reason == KEY_REFUSED for one in report.handled)
    if refused:
        logger.error(
            "key_refused", extra={"mails": refused, "do": "mailtide doctor: the key of the mailboxes' secrets"}
        )
        metrics.add_metric(name="key_refused", unit=MetricUnit.Count, value=refused)
    for end, count in counts.items():
        metrics.add_metric(name=f"mail_{end}", unit=MetricUnit.Count, value=count)
    metrics.add_metric(name="mail_tokens_forfeited", unit=MetricUnit.Count, value=report.forfeited)
