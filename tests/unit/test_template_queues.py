"""The queues of the functions in the template, and what puts messages on them: objects, schedules."""

import json
from fnmatch import fnmatchcase

import pytest

from mailtide.runs import keys
from mailtide.runs.inbox import parse
from mailtide.warmup.contracts import WARMUP_MESSAGE, WarmupTick
from tests.support.template import PLAIN_HTTP, QUEUE_OF, RUN_QUEUES, attribute_of, load_template, resources

TEMPLATE = load_template()
QUEUES = resources(TEMPLATE, "AWS::SQS::Queue")
FUNCTIONS = resources(TEMPLATE, "AWS::Serverless::Function")
RULES = resources(TEMPLATE, "AWS::Events::Rule")


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
