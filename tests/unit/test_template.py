"""The template: its rights in full, and what no local cloud checks but AWS would refuse or ignore."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from mailtide.contracts import DELIVERED_NAMES
from mailtide.runs import keys
from mailtide.runs.inbox import parse
from mailtide.settings import Settings
from mailtide.warmup.contracts import WARMUP_MESSAGE, WarmupTick
from tests.support.template import attribute_of, load_template, resources

TEMPLATE = load_template()
QUEUES = resources(TEMPLATE, "AWS::SQS::Queue")
FUNCTIONS = resources(TEMPLATE, "AWS::Serverless::Function")
RULES = resources(TEMPLATE, "AWS::Events::Rule")
ROLES = resources(TEMPLATE, "AWS::IAM::Role")
RUN_QUEUES = {
    "PlanRun": "Plan",
    "LaunchMachine": "Launch",
    "CollectParts": "Collect",
    "FinishRun": "Finish",
    "WatchRuns": "Watch",
    "SendWebhook": "Webhook",
}
WARMUP_QUEUES = {
    "PlanWarmup": "WarmupPlan",
    "DispatchShard": "WarmupDispatch",
    "SendMail": "WarmupSend",
    "ReadMailboxes": "WarmupRead",
}
QUEUE_OF = RUN_QUEUES | WARMUP_QUEUES
BUCKET = TEMPLATE["Resources"]["Bucket"]
EVERY_PREFIX = ("orgs/*", "open/*", "runs/*")
WARMUP_PREFIX = ("warmup/*",)
DAYS = "warmup/days/*"
CONTROL = "warmup/control.json"
DOMAINS = ("warmup/domains/*", "warmup/domains.json")
CALIBRATION = "calibration/machines.json"
SECRET = "the secret of Fly's token"
WEBHOOK_KEY = "the key of webhooks"
DELIVERED = tuple(f"runs/*/tasks/*/{name}" for name in sorted(DELIVERED_NAMES))
SHARED = ("orgs/*/published/*", "changes/*", "exports/*")
BUS = "the event bus"
# Nothing reaches AWS from the loopback range, so this is TLS only there, while the local cloud may speak plain HTTP.
PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}, "NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}

RIGHTS: dict[str, dict[str, tuple[str, ...]]] = {
    "PlanRun": {
        "s3:GetObject": (*EVERY_PREFIX, CALIBRATION),
        "s3:PutObject": (
            "orgs/*/lock.json",
            "orgs/*/latest.json",
            "open/*",
            "runs/*/plan.json",
            "runs/*/result.json",
            "runs/*/done.json",
        ),
        "s3:DeleteObject": ("open/*",),
        "sqs:SendMessage": ("PlanQueue", "LaunchQueue", "FinishQueue", "WebhookQueue"),
        "events:PutEvents": (BUS,),
    },
    "LaunchMachine": {
        "s3:GetObject": (
            "orgs/*/contacts.db",
            "orgs/*/latest.json",
            "orgs/*/published/*",
            "orgs/*/feedback/*",
            "changes/*",
            "runs/*",
        ),
        "s3:PutObject": ("runs/*/tasks/*",),
        "secretsmanager:GetSecretValue": (SECRET,),
    },
    "CollectParts": {
        "s3:GetObject": ("orgs/*/latest.json", "runs/*"),
        "s3:PutObject": ("runs/*/parts/*", "runs/*/tasks/*/error.json", "runs/*/result.json"),
        "sqs:SendMessage": ("LaunchQueue",),
    },
    "FinishRun": {
        "s3:GetObject": (*EVERY_PREFIX, CALIBRATION),
        "s3:PutObject": (
            "orgs/*/contacts.db",
            *SHARED,
            "orgs/*/lock.json",
            "orgs/*/latest.json",
            "orgs/*/feedback.json",
            "runs/*/plan.json",
            "runs/*/result.json",
            "runs/*/done.json",
            CALIBRATION,
        ),
        "s3:DeleteObject": ("open/*", *SHARED, *DELIVERED, "orgs/*/feedback/*"),
        "s3:AbortMultipartUpload": ("orgs/*/contacts.db", "orgs/*/published/*"),
        "sqs:SendMessage": ("PlanQueue", "WebhookQueue"),
        "secretsmanager:GetSecretValue": (SECRET,),
        "events:PutEvents": (BUS,),
    },
    "WatchRuns": {
        "s3:GetObject": EVERY_PREFIX,
        "s3:PutObject": (
            "orgs/*/lock.json",
            "orgs/*/latest.json",
            "runs/*/tasks/*/error.json",
            "runs/*/plan.json",
            "runs/*/result.json",
            "runs/*/done.json",
        ),
        "s3:AbortMultipartUpload": ("orgs/*/contacts.db",),
        "sqs:SendMessage": ("PlanQueue", "LaunchQueue", "CollectQueue", "FinishQueue"),
        "secretsmanager:GetSecretValue": (SECRET,),
    },
    "SendWebhook": {
        "s3:GetObject": ("orgs/*/webhook.json", "runs/*/done.json"),
        "sqs:SendMessage": ("WebhookQueue",),
        "secretsmanager:GetSecretValue": (WEBHOOK_KEY,),
    },
    "PlanWarmup": {
        "s3:GetObject": (DAYS, *DOMAINS),
        "s3:PutObject": (DAYS, *DOMAINS),
        "s3:DeleteObject": (DAYS, DOMAINS[0]),
        "sqs:SendMessage*": ("WarmupDispatchQueue", "WarmupPlanQueue"),
        "sqs:GetQueueAttributes": ("WarmupPlanQueue", "WarmupSendQueue"),
        "dynamodb:Query": ("MailboxesTable",),
        "dynamodb:GetItem": ("IdempotencyTable",),
        "dynamodb:PutItem": ("IdempotencyTable",),
        "dynamodb:UpdateItem": ("MailboxesTable", "IdempotencyTable"),
        "dynamodb:DeleteItem": ("IdempotencyTable",),
    },
    "DispatchShard": {
        "s3:GetObject": (DAYS, CONTROL),
        "s3:PutObject": (DAYS,),
        "sqs:SendMessage*": ("WarmupSendQueue", "WarmupReadQueue"),
        "dynamodb:BatchGetItem": ("MailboxesTable", "ReadsTable"),
        "dynamodb:Query": ("LedgerTable", "ReadsTable"),
        "dynamodb:GetItem": ("MailboxesTable", "LedgerTable", "IdempotencyTable"),
        "dynamodb:UpdateItem": ("MailboxesTable", "LedgerTable", "IdempotencyTable"),
        "dynamodb:PutItem": ("IdempotencyTable",),
        "dynamodb:DeleteItem": ("IdempotencyTable",),
    },
    "SendMail": {
        "s3:GetObject": (CONTROL, "warmup/templates/*"),
        "sqs:SendMessage*": ("WarmupSendQueue",),
        "dynamodb:GetItem": ("MailboxesTable", "LedgerTable", "LimitsTable"),
        "dynamodb:UpdateItem": ("MailboxesTable", "LedgerTable", "LimitsTable"),
        "dynamodb:BatchGetItem": ("MailboxesTable", "LedgerTable"),
        "kms:Decrypt": ("SecretsKey",),
    },
    "ReadMailboxes": {
        "s3:GetObject": (CONTROL, DAYS),
        "dynamodb:BatchGetItem": ("MailboxesTable", "ReadsTable"),
        "dynamodb:GetItem": ("LedgerTable",),
        "dynamodb:UpdateItem": ("LedgerTable", "ReadsTable"),
        "kms:Decrypt": ("SecretsKey",),
    },
}
"""Every right of every function, but for those that all have (below): nothing else may stand in the template."""


def _rights_of_all(function: str) -> dict[str, tuple[str, ...]]:
    own = f"{QUEUE_OF[function]}Queue"
    return {
        "logs:CreateLogStream": (f"{function}Logs",),
        "logs:PutLogEvents": (f"{function}Logs",),
        "xray:PutTraceSegments": ("*",),
        "xray:PutTelemetryRecords": ("*",),
        "sqs:ReceiveMessage": (own,),
        "sqs:DeleteMessage": (own,),
        "sqs:GetQueueAttributes": (own,),
        "s3:ListBucket": ("Bucket",),
    }


def _resource_name(value: str | dict[str, Any]) -> str:
    """A short name of what a statement's Resource says."""
    if isinstance(value, str):
        return value
    if "Fn::GetAtt" in value:
        return attribute_of(value)
    text = str(value["Fn::Sub"])
    if "secretsmanager" in text:
        return WEBHOOK_KEY if "webhook-key" in text else SECRET
    return BUS if "event-bus" in text else text.removeprefix("${Bucket.Arn}/")


