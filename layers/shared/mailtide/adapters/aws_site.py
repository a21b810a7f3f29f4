"""A deployment on AWS as the doctor asks for it: read-only requests, each with short time-outs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import SecretStr

from mailtide.adapters.refusals import refusals, usable_endpoint
from mailtide.adapters.s3 import make_client
from mailtide.doctor.facts import (
    BucketFacts,
    FunctionFacts,
    MappingFacts,
    QueueFacts,
    Resource,
    RuleFacts,
    StackFacts,
    TableFacts,
)

_CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})
_SERVICES = ("sts", "cloudformation", "sqs", "dynamodb", "lambda", "events", "secretsmanager", "kms")
_MISSING = frozenset(
    {
        *("404", "NoSuchBucket", "NotFound", "ResourceNotFoundException", "AWS.SimpleQueueService.NonExistentQueue"),
        *(
            "QueueDoesNotExist",
            "NotFoundException",
            "NoSuchBucketPolicy",
            "NoSuchLifecycleConfiguration",
            "NoSuchPublicAccessBlockConfiguration",
        ),
        *("ServerSideEncryptionConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed"),
    }
)


class AwsSite:
    """Implements mailtide.doctor.facts.Site. Safe for threads: every client is made here."""

    def __init__(self, stack_name: str) -> None:
        self._stack_name = stack_name
        with refusals(), usable_endpoint():
            make: Callable[..., Any] = boto3.client
            self._clients = {service: make(service, config=_CONFIG) for service in _SERVICES}
            self._s3: Any = make_client()

    def identity(self) -> str:
        """See Site."""
        with refusals():
            return str(self._clients["sts"].get_caller_identity()["Arn"])

    def stack(self) -> StackFacts | None:
        """See Site."""
        client = self._clients["cloudformation"]
        with refusals():
            try:
                (told,) = client.describe_stacks(StackName=self._stack_name)["Stacks"]
            except ClientError as error:
                if _code(error) == "ValidationError":
                    return None
                raise
            pages = client.get_paginator("list_stack_resources").paginate(StackName=self._stack_name)
            resources = tuple(
                Resource(one["LogicalResourceId"], one["ResourceType"], one.get("PhysicalResourceId", ""))
                for page in pages
                for one in page["StackResourceSummaries"]
            )
        parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in told.get("Parameters", ())}
        return StackFacts(self._stack_name, told["StackStatus"], parameters, resources)

    def bucket_time(self, bucket: str) -> datetime | None:
        """See Site."""
        with refusals():
            try:
                answer = self._s3.head_bucket(Bucket=bucket)
            except ClientError as error:
                answer = error.response
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(date).astimezone(UTC) if date else None

    def bucket_facts(self, bucket: str) -> BucketFacts | None:
        """See Site."""
        with refusals():
            if _or_none(lambda: self._s3.head_bucket(Bucket=bucket)) is None:
                return None
            lifecycle = self._ask("get_bucket_lifecycle_configuration", bucket)
            encryption = self._ask("get_bucket_encryption", bucket).get("ServerSideEncryptionConfiguration", {})
            rules = [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in encryption.get("Rules", ())]
            block = self._ask("get_public_access_block", bucket).get("PublicAccessBlockConfiguration", {})
            notifications = self._ask("get_bucket_notification_configuration", bucket)
            return BucketFacts(
                versioning=self._ask("get_bucket_versioning", bucket).get("Status"),
                sends_events="EventBridgeConfiguration" in notifications,
                lifecycle_rules=tuple(
                    rule.get("ID", "") for rule in lifecycle.get("Rules", ()) if rule.get("Status") == "Enabled"
                ),
                encryption=rules[0] if rules else None,
                policy=json.loads(self._ask("get_bucket_policy", bucket).get("Policy", "{}")),
                is_closed_to_the_public=bool(block) and all(block.values()),
            )

    def _ask(self, operation: str, bucket: str) -> dict[str, Any]:
        found: dict[str, Any] | None = _or_none(lambda: getattr(self._s3, operation)(Bucket=bucket))
        return found or {}

    def queue(self, url: str) -> QueueFacts | None:
        """See Site."""
        names = ["QueueArn", "VisibilityTimeout", "ApproximateNumberOfMessages", "RedrivePolicy"]
        sqs = self._clients["sqs"]
        with refusals():
            answer = _or_none(lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names))
        if answer is None:
            return None
        found = answer["Attributes"]
        redrive = json.loads(found.get("RedrivePolicy") or "{}")
        receives = redrive.get("maxReceiveCount")
        return QueueFacts(
            arn=found["QueueArn"],
            visibility_s=int(found["VisibilityTimeout"]),
            waiting=int(found["ApproximateNumberOfMessages"]),
            dead_letters_arn=redrive.get("deadLetterTargetArn"),
            max_receives=None if receives is None else int(receives),
        )

    def key_state(self, key_id: str) -> str | None:
        """See Site."""
        with refusals():
            answer = _or_none(lambda: self._clients["kms"].describe_key(KeyId=key_id))
        return None if answer is None else str(answer["KeyMetadata"]["KeyState"])

    def table(self, name: str) -> TableFacts | None:
        """See Site."""
        dynamodb = self._clients["dynamodb"]
        with refusals():
            answer = _or_none(lambda: dynamodb.describe_table(TableName=name))
            if answer is None:
                return None
            ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        told = answer["Table"]
        return TableFacts(
            status=told["TableStatus"],
            on_demand=told.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST",
            ttl_field=ttl.get("AttributeName") if ttl["TimeToLiveStatus"] in {"ENABLED", "ENABLING"} else None,
        )

    def function(self, name: str) -> FunctionFacts | None:
        """See Site."""
        client = self._clients["lambda"]
        with refusals():
            told = _or_none(lambda: client.get_function_configuration(FunctionName=name))
        if told is None:
            return None
        return FunctionFacts(
            name=told["FunctionName"],
            state=told.get("State", ""),
            update_status=told.get("LastUpdateStatus", ""),
            timeout_s=int(told["Timeout"]),
            environment=told.get("Environment", {}).get("Variables", {}),
        )

    def mappings(self) -> list[MappingFacts]:
        """See Site."""
        with refusals():
            pages = self._clients["lambda"].get_paginator("list_event_source_mappings").paginate()
            return [
                MappingFacts(
                    function_arn=one["FunctionArn"],
                    queue_arn=one.get("EventSourceArn", ""),
                    state=one["State"],
                    reports_failed_items="ReportBatchItemFailures" in one.get("FunctionResponseTypes", ()),
                )
                for page in pages
                for one in page["EventSourceMappings"]
            ]

    def rule(self, name: str) -> RuleFacts | None:
        """See Site."""
        bus, _, rule = name.rpartition("|")
        where = {"EventBusName": bus} if bus else {}
        events = self._clients["events"]
        with refusals():
            told = _or_none(lambda: events.describe_rule(Name=rule, **where))
            if told is None:
                return None
            targets = events.list_targets_by_rule(Rule=rule, **where)["Targets"]
        return RuleFacts(told["State"], tuple(target["Arn"] for target in targets))

    def secret(self, name: str) -> SecretStr | None:
        """See Site."""
        client = self._clients["secretsmanager"]
        with refusals():
            told = _or_none(lambda: client.get_secret_value(SecretId=name))
        text = (told or {}).get("SecretString", "").strip()
        return SecretStr(text) if text else None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _or_none(ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - an answer of boto3
    """The answer; None when the thing does not exist, or the host knows no such thing."""
    try:
        return ask()
    except ClientError as error:
        if _code(error) in _MISSING:
            return None
        raise
