"""The warm-up in the template: its tables and settings, the arithmetic of its queues, its alarms."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt

from mailtide import reading
from mailtide.adapters.dynamodb.mailboxes import USER_INDEX
from mailtide.polling import MARGIN_S
from mailtide.warmup import ports, send
from mailtide.warmup.capacity import Model
from mailtide.warmup.metrics import GAUGES
from mailtide.warmup.reading.contracts import MAX_VISITS_A_MESSAGE
from mailtide.warmup.reading.ports import VISIT_TTL_MS
from mailtide.warmup.reading.read import FAILED_EXCESS, VISIT_MAX_MS, End, failed_excess
from mailtide.warmup.settings import WarmupResources, WarmupSettings
from mailtide.working import BATCH_S, READ_BATCH
from tests.support.template import ROOT, WARMUP_QUEUES, attribute_of, load_template, resources

TEMPLATE = load_template()
PARAMETERS = TEMPLATE["Parameters"]
QUEUES = resources(TEMPLATE, "AWS::SQS::Queue")
FUNCTIONS = resources(TEMPLATE, "AWS::Serverless::Function")
TABLES = resources(TEMPLATE, "AWS::DynamoDB::Table")
ALARMS = resources(TEMPLATE, "AWS::CloudWatch::Alarm")
RULE = resources(TEMPLATE, "AWS::Events::Rule")["WarmupTick"]
OF_IMPORT_ALONE = {"start_count", "increase_by", "max_daily"}
"""What a line of an import that says nothing else gets: no function reads it, the importer's shell does."""
OF_THE_QUEUE = {"batch_size"}
OF_PLANNING = {"mailtide.warmup.roster", "mailtide.warmup.targets"}
"""Modules that make a roster. The reader reads one, whose header holds what the day was planned by."""
TICKS = PARAMETERS["WarmupTickMinutes"]["AllowedValues"]
HIDDEN_S = BATCH_S + MARGIN_S
"""From others, while a process works on a message."""
PACKAGE = ROOT / "layers" / "shared"


def _parameter(setting: str) -> str:
    return "Warmup" + "".join(word.capitalize() for word in setting.split("_"))


def _settings_of(function: str) -> set[str]:
    """Settings that a function is handed."""
    variables: dict[str, Any] = FUNCTIONS[function]["Environment"]["Variables"]
    handed = {name.removeprefix("WARMUP_").lower() for name in variables if name.startswith("WARMUP_")}
    for setting in handed:
        assert variables[f"WARMUP_{setting.upper()}"] == {"Ref": _parameter(setting)}
    return handed


@pytest.mark.parametrize("setting", sorted(WarmupSettings.model_fields.keys() - OF_IMPORT_ALONE))
def test_a_deployment_can_set_each_setting_within_what_the_code_takes(setting: str) -> None:
    parameter, field = PARAMETERS[_parameter(setting)], WarmupSettings.model_fields[setting]
    assert (parameter["Type"], parameter["Default"]) == ("Number", field.default)
    low = parameter.get("MinValue", min(parameter.get("AllowedValues", [0])))
    high = parameter.get("MaxValue", max(parameter.get("AllowedValues", [0])))
    for limit in field.metadata:
        match limit:
            case Ge():
                assert low >= limit.ge
            case Gt():
                assert low > limit.gt
            case Le():
                assert 0 < high <= limit.le
            case Lt():
                assert 0 < high < limit.lt
    WarmupSettings(**{setting: field.default})


def test_every_setting_reaches_somebody() -> None:
    handed = set().union(*(_settings_of(function) for function in WARMUP_QUEUES))
    assert handed == WarmupSettings.model_fields.keys() - OF_IMPORT_ALONE - OF_THE_QUEUE
    assert FUNCTIONS["SendMail"]["Events"]["Queue"]["Properties"]["BatchSize"] == {"Ref": "WarmupBatchSize"}
    assert not OF_IMPORT_ALONE & {name.removeprefix("Warmup").lower() for name in PARAMETERS}