def _listed[T](value: T | list[T]) -> list[T]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("function", QUEUE_OF)
def test_each_function_has_exactly_the_rights_written_here(function: str) -> None:
    found: dict[str, tuple[str, ...]] = {}
    for policy in ROLES[f"{function}Role"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            names = tuple(_resource_name(resource) for resource in _listed(statement["Resource"]))
            for action in _listed(statement["Action"]):
                assert action not in found, "one statement an action, so that this table stays readable"
                found[action] = names
    assert found == _rights_of_all(function) | RIGHTS[function]
    assert attribute_of(FUNCTIONS[function]["Role"]) == f"{function}Role"
    assert "ManagedPolicyArns" not in ROLES[f"{function}Role"]


@pytest.mark.parametrize("function", QUEUE_OF)
def test_missing_objects_answer_404_and_listings_stay_within_the_prefixes(function: str) -> None:
    statements = ROLES[f"{function}Role"]["Policies"][0]["PolicyDocument"]["Statement"]
    (lists,) = (statement for statement in statements if statement["Action"] == "s3:ListBucket")
    # A HEAD carries no prefix; StringLike without IfExists would refuse it, and S3 would say 403 for what is not there.
    prefixes = EVERY_PREFIX if function in RUN_QUEUES else WARMUP_PREFIX
    assert lists["Condition"] == {"StringLikeIfExists": {"s3:prefix": list(prefixes)}}


@pytest.mark.parametrize("function", QUEUE_OF)
def test_each_function_knows_exactly_the_queues_that_it_may_send_to_or_look_at(function: str) -> None:
    variables = FUNCTIONS[function].get("Environment", {}).get("Variables", {})
    known = {name: attribute_of(value) for name, value in variables.items() if name.endswith("_QUEUE_URL")}
    sent_to = {queue for action, queues in RIGHTS[function].items() if "SendMessage" in action for queue in queues}
    looked_at = set(RIGHTS[function].get("sqs:GetQueueAttributes", ())) - {f"{QUEUE_OF[function]}Queue"}
    assert set(known.values()) == sent_to | looked_at
    for name, queue in known.items():
        assert name == f"MAILTIDE_{re.sub('(?<!^)(?=[A-Z])', '_', queue).upper()}_URL"


@pytest.mark.parametrize("function", RUN_QUEUES)
def test_each_function_of_runs_has_a_queue_of_its_own_with_a_dead_letter_queue(function: str) -> None:
    name, properties = RUN_QUEUES[function], FUNCTIONS[function]
    (event,) = properties["Events"].values()
    source = event["Properties"]
    assert attribute_of(source["Queue"]) == f"{name}Queue"
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 1 <= source["BatchSize"] <= 10, "a larger batch needs a window, and SQS delivers ten at most"
    concurrency = source["ScalingConfig"]["MaximumConcurrency"]
    choices = concurrency["Fn::If"][1:] if isinstance(concurrency, dict) else [concurrency]
    assert min(choices) >= 2, "SQS allows no less"
    assert "ReservedConcurrentExecutions" not in properties
    queue = QUEUES[f"{name}Queue"]
    condition, by_timeout, shortened = queue["VisibilityTimeout"]["Fn::If"]
    assert (condition, by_timeout, shortened) == ("RetriesByTimeout", 6 * properties["Timeout"], {"Ref": "RetryAfterS"})
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    assert attribute_of(queue["RedrivePolicy"]["deadLetterTargetArn"]) == f"{name}DeadLetters"


def test_machines_are_launched_one_at_a_time() -> None:
    source = FUNCTIONS["LaunchMachine"]["Events"]["Queue"]["Properties"]
    assert (source["BatchSize"], source["ScalingConfig"]["MaximumConcurrency"]) == (1, 2)


@pytest.mark.parametrize("queue", QUEUES)
def test_queues_are_encrypted_polled_long_and_closed_to_plain_http(queue: str) -> None:
    assert QUEUES[queue]["SqsManagedSseEnabled"] is True
    assert QUEUES[queue]["ReceiveMessageWaitTimeSeconds"] == 20
    policies = resources(TEMPLATE, "AWS::SQS::QueuePolicy").values()
    (policy,) = (policy for policy in policies if {"Ref": queue} in policy["Queues"])
    assert any(
        statement["Effect"] == "Deny" and statement["Action"] == "sqs:*" and statement["Condition"] == PLAIN_HTTP
        for statement in policy["PolicyDocument"]["Statement"]
    )


@pytest.mark.parametrize("name", QUEUE_OF.values())
def test_a_message_in_a_dead_letter_queue_raises_an_alarm(name: str) -> None:
    alarm = resources(TEMPLATE, "AWS::CloudWatch::Alarm")[f"{name}DeadLettersAlarm"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [f"{name}DeadLetters", "QueueName"]}}]
    assert (alarm["MetricName"], alarm["Threshold"]) == ("ApproximateNumberOfMessagesVisible", 0)
    assert QUEUES[f"{name}DeadLetters"]["MessageRetentionPeriod"] == 14 * 86_400


