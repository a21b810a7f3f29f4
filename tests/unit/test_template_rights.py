"""The rights of the functions in the template, in full."""

import re
from typing import Any

import pytest

from mailtide.contracts import DELIVERED_NAMES
from tests.support.template import QUEUE_OF, RUN_QUEUES, attribute_of, listed, load_template, resources

TEMPLATE = load_template()
FUNCTIONS = resources(TEMPLATE, "AWS::Serverless::Function")
ROLES = resources(TEMPLATE, "AWS::IAM::Role")
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


@pytest.mark.parametrize("function", QUEUE_OF)
def test_each_function_has_exactly_the_rights_written_here(function: str) -> None:
    found: dict[str, tuple[str, ...]] = {}
    for policy in ROLES[f"{function}Role"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            names = tuple(_resource_name(resource) for resource in listed(statement["Resource"]))
            for action in listed(statement["Action"]):
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


def test_every_function_may_read_the_keys_of_a_bucket_elsewhere() -> None:
    policy = TEMPLATE["Resources"]["S3Credentials"]
    assert policy["Condition"] == "HasS3Credentials"
    assert {role["Ref"] for role in policy["Properties"]["Roles"]} == set(ROLES)
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "secretsmanager:GetSecretValue"
