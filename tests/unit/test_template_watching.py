"""What watches the stack, what is kept and what is encrypted, in template.yaml."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from mailtide.contracts import RunFinished
from mailtide.read_handler import FOUND
from mailtide.runs import keys
from mailtide.warmup.metrics import GAUGES
from tests.support.template import PLAIN_HTTP, ROOT, load_template, resources

TEMPLATE = load_template()
PARAMETERS, CONDITIONS = TEMPLATE["Parameters"], TEMPLATE["Conditions"]
FUNCTIONS = resources(TEMPLATE, "AWS::Serverless::Function")
ALARMS = resources(TEMPLATE, "AWS::CloudWatch::Alarm")
TOPIC = {"Fn::If": ["HasOwnTopic", {"Ref": "AlarmTopic"}, {"Ref": "AlarmTopicArn"}]}
BODY: str = TEMPLATE["Resources"]["OneLook"]["Properties"]["DashboardBody"]["Fn::Sub"]
WIDGETS: list[dict[str, Any]] = json.loads(BODY)["widgets"]
KEPT = {
    "Bucket", "BucketPolicy", "MailboxesTable", "LedgerTable", "ReadsTable", "SecretsKey", "WebhookKey", "ApiTokens",
}  # fmt: skip
HOLDS_DATA = (
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::SecretsManager::Secret",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
)


def _words_of_the_code() -> set[str]:
    """Every text literal of the package: names of metrics are among them."""
    package = ROOT / "layers/shared/mailtide"
    folders = (package / name for name in ("runs", "warmup", "warmup/reading"))
    files = [*(file for folder in folders for file in folder.glob("*.py")), package / "api/handler.py"]
    trees = [ast.parse(file.read_text()) for file in files]
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


WORDS = _words_of_the_code()


def is_metric(name: str) -> bool:
    """Whether the code emits it: a gauge, an end of a mail or a visit, what visits found, answers, a report's action."""
    if name.startswith("warmup_"):
        return name.removeprefix("warmup_") in GAUGES
    if name.startswith(("mail_", "visit_")):
        return name.partition("_")[2] in WORDS
    if name.startswith("read_"):
        return name.removeprefix("read_") in FOUND
    return name in WORDS or re.fullmatch("api_[2345]xx", name) is not None


def metrics_of(widget: dict[str, Any]) -> list[list[Any]]:
    found: list[list[Any]] = widget["properties"].get("metrics", [])
    return found


@pytest.mark.parametrize("name", ALARMS)
def test_every_alarm_tells_the_topic_and_is_explained(name: str) -> None:
    assert ALARMS[name]["AlarmActions"] == [TOPIC]
    assert ALARMS[name]["AlarmDescription"].endswith(".")
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    assert name in page or (name.endswith("DeadLettersAlarm") and "…DeadLettersAlarm" in page)
    if ALARMS[name]["Namespace"] == "Mailtide":
        assert is_metric(ALARMS[name]["MetricName"])


