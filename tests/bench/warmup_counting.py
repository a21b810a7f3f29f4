"""A mailtide command that counts the requests it makes: `python -m tests.bench.warmup_counting COUNTS.json warmup worker send`.

Counted where botocore has an answer, by service and operation. DynamoDB's units are what the server says it consumed, but never
fewer than AWS's rules make of the items in the answer: a unit for each begun KB of an item that is written, refused conditions
too; a unit for each begun 4 KB that is read consistently, of each item by itself or of a query's items together.
"""

import atexit
import json
import resource
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

WRITE_UNIT_BYTES = 1_024
READ_UNIT_BYTES = 4_096
WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})


def item_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """The size of an item by AWS's rule: names, text and bytes by their length, numbers two digits a byte and one more."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(typed: Mapping[str, Any]) -> int:
    kind: str
    value: str | bytes
    kind, value = next(iter(typed.items()))
    if isinstance(value, bytes):
        return len(value)
    if kind == "N":
        return (len(value.strip("-").rstrip("0")) + 1) // 2 + 1 + value.startswith("-")
    return len(value.encode())


def _read_units(parsed: Mapping[str, Any]) -> int:
    """Items that are not there are not counted; BatchGetItem's answers name no keys of those."""
    if "Responses" in parsed:
        return sum(-(-item_bytes(item) // READ_UNIT_BYTES) for items in parsed["Responses"].values() for item in items)
    return max(1, -(-sum(map(item_bytes, parsed.get("Items", []))) // READ_UNIT_BYTES))


class Counts:
    """Requests by "service operation", units of DynamoDB by operation, and the largest item seen."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.units: defaultdict[str, float] = defaultdict(float)
        self.largest_item_bytes = 0

    def listen(self, session: boto3.Session) -> None:
        """Count what clients of a session do from now on."""
        session.events.register("after-call", self._count)

    def _count(self, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:  # noqa: ANN401 - botocore's
        service, operation = model.service_model.service_name, model.name
        self.requests[f"{service} {operation}"] += 1
        error = parsed.get("Error", {}).get("Code")
        if error:
            self.refused[f"{service} {operation} {error}"] += 1
        if service == "dynamodb":
            self.units[operation] += self._units(operation, parsed)

    def _units(self, operation: str, parsed: Mapping[str, Any]) -> float:
        consumed = parsed.get("ConsumedCapacity") or []
        told = sum(float(part["CapacityUnits"]) for part in (consumed if isinstance(consumed, list) else [consumed]))
        if operation not in WRITES:
            return max(told, _read_units(parsed))
        size = item_bytes(parsed.get("Attributes") or parsed.get("Item") or {})
        self.largest_item_bytes = max(self.largest_item_bytes, size)
        return max(told, 1.0, -(-size // WRITE_UNIT_BYTES))

    def as_json(self) -> dict[str, Any]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "requests": self.requests,
            "refused": self.refused,
            "units": self.units,
            "largest_item_bytes": self.largest_item_bytes,
            "peak_mb": usage.ru_maxrss * 1024 / 1e6,
        }


def main() -> None:
    path = Path(sys.argv.pop(1))
    counts = Counts()
    boto3.setup_default_session()
    counts.listen(boto3._get_default_session())
    atexit.register(lambda: path.write_text(json.dumps(counts.as_json()), encoding="utf-8"))
    from mailtide.cli.main import main as mailtide

    mailtide()


if __name__ == "__main__":
    main()
