"""The API in the template: its rights in full, its address, its secret and its alarms."""

import json
from typing import Any

from mailtide.access import TokenBook
from mailtide.adapters.dynamodb.mailboxes import USER_INDEX
from mailtide.adapters.sibling_functions import OTHERS
from mailtide.api.settings import ApiSettings
from mailtide.api.settings_in_force import NEVER_SHOWN, NOT_HANDED
from mailtide.settings import Settings
from mailtide.warmup.settings import WarmupResources, WarmupSettings
from tests.support.template import attribute_of, load_template, resources

TEMPLATE = load_template()
FUNCTIONS = resources(TEMPLATE, "AWS::Serverless::Function")
API = resources(TEMPLATE, "AWS::Serverless::Function")["Api"]
VARIABLES: dict[str, Any] = API["Environment"]["Variables"]
ALARMS = resources(TEMPLATE, "AWS::CloudWatch::Alarm")
SECRET = "the secret of the tokens"
RIGHTS = {
    "logs:CreateLogStream": ["ApiLogs"],
    "logs:PutLogEvents": ["ApiLogs"],
    "xray:PutTraceSegments": ["*"],
    "xray:PutTelemetryRecords": ["*"],
    "secretsmanager:GetSecretValue": [SECRET],
    "lambda:GetFunctionConfiguration": list(OTHERS),
    "sqs:GetQueueAttributes": [
        "WarmupSendQueue",
        "WarmupPlanDeadLetters",
        "WarmupDispatchDeadLetters",
        "WarmupSendDeadLetters",
        "WarmupReadDeadLetters",
    ],
    "sqs:SendMessage*": ["PlanQueue", "CollectQueue", "FinishQueue", "WarmupPlanQueue", "WarmupDispatchQueue"],
    "dynamodb:Query": [f"MailboxesTable/index/{USER_INDEX}"],
    "dynamodb:BatchGetItem": ["MailboxesTable", "LimitsTable"],
    "dynamodb:UpdateItem": ["MailboxesTable", "IdempotencyTable"],
    "dynamodb:GetItem": ["LedgerTable", "IdempotencyTable"],
    "dynamodb:PutItem": ["IdempotencyTable"],
    "dynamodb:DeleteItem": ["IdempotencyTable"],
    "s3:ListBucket": ["Bucket"],
    "s3:GetObject": [
        "warmup/days/*",
        "warmup/control.json",
        "warmup/domains.json",
        "orgs/*/contacts.db",
        "orgs/*/latest.json",
        "orgs/*/rules.yaml",
        "open/*",
        "runs/*/plan.json",
        "runs/*/result.json",
        "runs/*/done.json",
        "runs/*/verdict.json",
        "runs/*/cancel.json",
        "runs/*/parts/*.json",
        "runs/*/tasks/*/launch.json",
        "runs/*/tasks/*/manifest.json",
        "runs/*/tasks/*/error.json",
        "runs/*/tasks/*/contacts.db",
        "runs/*/tasks/*/schedule.*",
    ],
    "s3:PutObject": ["warmup/control.json", "runs/*/verdict.json", "runs/*/cancel.json"],
}
"""Every right: it cannot read a mailbox's whole partition, open a secret of a mailbox, write into the ledger, read the addresses
that machines are given, or write over a database."""


def _name(value: Any) -> str:  # noqa: ANN401 - a resource of a statement
    if isinstance(value, str):
        return value
    if "Fn::Sub" in value and "secretsmanager" in value["Fn::Sub"]:
        assert value["Fn::Sub"].endswith(":secret:${AWS::StackName}/api-tokens-??????")
        return SECRET
    if "Fn::Sub" in value and ":function:" in value["Fn::Sub"]:
        name = value["Fn::Sub"].partition(":function:${AWS::StackName}")[2]
        assert f"${{AWS::StackName}}{name}" in [one["FunctionName"]["Fn::Sub"] for one in FUNCTIONS.values()]
        return str(name)
    if "Fn::Sub" in value:
        return str(value["Fn::Sub"]).removeprefix("${Bucket.Arn}/").replace("${MailboxesTable.Arn}", "MailboxesTable")
    return attribute_of(value)


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - one or several
    return value if isinstance(value, list) else [value]