def test_the_topic_is_closed_but_for_this_account_and_tells_the_address() -> None:
    assert CONDITIONS["HasOwnTopic"] == {"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}
    policy = TEMPLATE["Resources"]["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    deny, *allowed = policy
    assert (deny["Effect"], deny["Condition"]["Bool"]) == ("Deny", {"aws:SecureTransport": "false"})
    assert {one["Principal"]["Service"].partition(".")[0] for one in allowed} == {"cloudwatch", "budgets", "events"}
    for one in allowed:
        assert (one["Effect"], one["Action"]) == ("Allow", "sns:Publish")
        if one["Principal"]["Service"] == "events.amazonaws.com":
            assert "Condition" not in one, (
                "EventBridge brings no keys to a topic: with a condition nothing would ever arrive"
            )
        else:
            own = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
            assert one["Condition"] == own, "no other account may speak through the service"
    subscription = TEMPLATE["Resources"]["AlarmSubscription"]
    assert subscription["Condition"] == "HasAlarmEmail"
    assert subscription["Properties"] == {"TopicArn": TOPIC, "Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}}


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("", True),
        ("ops@example.com", True),
        ("ops@example", False),
        ("a b@example.com", False),
        ("@example.com", False),
    ],
)
def test_an_address_is_one_or_none(address: str, taken: bool) -> None:
    assert bool(re.search(PARAMETERS["AlarmEmail"]["AllowedPattern"], address)) is taken


def test_a_run_that_is_not_published_is_told() -> None:
    rule = TEMPLATE["Resources"]["RunNotPublished"]
    pattern = rule["Properties"]["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["mailtide"], ["RunFinished"])
    bucket = {"Fn::If": ["BucketIsElsewhere", {"Ref": "S3Bucket"}, {"Ref": "Bucket"}]}
    assert pattern["resources"] == [{"Fn::Join": ["", ["arn:aws:s3:::", bucket]]}], "other stacks may share the bus"
    statuses = set(re.findall("'(\\w+)'", str(RunFinished.model_json_schema())))
    assert {"failed", "held", "published"} <= statuses
    assert pattern["detail"] == {"status": ["failed", "held"]}
    (target,) = rule["Properties"]["Targets"]
    assert (target["Arn"], rule["Condition"]) == ({"Ref": "AlarmTopic"}, "HasFailedRunNotices")
    told = target["InputTransformer"]
    for name, path in told["InputPathsMap"].items():
        assert path == f"$.detail.{name}"
        assert name in RunFinished.model_fields
        assert f"<{name}>" in told["InputTemplate"]
    assert isinstance(json.loads(told["InputTemplate"]), str), "text for EventBridge stands in quotation marks"


def test_the_budget_warns_before_and_after_and_counts_what_it_says() -> None:
    budget = TEMPLATE["Resources"]["MonthlyBudget"]
    assert budget["Condition"] == "HasBudget"
    assert PARAMETERS["MonthlyBudgetUsd"]["Default"] == 0
    assert "BudgetName" not in budget["Properties"]["Budget"], "other subscribers replace it, and a name can be taken"
    assert budget["Properties"]["Budget"]["BudgetLimit"] == {"Amount": {"Ref": "MonthlyBudgetUsd"}, "Unit": "USD"}
    scope, stack, account = budget["Properties"]["Budget"]["CostFilters"]["Fn::If"]
    assert (scope, account) == ("BudgetIsOfStack", {"Ref": "AWS::NoValue"})
    assert stack == {"TagKeyValue": [{"Fn::Join": ["$", ["aws:cloudformation:stack-name", {"Ref": "AWS::StackName"}]]}]}
    warnings = budget["Properties"]["NotificationsWithSubscribers"]
    found = [(one["Notification"]["NotificationType"], one["Notification"]["Threshold"]) for one in warnings]
    assert found == [("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]
    assert all(one["Subscribers"] == [{"SubscriptionType": "SNS", "Address": TOPIC}] for one in warnings)


def test_the_dashboard_names_every_alarm_queue_table_and_function() -> None:
    assert TEMPLATE["Resources"]["OneLook"]["Condition"] == "HasDashboard"
    named = set(re.findall(r"\$\{(\w+)(?:\.QueueName)?\}", BODY))
    assert named <= TEMPLATE["Resources"].keys()
    for kind in ("AWS::CloudWatch::Alarm", "AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::Serverless::Function"):
        assert named >= resources(TEMPLATE, kind).keys(), kind


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget["properties"]["title"])
def test_a_widget_shows_metrics_that_there_are(widget: dict[str, Any]) -> None:
    assert widget["x"] + widget["width"] <= 24, "the grid is 24 wide"
    dimensions = {
        "AWS/SQS": "QueueName",
        "AWS/Lambda": "FunctionName",
        "AWS/DynamoDB": "TableName",
        "Mailtide": "service",
    }
    for namespace, name, *rest in metrics_of(widget):
        assert namespace in dimensions
        if len(rest) > 1:
            assert rest[0] == dimensions[namespace]
        if namespace == "Mailtide":
            assert rest == ["service", "${AWS::StackName}"]
            assert is_metric(name), name


def test_widgets_do_not_cover_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in WIDGETS:
        xs, ys = range(widget["x"], widget["x"] + widget["width"]), range(widget["y"], widget["y"] + widget["height"])
        own = {(x, y) for x in xs for y in ys}
        assert not own & taken
        taken |= own


@pytest.mark.parametrize("name", [name for name, body in TEMPLATE["Resources"].items() if body["Type"] in HOLDS_DATA])
def test_what_holds_data_says_what_becomes_of_it(name: str) -> None:
    resource = TEMPLATE["Resources"][name]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == ("Retain" if name in KEPT else "Delete")


def test_what_cannot_be_made_again_is_protected_against_hands() -> None:
    tables = resources(TEMPLATE, "AWS::DynamoDB::Table")
    assert {
        name for name, table in tables.items() if table.get("DeletionProtectionEnabled") is True
    } == KEPT & tables.keys()
    assert tables["MailboxesTable"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert TEMPLATE["Resources"]["Bucket"]["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}


def test_the_bucket_keeps_to_what_publishing_needs_and_customers_expect() -> None:
    bucket = TEMPLATE["Resources"]["Bucket"]
    properties = bucket["Properties"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
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


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_logs_for_a_time_is_traced_and_runs_what_exists(function: str) -> None:
    logs = resources(TEMPLATE, "AWS::Logs::LogGroup")[f"{function}Logs"]
    assert logs["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert FUNCTIONS[function]["LoggingConfig"] == {"LogGroup": {"Ref": f"{function}Logs"}}
    assert TEMPLATE["Globals"]["Function"]["Tracing"] == {"Ref": "Tracing"}
    assert Path(ROOT, FUNCTIONS[function]["CodeUri"], "app.py").exists()


def test_a_deployment_that_cannot_work_is_refused_before_it_begins() -> None:
    (assertion,) = TEMPLATE["Rules"]["EndpointNeedsABucket"]["Assertions"]
    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "S3Bucket"}, ""]}]}