def _modules_of(name: str, seen: dict[str, ast.Module]) -> None:
    """The modules of the package that a module imports, itself included."""
    path = PACKAGE / Path(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if name in seen or not file.exists():
        return
    seen[name] = ast.parse(file.read_text())
    for node in ast.walk(seen[name]):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mailtide"):
            _modules_of(str(node.module), seen)
            for alias in node.names:
                _modules_of(f"{node.module}.{alias.name}", seen)


def _read_by(handler: str) -> Iterator[str]:
    modules: dict[str, ast.Module] = {}
    _modules_of(handler, modules)
    if handler == "mailtide.read_handler":
        modules = {name: tree for name, tree in modules.items() if name not in OF_PLANNING}
    known = WarmupSettings.model_fields.keys() | {"tick_ms"}
    del modules["mailtide.warmup.settings"]
    for node in (node for tree in modules.values() for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and node.attr in known and ast.unparse(node.value).endswith("settings"):
            yield {"tick_ms": "tick_minutes"}.get(node.attr, node.attr)


@pytest.mark.parametrize(
    ("function", "handler"),
    [
        ("PlanWarmup", "mailtide.planning_handler"),
        ("DispatchShard", "mailtide.planning_handler"),
        ("SendMail", "mailtide.send_handler"),
        ("ReadMailboxes", "mailtide.read_handler"),
    ],
)
def test_a_function_is_handed_what_its_code_reads(function: str, handler: str) -> None:
    read, handed = set(_read_by(handler)), _settings_of(function)
    assert read <= handed, "a deployment's value would have no effect"
    # The lower end of the cooldown is held against its upper end wherever that is read.
    assert handed - read <= {"mailbox_cooldown_min_ms"}


@pytest.mark.parametrize("function", WARMUP_QUEUES)
def test_names_of_tables_and_keys_are_settings(function: str) -> None:
    for name, value in FUNCTIONS[function]["Environment"]["Variables"].items():
        if name.startswith("MAILTIDE_"):
            assert name.removeprefix("MAILTIDE_").lower() in WarmupResources.model_fields
            assert attribute_of(value) in TEMPLATE["Resources"]


def _longest_bytes(value: Any) -> int:  # noqa: ANN401 - whatever stands in the template
    """What a value may come to: numbers and choices are short, the address or the name of a resource is not."""
    if not isinstance(value, dict):
        return len(str(value))
    if "Fn::Join" in value:
        return sum(131 for _ in value["Fn::Join"][1])
    if "Fn::If" in value:
        return max(_longest_bytes(branch) for branch in value["Fn::If"][1:])
    parameter = PARAMETERS.get(value.get("Ref", ""), {})
    if "AllowedValues" in parameter:
        return max(len(str(choice)) for choice in parameter["AllowedValues"])
    return 20 if parameter.get("Type") == "Number" else int(parameter.get("MaxLength", 130))


@pytest.mark.parametrize("function", [*FUNCTIONS])
def test_an_environment_fits_into_what_lambda_takes(function: str) -> None:
    variables = dict(TEMPLATE["Globals"]["Function"]["Environment"]["Variables"])
    variables |= FUNCTIONS[function].get("Environment", {}).get("Variables", {})
    assert sum(len(name) + _longest_bytes(value) for name, value in variables.items()) < 4_096


@pytest.mark.parametrize("function", WARMUP_QUEUES)
def test_the_arithmetic_of_a_queue(function: str) -> None:
    name, properties = WARMUP_QUEUES[function], FUNCTIONS[function]
    queue, source = QUEUES[f"{name}Queue"], properties["Events"]["Queue"]["Properties"]
    assert attribute_of(source["Queue"]) == f"{name}Queue"
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    window_s = source.get("MaximumBatchingWindowInSeconds", 0)
    assert queue["VisibilityTimeout"] >= 6 * properties["Timeout"] + window_s
    assert queue["MessageRetentionPeriod"] == 3_600
    redrive = queue["RedrivePolicy"]
    assert attribute_of(redrive["deadLetterTargetArn"]) == f"{name}DeadLetters"
    condition, in_functions, in_processes = redrive["maxReceiveCount"]["Fn::If"]
    assert condition == "WarmupInFunctions"
    # The next tick is the second try. A message that could be received once more would end by its age, and nobody would know.
    assert in_functions == 1
    assert queue["VisibilityTimeout"] < queue["MessageRetentionPeriod"]
    # One that is killed must not turn sound messages into dead letters; a poisoned one still gets there before its age ends it.
    assert in_processes == 3
    assert ports.MAX_DELAY_S + in_processes * HIDDEN_S < queue["MessageRetentionPeriod"]
    largest = source["BatchSize"] if isinstance(source["BatchSize"], int) else PARAMETERS["WarmupBatchSize"]["MaxValue"]
    assert largest <= 10 or (window_s >= 1 and largest <= 10_000), "AWS refuses it"
    concurrency = source["ScalingConfig"]["MaximumConcurrency"]
    small, normal = concurrency["Fn::If"][1:] if isinstance(concurrency, dict) else (concurrency, concurrency)
    assert small == 2, "a literal: MiniStack counts with it as it stands"
    least = PARAMETERS[normal["Ref"]]["MinValue"] if isinstance(normal, dict) else normal
    assert least >= 2, "SQS allows no less"


def test_the_arithmetic_of_the_sender() -> None:
    function = FUNCTIONS["SendMail"]
    source = function["Events"]["Queue"]["Properties"]
    assert function["Timeout"] == 300
    assert QUEUES["WarmupSendQueue"]["VisibilityTimeout"] == 1_830
    assert source["MaximumBatchingWindowInSeconds"] == 5
    assert source["ScalingConfig"]["MaximumConcurrency"] == {"Fn::If": ["IsSmall", 2, {"Ref": "WarmupSenders"}]}
    assert send.LEAST_LEFT_S == 60
    assert function["Timeout"] > send.LONGEST_SEND_S + send.LEAST_LEFT_S, (
        "every send has its own deadline before the call's"
    )
    assert ports.MAX_DELAY_S == 900, "SQS takes no more"
    assert PARAMETERS["WarmupSmtpTimeoutMs"]["MaxValue"] / 1000 < function["Timeout"]


def test_the_arithmetic_of_the_reader() -> None:
    function = FUNCTIONS["ReadMailboxes"]
    source = function["Events"]["Queue"]["Properties"]
    assert source["ScalingConfig"]["MaximumConcurrency"] == {"Fn::If": ["IsSmall", 2, {"Ref": "WarmupReaders"}]}
    assert source["BatchSize"] == READ_BATCH, "a process takes as many"
    assert function["Timeout"] * 1000 == VISIT_TTL_MS, "a visit whose process was killed keeps its mailbox no longer"
    assert function["Timeout"] > VISIT_MAX_MS / 1000 + reading.MARGIN_S
    assert PARAMETERS["WarmupImapTimeoutMs"]["MaxValue"] / 1000 < function["Timeout"] - reading.MARGIN_S
    # All mailboxes of a full call, a few seconds each, find time in it.
    waves = source["BatchSize"] * MAX_VISITS_A_MESSAGE / PARAMETERS["WarmupReadConcurrent"]["Default"]
    assert waves * 10 < function["Timeout"] - reading.MARGIN_S


def test_ticks_divide_the_hour_and_fit_into_a_delay() -> None:
    assert max(TICKS) <= 15
    for minutes in TICKS:
        # cron begins anew in each hour, the ticks of a day at its start.
        assert 60 % minutes == 0
        assert minutes * 60 <= ports.MAX_DELAY_S
        assert TEMPLATE["Mappings"]["Minutes"][str(minutes)] == {"Seconds": minutes * 60, "TwoTicks": minutes * 120}
    assert RULE["ScheduleExpression"] == {"Fn::Sub": "cron(0/${WarmupTickMinutes} * * * ? *)"}
    assert RULE["State"] == {"Fn::If": ["WarmupTicks", "ENABLED", "DISABLED"]}


@pytest.mark.parametrize(
    ("table", "key", "expires_by", "kept"),
    [
        ("MailboxesTable", ["p", "m"], None, True),
        ("LedgerTable", ["p", "m"], "x", True),
        ("ReadsTable", ["p", "m"], "x", True),
        ("LimitsTable", ["p"], "x", False),
        ("IdempotencyTable", ["id"], "expiration", False),
    ],
)
def test_tables(table: str, key: list[str], expires_by: str | None, kept: bool) -> None:
    properties, resource = TABLES[table], TEMPLATE["Resources"][table]
    assert [part["AttributeName"] for part in properties["KeySchema"]] == key
    assert [part["KeyType"] for part in properties["KeySchema"]] == ["HASH", "RANGE"][: len(key)]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties.get("TimeToLiveSpecification", {}).get("AttributeName") == expires_by
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == ("Retain" if kept else "Delete")
    indexes = properties.get("GlobalSecondaryIndexes", [])
    assert [index["IndexName"] for index in indexes] == ([USER_INDEX] if table == "MailboxesTable" else [])
    used = {*key, *(part["AttributeName"] for index in indexes for part in index["KeySchema"])}
    assert {each["AttributeName"] for each in properties["AttributeDefinitions"]} == used


def test_the_key_of_the_secrets_outlives_the_stack_and_is_used_for_nothing_else() -> None:
    key = TEMPLATE["Resources"]["SecretsKey"]
    assert key["DeletionPolicy"] == key["UpdateReplacePolicy"] == "Retain"
    assert key["Properties"]["EnableKeyRotation"] is True
    for role in ("SendMailRole", "ReadMailboxesRole"):
        (policy,) = resources(TEMPLATE, "AWS::IAM::Role")[role]["Policies"]
        (statement,) = (each for each in policy["PolicyDocument"]["Statement"] if each["Action"] == "kms:Decrypt")
        assert statement["Condition"] == {
            "StringEqualsIfExists": {"kms:EncryptionContext:purpose": "mailtide-mailbox-secret"}
        }


def test_the_costs_count_the_alarms_that_there_are() -> None:
    assert Model.model_fields["alarms"].default == len(ALARMS)


GAUGE_ALARMS = {
    "WarmupHealthAlarm": ("system_health", "Maximum", 900, "LessThanThreshold", 2),
    "WarmupFailuresAlarm": ("failed_share", "Minimum", 1_800, "GreaterThanThreshold", 0.1),
    "WarmupAgeAlarm": ("oldest_message_age_seconds", "Maximum", 900, "GreaterThanThreshold", "Seconds"),
    "WarmupQuotaAlarm": ("quota_completion_rate_yesterday", "Minimum", 3_600, "LessThanThreshold", 0.95),
    "WarmupStaleAlarm": ("figures_age_seconds", "Minimum", 900, "GreaterThanThreshold", "TwoTicks"),
    "WarmupSizeAlarm": ("size_threshold_crossed", "Minimum", 3_600, "GreaterThanThreshold", 0),
    "WarmupCapacityAlarm": ("limit_share", "Maximum", 3_600, "GreaterThanThreshold", 0.8),
}


@pytest.mark.parametrize("name", GAUGE_ALARMS)
def test_alarms_watch_gauges_that_exist(name: str) -> None:
    alarm, (gauge, statistic, period_s, operator, threshold) = ALARMS[name], GAUGE_ALARMS[name]
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert gauge in GAUGES
    assert (alarm["MetricName"], alarm["Statistic"]) == (f"warmup_{gauge}", statistic)
    assert (alarm["Period"], alarm["EvaluationPeriods"]) == (period_s, 1)
    assert period_s >= max(TICKS) * 60, "each period holds a value"
    assert alarm["ComparisonOperator"] == operator
    by_tick = {"Fn::FindInMap": ["Minutes", {"Ref": "WarmupTickMinutes"}, threshold]}
    assert alarm["Threshold"] == (by_tick if isinstance(threshold, str) else threshold)
    assert alarm["Namespace"] == variables["POWERTOOLS_METRICS_NAMESPACE"]
    assert alarm["Dimensions"] == [{"Name": "service", "Value": variables["POWERTOOLS_SERVICE_NAME"]}]
    silence = {"Fn::If": ["WarmupTicks", "breaching", "notBreaching"]} if gauge == "system_health" else "notBreaching"
    assert alarm["TreatMissingData"] == silence, (
        "a warm-up that says nothing is not healthy; one that is off says nothing"
    )


def test_a_key_that_is_refused_once_is_told() -> None:
    alarm = ALARMS["WarmupKeyAlarm"]
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Threshold"]) == ("key_refused", "Sum", 0)
    assert alarm["TreatMissingData"] == "notBreaching"
    assert alarm["Dimensions"] == ALARMS["WarmupHealthAlarm"]["Dimensions"]


@pytest.mark.parametrize(
    ("failed", "visited", "rings"),
    [(20, 0, False), (21, 0, True), (20, 900, False), (30, 20, True), (900, 9_000, False), (9_000, 30_000, True)],
)
def test_visits_that_fail_in_numbers_are_told_and_a_few_are_not(failed: int, visited: int, rings: bool) -> None:
    alarm = ALARMS["WarmupVisitsAlarm"]
    assert (alarm["MetricName"], alarm["Statistic"]) == (f"visit_{FAILED_EXCESS}", "Sum")
    assert (alarm["Period"], alarm["EvaluationPeriods"]) == (1_800, 1)
    assert (alarm["ComparisonOperator"], alarm["TreatMissingData"]) == ("GreaterThanThreshold", "notBreaching")
    assert alarm["Dimensions"] == ALARMS["WarmupHealthAlarm"]["Dimensions"]
    calls: list[dict[End, int]] = [{"failed": failed}, {"visited": visited, "busy": 900}]
    assert (sum(map(failed_excess, calls)) > alarm["Threshold"]) is rings


def test_every_alarm_of_the_warm_up_is_known() -> None:
    found = {name for name in ALARMS if name.startswith("Warmup")}
    assert found == GAUGE_ALARMS.keys() | {"WarmupKeyAlarm", "WarmupVisitsAlarm"} | {
        f"{queue}DeadLettersAlarm" for queue in WARMUP_QUEUES.values()
    }


def test_the_template_stays_within_what_cloudformation_takes() -> None:
    assert len(PARAMETERS) <= 200
    assert len(TEMPLATE["Outputs"]) <= 200
    # SAM adds a mapping and a permission or two to each function.
    assert len(TEMPLATE["Resources"]) + 3 * len(FUNCTIONS) <= 500
    assert (ROOT / "template.yaml").stat().st_size < 1_000_000


@pytest.mark.parametrize("function", WARMUP_QUEUES)
def test_processes_that_poll_have_the_queues_for_themselves(function: str) -> None:
    """With Warmup=containers nothing wakes the functions, and nothing but the planner's process makes ticks."""
    assert TEMPLATE["Conditions"]["WarmupInFunctions"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "Warmup"}, "containers"]}]
    }
    source = FUNCTIONS[function]["Events"]["Queue"]["Properties"]
    assert source["Enabled"] == {"Fn::If": ["WarmupInFunctions", True, False]}
    assert RULE["State"]["Fn::If"][0] == "WarmupTicks"
