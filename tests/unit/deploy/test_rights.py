"""docs/rights.md lists every action that a function may do, each with its reason."""

from deploy.aws.rights import load_reasons, reason_for, rights_of, rights_page
from deploy.aws.template import ROOT, load_template, resources

TEMPLATE = load_template()
REASONS = load_reasons()
FUNCTIONS = [*resources(TEMPLATE, "AWS::Serverless::Function")]


def test_the_page_is_what_the_template_says() -> None:
    assert (ROOT / "docs" / "rights.md").read_text(encoding="utf-8") == rights_page(TEMPLATE, REASONS), (
        "run: make reference"
    )


def test_no_right_is_without_a_reason_and_no_reason_without_a_right() -> None:
    used = set()
    for function in FUNCTIONS:
        for right in rights_of(TEMPLATE, function):
            assert reason_for(REASONS, function, right).endswith((".", "?")), (function, right)
            used.add(("all" if right.own else function, right.action))
    assert used == {(function, action) for function, reasons in REASONS.items() for action in reasons}


def test_stars_are_few_and_known() -> None:
    """A star in an action gives what nobody has counted; on everything (`*`) a function may only trace."""
    for function in FUNCTIONS:
        for right in rights_of(TEMPLATE, function):
            assert "*" not in right.action or right.action == "sqs:SendMessage*", (function, right)
            assert "*" not in right.on or right.action.startswith("xray:"), (function, right)


def test_only_the_listed_functions_have_roles_and_nothing_else_gives_rights() -> None:
    roles = resources(TEMPLATE, "AWS::IAM::Role")
    assert roles.keys() == {f"{function}Role" for function in FUNCTIONS}
    assert all(len(role["Policies"]) == 1 and "ManagedPolicyArns" not in role for role in roles.values())
    assert resources(TEMPLATE, "AWS::IAM::Policy").keys() == {"S3Credentials"}
    assert not resources(TEMPLATE, "AWS::IAM::ManagedPolicy")
    functions = resources(TEMPLATE, "AWS::Serverless::Function").values()
    assert not any(function.keys() & {"Policies", "PermissionsBoundary"} for function in functions)
