"""`python -m deploy.aws.invoke events/plan_run.upload.json`: `sam local invoke`, one function in Lambda's own container.

SAM takes each variable that template.yaml names from the shell, so the settings of a stack reach the function as they are.
"""

import argparse
import os
import re
import sys
from pathlib import Path

from deploy.aws.environments import LOCALSTACK, Environment, load_environment
from deploy.aws.stack import BUILT, aws_variables, of_outputs, of_parameters, stack_of
from deploy.aws.steps import Steps, main, need_docker
from deploy.aws.template import ROOT, load_template, resources
from mailtide.errors import InputError

EVENTS = ROOT / "events"
LOCAL_TEMPLATE = Path(".aws-sam/build/local.yaml")


def function_of(event: Path) -> str:
    """The function that a file of events/ is for, by its logical name: plan_run.upload.json -> PlanRun. InputError if none."""
    name = "".join(word.capitalize() for word in event.name.partition(".")[0].split("_"))
    if name not in resources(load_template(), "AWS::Serverless::Function"):
        raise InputError(
            f"{event} is for no function of template.yaml: its name begins with the function's, as in events/."
        )
    return name


def chosen(text: str) -> list[Path]:
    """One event, or every file of events/ for `all`. InputError when there is no such file."""
    if text == "all":
        return sorted(EVENTS.glob("*.json"))
    path = Path(text)
    found = path if path.is_absolute() else ROOT / path
    if not found.is_file():
        raise InputError(f"There is no event {text}; events/ holds some, such as events/plan_run.upload.json.")
    return [found]


def with_endpoint(template: str, url: str) -> str:
    """The built template with one more variable for all functions: SAM hands on only those that it names."""
    line = re.search(r"^( +)POWERTOOLS_METRICS_NAMESPACE:.*$", template, re.MULTILINE)
    if line is None:
        raise InputError("The built template names no variables of all functions; build it anew: sam build")
    return template.replace(line[0], f"{line[0]}\n{line[1]}AWS_ENDPOINT_URL: {url}", 1)


def invoke(events: list[Path], environment: Environment, *, dry: bool) -> None:
    """Each event in turn. InputError without Docker, without a build, or without the stack whose settings are used."""
    variables = aws_variables(environment)
    template = BUILT.relative_to(ROOT) / "template.yaml"
    endpoint = variables.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT_URL", ""))
    if not dry:
        need_docker("sam local invoke")
        if not (ROOT / template).exists():
            raise InputError(f"Nothing is built yet; run first: make deploy ENV={environment.name}, or sam build")
        stack = stack_of(environment)
        if stack is None:
            raise InputError(
                f"There is no stack {environment.stack} to take settings from; make deploy ENV={environment.name}"
            )
        variables |= of_outputs({one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]})
        variables |= of_parameters({one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]})
        if endpoint:
            local = with_endpoint((ROOT / template).read_text(encoding="utf-8"), endpoint)
            (ROOT / LOCAL_TEMPLATE).write_text(local, encoding="utf-8")
    steps = Steps(dry=dry, environment={} if dry else variables)
    network = ["--docker-network", "host"] if endpoint else []
    for event in events:
        used = LOCAL_TEMPLATE if endpoint else template
        steps.sam("local", "invoke", function_of(event), "--event", _relative(event), "--template", str(used), *network)


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def run(arguments: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.aws.invoke", description=__doc__)
    parser.add_argument("event", help="a file of events/, or all")
    parser.add_argument("--env", default="dev", help="environment of samconfig.toml whose settings the function gets")
    parser.add_argument(
        "--cloud", default="aws", choices=["aws", LOCALSTACK], help="localstack stands for --env localstack"
    )
    parser.add_argument("--dry", action="store_true", help="only show the commands")
    given = parser.parse_args(arguments)
    environment = load_environment(LOCALSTACK if given.cloud == LOCALSTACK else given.env)
    invoke(chosen(given.event), environment, dry=given.dry)


if __name__ == "__main__":
    main(lambda: run(sys.argv[1:]))