def test_it_has_exactly_the_rights_written_here() -> None:
    found: dict[str, list[str]] = {}
    (policy,) = resources(TEMPLATE, "AWS::IAM::Role")["ApiRole"]["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]:
        assert statement["Effect"] == "Allow"
        for action in _listed(statement["Action"]):
            assert action not in found
            found[action] = [_name(resource) for resource in _listed(statement["Resource"])]
    assert found == RIGHTS


def test_every_variable_is_a_setting_that_something_reads() -> None:
    for name, value in VARIABLES.items():
        prefix, _, rest = name.partition("_")
        if name == "MAILTIDE_API_TOKENS_SECRET":
            assert value == {"Ref": "ApiTokens"}
            assert "tokens_secret" in ApiSettings.model_fields
        elif prefix == "WARMUP":
            assert rest.lower() in WarmupSettings.model_fields
        else:
            assert rest.lower() in WarmupResources.model_fields.keys() | Settings.model_fields.keys()


def test_the_page_shows_every_setting_that_the_template_has() -> None:
    parameters = {name for name in TEMPLATE["Parameters"] if name.startswith("Warmup")}
    handed = {value["Ref"] for name, value in VARIABLES.items() if name.startswith("WARMUP_")}
    settings = {
        f"Warmup{''.join(word.capitalize() for word in name.split('_'))}"
        for name in WarmupSettings.model_fields.keys() - NOT_HANDED
    }
    assert handed == parameters & settings


def test_the_settings_that_it_is_not_handed_are_those_of_functions_that_it_asks() -> None:
    run_functions = FUNCTIONS["LaunchMachine"]["Environment"]["Variables"]
    own = run_functions.keys() - VARIABLES.keys()
    elsewhere = {name.removeprefix("MAILTIDE_").lower() for name in own}
    of_runs = {name for name in elsewhere if not name.endswith("_queue_url")}
    assert of_runs | (WarmupSettings.model_fields.keys() & NOT_HANDED) == NOT_HANDED
    assert not {f"WARMUP_{name.upper()}" for name in NOT_HANDED} & VARIABLES.keys()
    shown: set[str] = set()
    for function in FUNCTIONS.values():
        if function["FunctionName"]["Fn::Sub"].removeprefix("${AWS::StackName}") in OTHERS:
            shown |= function["Environment"]["Variables"].keys()
    assert {name.partition("_")[2].lower() for name in shown} >= NOT_HANDED
    assert sorted(NEVER_SHOWN) == ["fly_token"]


def test_it_knows_the_queues_that_it_may_use() -> None:
    queues = {attribute_of(value) for name, value in VARIABLES.items() if name.endswith("_QUEUE_URL")}
    assert queues == {*RIGHTS["sqs:SendMessage*"], "WarmupSendQueue"}
    dead = VARIABLES["MAILTIDE_WARMUP_DEAD_LETTER_URLS"]["Fn::Join"]
    assert (dead[0], [one["Ref"] for one in dead[1]]) == (",", RIGHTS["sqs:GetQueueAttributes"][1:])


def test_the_token_is_the_only_gate_and_the_secret_begins_empty() -> None:
    assert API["FunctionUrlConfig"] == {"AuthType": "NONE", "InvokeMode": "BUFFERED"}
    assert "Events" not in API
    secret = TEMPLATE["Resources"]["ApiTokens"]
    assert secret["DeletionPolicy"] == "Retain"
    assert secret["Properties"]["Name"] == {"Fn::Sub": "${AWS::StackName}/api-tokens"}
    assert TokenBook.model_validate(json.loads(secret["Properties"]["SecretString"])) == TokenBook()


def test_mistakes_and_guessers_raise_alarms() -> None:
    own = {"Name": "service", "Value": {"Ref": "AWS::StackName"}}
    for name, metric in (("ApiErrorsAlarm", "api_failed"), ("ApiRefusedTokensAlarm", "api_token_refused")):
        assert (ALARMS[name]["MetricName"], ALARMS[name]["Dimensions"]) == (metric, [own])
    assert ALARMS["ApiCrashesAlarm"]["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "Api"}}]