def test_rules_go_to_queues_that_let_them_in() -> None:
    policies = resources(TEMPLATE, "AWS::SQS::QueuePolicy")
    admitted = set()
    for name in QUEUE_OF.values():
        for statement in policies[f"{name}QueuePolicy"]["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                sources = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
                admitted |= {(attribute_of(source), f"{name}Queue") for source in sources}
    targets = {(rule, attribute_of(target["Arn"])) for rule, body in RULES.items() for target in body["Targets"]}
    assert admitted == targets - {("RunNotPublished", "AlarmTopic")}


TRY = keys.TryKeys("acme", "0" * 20, "whole", 1)


@pytest.mark.parametrize(
    ("key", "rules"),
    [
        (keys.source("acme"), {"SourceUploaded"}),
        (TRY.manifest, {"TryEnded"}),
        (TRY.error, {"TryEnded"}),
        (keys.result("acme", "0" * 20), {"ResultWritten"}),
        (TRY.delivered("contacts.db"), set()),
        (TRY.claim, set()),
        (keys.rules("acme"), set()),
        (keys.latest("acme"), set()),
        (keys.feedback("acme") + "a.jsonl", set()),
        (keys.feedback_folded("acme"), set()),
        (keys.webhook("acme"), set()),
        (keys.lock("acme"), set()),
        (keys.plan("acme", "0" * 20), set()),
        (keys.done("acme", "0" * 20), set()),
        (keys.marker("acme", "0" * 20), set()),
    ],
)
def test_objects_wake_the_functions_that_wait_for_them(key: str, rules: set[str]) -> None:
    woken = set()
    for name, body in RULES.items():
        detail = body.get("EventPattern", {}).get("detail", {})
        # EventBridge's wildcard crosses slashes, and so does fnmatch's.
        if any(fnmatchcase(key, pattern["wildcard"]) for pattern in detail.get("object", {}).get("key", [])):
            assert detail["bucket"] == {"name": [{"Ref": "Bucket"}]}
            woken.add(name)
    assert woken == rules
    if woken:
        assert parse(json.dumps({"detail": {"object": {"key": key}}})) is not None


def test_schedules_send_messages_that_the_functions_know() -> None:
    schedules = {name: body for name, body in RULES.items() if "ScheduleExpression" in body}
    assert schedules.keys() == {"Tick", "WatchTick", "WarmupTick"}
    inputs = {name: body["Targets"][0]["Input"] for name, body in schedules.items()}
    assert WARMUP_MESSAGE.validate_json(inputs.pop("WarmupTick")) == WarmupTick()
    for text in inputs.values():
        assert parse(text) is not None
    assert RULES["Tick"]["ScheduleExpression"] == "cron(0/15 * * * ? *)"
    assert TEMPLATE["Parameters"]["WatchRate"]["Default"] == "rate(1 minute)"


def test_the_bucket_keeps_to_what_publishing_needs_and_customers_expect() -> None:
    properties = BUCKET["Properties"]
    assert BUCKET["DeletionPolicy"] == BUCKET["UpdateReplacePolicy"] == "Retain"
    (encryption,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}, "KMS changes the ETags of parts"
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert rules["abandoned-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    kept = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules.values() if "ExpirationInDays" in rule}
    assert kept == {keys.RUNS: 30, keys.CHANGES: 30, keys.EXPORTS: 30}
    assert all("ExpirationInDays" not in rule for rule in rules.values() if rule.get("Prefix") == keys.ORGS)
    replaced = {
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in rules.values()
        if rule.get("Prefix") == keys.ORGS
    }
    assert replaced == {7}, "older versions of a database can be restored for a week"
    policy = TEMPLATE["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert policy[0]["Condition"] == PLAIN_HTTP


def test_every_function_may_read_the_keys_of_a_bucket_elsewhere() -> None:
    policy = TEMPLATE["Resources"]["S3Credentials"]
    assert policy["Condition"] == "HasS3Credentials"
    assert {role["Ref"] for role in policy["Properties"]["Roles"]} == set(ROLES)
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "secretsmanager:GetSecretValue"


OF_MACHINES = {
    "MAILTIDE_EVENT_BUS_NAME", "MAILTIDE_FLY_API_URL", "MAILTIDE_FLY_TOKEN_SECRET", "MAILTIDE_FLY_REGIONS",
    "MAILTIDE_MACHINE_IMAGE", "MAILTIDE_MACHINE_S3_ENDPOINT_URL", "MAILTIDE_SIZE_TABLE",
}  # fmt: skip
"""What the functions with an environment of many bytes need not know."""


def _settings_told(variables: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in variables.items()
        if name.startswith("MAILTIDE_") and not name.endswith(("_QUEUE_URL", "_BUCKET"))
    }


def _assert_defaults_agree(variables: dict[str, Any]) -> None:
    for name, value in variables.items():
        setting = Settings.model_fields[name.removeprefix("MAILTIDE_").lower()]
        parameter = TEMPLATE["Parameters"][value["Ref"]]
        if name in {"MAILTIDE_SIZE_TABLE", "MAILTIDE_POOL_MACHINE_SIZE"}:
            assert parameter["Default"] == "", "empty for the built-in table and size"
            continue
        default = setting.default if not isinstance(setting.default, tuple) else ",".join(setting.default)
        assert str(parameter["Default"]) == str(default), name
        bounds = {type(limit).__name__: limit for limit in setting.metadata}
        if parameter["Type"] == "Number" and {"Ge", "Le"} <= bounds.keys():
            assert (parameter["MinValue"], parameter["MaxValue"]) == (bounds["Ge"].ge, bounds["Le"].le), name


def test_variables_are_settings_and_defaults_agree() -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["MAILTIDE_BUCKET"] == {"Fn::If": ["BucketIsElsewhere", {"Ref": "S3Bucket"}, {"Ref": "Bucket"}]}
    _assert_defaults_agree(_settings_told(variables))


@pytest.mark.parametrize("function", [name for name in RUN_QUEUES if name != "SendWebhook"])
def test_the_functions_of_runs_are_told_of_machines(function: str) -> None:
    own = _settings_told(FUNCTIONS[function]["Environment"]["Variables"])
    assert len(own.keys() - OF_MACHINES) == {"PlanRun": 5, "LaunchMachine": 5, "WatchRuns": 4}.get(function, 0)
    assert own.keys() >= OF_MACHINES
    _assert_defaults_agree(own)


@pytest.mark.parametrize("function", QUEUE_OF)
def test_logs_are_kept_for_a_time_and_stay_with_their_function(function: str) -> None:
    logs = resources(TEMPLATE, "AWS::Logs::LogGroup")[f"{function}Logs"]
    assert logs["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert FUNCTIONS[function]["LoggingConfig"] == {"LogGroup": {"Ref": f"{function}Logs"}}
    assert Path(FUNCTIONS[function]["CodeUri"], "app.py").exists()
