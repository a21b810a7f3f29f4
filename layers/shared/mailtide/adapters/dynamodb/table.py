"""One DynamoDB table: requests, errors by their code, the server's time, and what it all costs."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.errors import MailtideError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

type Value = str | int | bytes
type Item = dict[str, Value]

_TRANSIENT = {
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "Throttling",
    "TransactionConflictException",
}
BATCH_READ = 100
BATCH_WRITE = 25
_BATCH_TRIES = 8


class ConditionFailedError(MailtideError):
    """The condition of a write did not hold; `item` is what stood there, None where there was nothing."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition does not hold")
        self.item = item


def make_dynamodb_client(endpoint_url: str | None = None, *, connections: int = 64) -> "DynamoDBClient":
    """A client with time-outs, a few retries and as many connections as there are threads that use it."""
    config = Config(
        connect_timeout=3,
        read_timeout=10,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 4},
        tcp_keepalive=True,
    )
    return boto3.client("dynamodb", endpoint_url=endpoint_url, config=config)


def encode(item: Mapping[str, Value]) -> dict[str, Any]:
    """Text, whole numbers and bytes as DynamoDB's typed values."""
    return {name: encode_value(value) for name, value in item.items()}


def encode_value(value: Value) -> dict[str, Any]:
    """One typed value."""
    if isinstance(value, bytes):
        return {"B": value}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def decode(item: Mapping[str, Any]) -> Item:
    """What `encode` made."""
    return {name: _decode_value(value) for name, value in item.items()}


def _decode_value(typed: Mapping[str, Any]) -> Value:
    kind, value = next(iter(typed.items()))
    if kind == "B":
        return bytes(value)
    return str(value) if kind == "S" else int(value)


def as_int(item: Item | None, name: str) -> int:
    """A number of an item; 0 where it has none."""
    value = (item or {}).get(name, 0)
    return value if isinstance(value, int) else 0


class Table:
    """Requests to one table, each timed against the server's clock."""

    def __init__(self, name: str, client: "DynamoDBClient", clock: ServerClock) -> None:
        self.name = name
        self.clock = clock
        self._client = client
        self._lock = threading.Lock()
        self.write_units = 0.0
        """Consumed by this process, as the server says."""
        self.read_units = 0.0

    def update(
        self,
        key: Mapping[str, Value],
        update: str,
        condition: str | None = None,
        values: Mapping[str, Value] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Item:
        """The item after the update. ConditionFailedError with the item that stood there; TransientError."""
        arguments: dict[str, Any] = {
            "Key": encode(key),
            "UpdateExpression": update,
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if condition:
            arguments["ConditionExpression"] = condition
        if values:
            arguments["ExpressionAttributeValues"] = encode(values)
        if names:
            arguments["ExpressionAttributeNames"] = dict(names)
        try:
            answer = self._call("update_item", **arguments)
        except ClientError as error:
            if _code(error) != "ConditionalCheckFailedException":
                raise
            self._count("update_item", {"CapacityUnits": 1})
            old: Any = error.response.get("Item")
            # Not every server hands the item out with the refusal.
            raise ConditionFailedError(decode(old) if old else self.get(key)) from None
        return decode(answer.get("Attributes", {}))

    def get(self, key: Mapping[str, Value]) -> Item | None:
        """One item, consistently; None when there is none."""
        answer = self._call("get_item", Key=encode(key), ConsistentRead=True)
        return decode(answer["Item"]) if answer.get("Item") else None

    def get_many(self, keys: Sequence[Mapping[str, Value]], projection: str | None = None) -> list[Item]:
        """Those of the items that exist, consistently, in any order; the keys must differ."""
        found: list[Item] = []
        for start in range(0, len(keys), BATCH_READ):
            wanted = [encode(key) for key in keys[start : start + BATCH_READ]]
            for _ in range(_BATCH_TRIES):
                request: dict[str, Any] = {"Keys": wanted, "ConsistentRead": True}
                if projection:
                    request["ProjectionExpression"] = projection
                answer = self._call("batch_get_item", table=False, RequestItems={self.name: request})
                found += [decode(item) for item in answer["Responses"].get(self.name, [])]
                wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
                if not wanted:
                    break
            else:
                raise TransientError(f"batch_get_item {self.name}: keys were left unprocessed")
        return found

    def put_many(self, items: Sequence[Mapping[str, Value]]) -> None:
        """Put whole items; their keys must differ within a call."""
        for start in range(0, len(items), BATCH_WRITE):
            wanted: list[Any] = [{"PutRequest": {"Item": encode(item)}} for item in items[start : start + BATCH_WRITE]]
            for _ in range(_BATCH_TRIES):
                answer = self._call("batch_write_item", table=False, RequestItems={self.name: wanted})
                wanted = answer.get("UnprocessedItems", {}).get(self.name, [])
                if not wanted:
                    break
            else:
                raise TransientError(f"batch_write_item {self.name}: items were left unprocessed")

    def query(
        self,
        condition: str,
        values: Mapping[str, Value],
        *,
        projection: str | None = None,
        index: str | None = None,
    ) -> Iterator[Item]:
        """The items of one partition, in order; consistently, but for an index."""
        arguments: dict[str, Any] = {
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": encode(values),
            "ConsistentRead": index is None,
        }
        if projection:
            arguments["ProjectionExpression"] = projection
        if index:
            arguments["IndexName"] = index
        while True:
            answer = self._call("query", **arguments)
            yield from (decode(item) for item in answer["Items"])
            if not answer.get("LastEvaluatedKey"):
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _call(self, operation: str, *, table: bool = True, **arguments: Any) -> Any:  # noqa: ANN401 - the SDK's own shapes
        sent_ms = self.clock.elapsed_ms()
        if table:
            arguments["TableName"] = self.name
        try:
            answer = getattr(self._client, operation)(ReturnConsumedCapacity="TOTAL", **arguments)
        except ClientError as error:
            self._observe(error.response, sent_ms)
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if _code(error) in _TRANSIENT or status >= 500:
                raise TransientError(f"{operation} {self.name}: {_code(error) or status}") from error
            raise
        except BotoCoreError as error:
            raise TransientError(f"{operation} {self.name}: {type(error).__name__}") from error
        self._observe(answer, sent_ms)
        self._count(operation, answer.get("ConsumedCapacity"))
        return answer

    def _observe(self, answer: Mapping[str, Any], sent_ms: float) -> None:
        metadata = answer.get("ResponseMetadata", {})
        # After a retry the request's own time is unknown; its Date would be held against a request that went out before.
        if not metadata.get("RetryAttempts"):
            headers = metadata.get("HTTPHeaders", {})
            self.clock.observe(headers.get("date"), sent_ms, self.clock.elapsed_ms())

    def _count(self, operation: str, consumed: Any) -> None:  # noqa: ANN401 - one mapping or a list of them
        parts = consumed if isinstance(consumed, list) else [consumed] if consumed else []
        units = sum(float(part.get("CapacityUnits", 0)) for part in parts)
        with self._lock:
            if operation in {"update_item", "batch_write_item"}:
                self.write_units += units
            else:
                self.read_units += units


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
