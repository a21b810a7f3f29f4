"""docs/rights.md: what each function may do, on what, and why. `python -m deploy.aws.rights docs` writes it."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.aws.template import ROOT, attribute_of, listed, load_template, resources

type Reasons = dict[str, dict[str, str]]
SECRETS = {
    "${FlyTokenSecret}": "the secret `FlyTokenSecret`",
    "${S3CredentialsSecret}": "the secret `S3CredentialsSecret`",
    "${AWS::StackName}/webhook-key": "the secret `WebhookKey`",
    "${AWS::StackName}/api-tokens": "the secret `ApiTokens`",
}
HEAD = """# What each function may do

Made from template.yaml and deploy/aws/reasons.yaml by `make reference`; a test holds both against each other. Every function has
a role of its own, made of `Allow` statements only: no managed policy, and no star but those that are explained here. What is not
listed is refused.

"""
LISTS = "s3:ListBucket"
CREDENTIALS = (
    "| `secretsmanager:GetSecretValue` | the secret `S3CredentialsSecret` | "
    "Keys of a bucket elsewhere; only where that parameter is set. |"
)
COLUMNS = "| action | on | why |\n|---|---|---|\n"
TAIL = """## Everybody else

| who | may | where it stands |
|---|---|---|
| anybody on the internet | call the function api, which lets nobody in without a token | `FunctionUrlConfig` |
| a machine | what its task's URLs allow, for an hour | [object-layout.md](object-layout.md#what-a-machine-can-do) |
| EventBridge | put messages into the queues that a rule of the stack names | the queues' policies |
| CloudWatch, Budgets, EventBridge | tell the topic of the alarms; the first two from this account alone | `AlarmTopicPolicy` |
| anybody by plain HTTP | nothing: bucket, queues and topic refuse it | the policies `TlsOnly` |
"""


@dataclass(frozen=True, slots=True)
class Right:
    """One action of a function. on: what it may be done to, in words. own: of the function itself, as all have it."""

    action: str
    on: tuple[str, ...]
    own: bool


def load_reasons() -> Reasons:
    """deploy/aws/reasons.yaml: by function (or `all`), then by action."""
    reasons: Reasons = yaml.safe_load((ROOT / "deploy/aws/reasons.yaml").read_text(encoding="utf-8"))
    return reasons


def rights_of(template: dict[str, Any], function: str) -> Iterator[Right]:
    """Every right of a function's own role, in the order of the template. ValueError for a statement that is no plain Allow."""
    roles = resources(template, "AWS::IAM::Role")
    role = roles[attribute_of(resources(template, "AWS::Serverless::Function")[function]["Role"])]
    own = {("*",), (f"`{function}Logs`",), _own_queues(template, function)}
    for policy in role["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] != "Allow" or statement.keys() & {"NotAction", "NotResource"}:
                raise ValueError(f"{function}: this page tells of plain Allow statements only")
            on = tuple(_words(one) for one in listed(statement["Resource"]))
            for action in listed(statement["Action"]):
                yield Right(action, on, action == LISTS or (action in OF_ALL and on in own))


def prefixes_of(template: dict[str, Any], function: str) -> list[str]:
    """Below which a function may list names."""
    (policy,) = resources(template, "AWS::IAM::Role")[f"{function}Role"]["Policies"]
    (lists,) = (one for one in policy["PolicyDocument"]["Statement"] if one["Action"] == LISTS)
    found: list[str] = lists["Condition"]["StringLikeIfExists"]["s3:prefix"]
    return found


OF_ALL = frozenset(load_reasons()["all"])


def reason_for(reasons: Reasons, function: str, right: Right) -> str:
    """Why. KeyError where nobody says so."""
    own = reasons.get(function, {})
    return reasons["all"][right.action] if right.own and right.action not in own else own[right.action]


def rights_page(template: dict[str, Any], reasons: Reasons) -> str:
    """The page."""
    rows = [f"| `{action}` | {_OWN[action.partition(':')[0]]} | {why} |" for action, why in reasons["all"].items()]
    parts = [HEAD, f"## All of them\n\n{COLUMNS}", "\n".join(rows), f"\n{CREDENTIALS}\n"]
    for function in resources(template, "AWS::Serverless::Function"):
        prefixes = ", ".join(f"`{prefix}`" for prefix in prefixes_of(template, function))
        parts.append(f"\n## {_snake(function)}\n\nLists names below {prefixes}.\n\n{COLUMNS}")
        parts += [
            f"| `{right.action}` | {', '.join(right.on)} | {reason_for(reasons, function, right)} |\n"
            for right in rights_of(template, function)
            if not right.own
        ]
    return "".join([*parts, "\n", TAIL])


_OWN = {
    "logs": "its own log group",
    "xray": "*",
    "s3": "the bucket, below the prefixes that are named with each",
    "sqs": "its own queue (not api, which has none)",
}


def _own_queues(template: dict[str, Any], function: str) -> tuple[str, ...]:
    events = resources(template, "AWS::Serverless::Function")[function].get("Events", {})
    queues = [attribute_of(event["Properties"]["Queue"]) for event in events.values() if event["Type"] == "SQS"]
    return tuple(f"`{queue}`" for queue in queues)


def _words(resource: str | dict[str, Any]) -> str:
    """What a statement's Resource says, for a reader."""
    if isinstance(resource, str):
        return resource
    if "Fn::Sub" not in resource:
        return f"`{attribute_of(resource)}`"
    text = str(resource["Fn::Sub"])
    for name, words in SECRETS.items():
        if f":secret:{name}-??????" in text:
            return words
    if ":event-bus/" in text:
        return "the bus `EventBusName`"
    index = re.fullmatch(r"\$\{(\w+)\.Arn\}/index/(\w+)", text)
    return f"`{index[1]}`, index `{index[2]}`" if index else f"`{text.removeprefix('${Bucket.Arn}/')}`"


def _snake(function: str) -> str:
    return re.sub("(?<!^)(?=[A-Z])", "_", function).lower()


if __name__ == "__main__":
    (Path(sys.argv[1]) / "rights.md").write_text(rights_page(load_template(), load_reasons()), encoding="utf-8")
