"""What the functions of a stack have logged, from CloudWatch Logs."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from mailtide.adapters.refusals import refusals, usable_endpoint
from mailtide.errors import NotFoundError

_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5})
_SIGNED = re.compile(r"https?://[^\s\"']*[?&]X-Amz-[^\s\"']*")
_TOKENS = re.compile(r"\b(FlyV1|Bearer|fm[12]_)[\s:]*[A-Za-z0-9+/=_,.-]{8,}")
_NOISE = frozenset(
    {
        *(
            "level",
            "message",
            "timestamp",
            "location",
            "service",
            "cold_start",
            "org",
            "run",
            "xray_trace_id",
            "taskName",
        ),
        *("function_name", "function_arn", "function_memory_size", "function_request_id", "sampling_rate"),
    }
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a function's log, without addresses and tokens that open something."""

    at: datetime
    function: str
    level: str
    message: str
    details: dict[str, Any]
    event_id: str


class CloudLogs:
    """The log groups of a stack."""

    def __init__(self, stack_name: str) -> None:
        self._stack_name = stack_name
        with refusals(), usable_endpoint():
            make: Callable[..., Any] = boto3.client
            self._stacks = make("cloudformation", config=_CONFIG)
            self._logs = make("logs", config=_CONFIG)

    def groups(self) -> dict[str, str]:
        """Function, as in functions/, -> its log group. NotFoundError without such a stack."""
        with refusals():
            try:
                pages = self._stacks.get_paginator("list_stack_resources").paginate(StackName=self._stack_name)
                found = [one for page in pages for one in page["StackResourceSummaries"]]
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "ValidationError":
                    raise NotFoundError(f"There is no stack {self._stack_name} in this account and region.") from None
                raise
        groups = [one["PhysicalResourceId"] for one in found if one["ResourceType"] == "AWS::Logs::LogGroup"]
        prefix = f"/aws/lambda/{self._stack_name}-"
        return {name.removeprefix(prefix).replace("-", "_"): name for name in sorted(groups) if name.startswith(prefix)}

    def lines(self, function: str, group: str, text: str, start: datetime, end: datetime) -> Iterator[LogLine]:
        """The lines of one function that hold `text`, in the order in which CloudWatch has them."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=group,
            filterPattern=f'"{text}"',
            startTime=round(start.timestamp() * 1000),
            endTime=round(end.timestamp() * 1000),
        )
        with refusals():
            try:
                for page in pages:
                    for event in page["events"]:
                        # Not every local cloud goes by the pattern.
                        if text in event["message"]:
                            yield _line(function, event)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
                    raise


def _line(function: str, event: dict[str, Any]) -> LogLine:
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    text = redacted(event["message"].strip())
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return LogLine(at, function, "INFO", text, {}, event.get("eventId", ""))
    details = {name: value for name, value in told.items() if name not in _NOISE and value not in (None, "")}
    return LogLine(
        at, function, str(told.get("level", "INFO")), str(told.get("message", "")), details, event.get("eventId", "")
    )


def redacted(text: str) -> str:
    """Without presigned addresses and tokens."""
    return _TOKENS.sub("[token]", _SIGNED.sub("[presigned address]", text))
