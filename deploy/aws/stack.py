"""`python -m deploy.aws.stack deploy|settings --env dev`: deploy a stack, and print what the command line needs of it."""

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from deploy.aws.environments import IMAGE_FILE, LOCALSTACK, LOCALSTACK_URL, Environment, load_environment, noted_image
from deploy.aws.steps import Steps, main
from deploy.aws.template import ROOT, load_template, resources
from mailtide.errors import InputError

BUILT = ROOT / ".aws-sam" / "build"
LAYERS = ("DepsLayer", "SharedLayer")
LOCAL_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# Outputs whose variables are not called after them.
OUTPUTS = {
    "Bucket": "MAILTIDE_BUCKET",
    "SecretsKeyArn": "MAILTIDE_SECRETS_KMS_KEY_ID",
    "ApiTokensSecret": "MAILTIDE_API_TOKENS_SECRET",
    "WebhookKeySecret": "MAILTIDE_WEBHOOK_KEY_SECRET",
    "ApiUrl": "MAILTIDE_API_URL",
}


def deploy(environment: Environment, *, guided: bool | None, dry: bool, image: str) -> None:
    """Build, slim the layers, deploy. guided: whether SAM asks for each parameter; None for only the first time, at a terminal.
    image: of the machines, empty for what the environment says.

    InputError where something that the stack needs is not there yet: it would deploy, and its first run fail.
    """
    if not image and not environment.parameter("MachineImage"):
        raise InputError(
            f"No image of the machines is noted in {IMAGE_FILE}; run first: make image ENV={environment.name}"
        )
    variables = aws_variables(environment)
    if not dry:
        stands = stack_of(environment) is not None
        _need_token(environment)
        guided = sys.stdin.isatty() and not stands if guided is None else guided
    steps = Steps(dry=dry, environment=variables)
    architecture = environment.parameter("Architecture", _processor() if environment.is_local else "arm64")
    steps.sam("build", "--config-env", environment.name, "--parameter-overrides", f"Architecture={architecture}")
    folders = [str((BUILT / layer).relative_to(ROOT)) for layer in LAYERS]
    steps.run(".venv/bin/python", "layers/slim.py", *folders)
    overrides = [*environment.overrides, f"Architecture={architecture}", *([f"MachineImage={image}"] if image else [])]
    # With its whole path: SAM would otherwise save the answers beside the built template, where the next build removes them.
    asked = ["--guided", "--config-file", str(ROOT / "samconfig.toml")] if guided else []
    steps.sam("deploy", "--config-env", environment.name, *asked, "--parameter-overrides", *overrides)


def settings(environment: Environment) -> Iterator[str]:
    """Lines for a shell: what the command line of mailtide needs of this stack."""
    stack = stack_of(environment)
    if stack is None:
        raise InputError(
            f"There is no stack {environment.stack} in {environment.region} yet; make deploy ENV={environment.name}"
        )
    values = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    given = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    known = {**aws_variables(environment), **of_outputs(values), **of_parameters(given)}
    yield from (f"export {name}={shlex.quote(value)}" for name, value in known.items())


def of_outputs(values: Mapping[str, str]) -> dict[str, str]:
    """Variables of mailtide's settings that outputs of the stack give."""
    found = {variable: values[name] for name, variable in OUTPUTS.items() if name in values}
    for name, value in values.items():
        for ending in ("QueueUrl", "Table"):
            if name.endswith(ending):
                found[f"MAILTIDE_{_snake(name)}"] = value
    return found


def of_parameters(given: Mapping[str, str]) -> dict[str, str]:
    """Variables that functions are handed from parameters, where the deployment gives another value than the default."""
    template = load_template()
    functions = [template["Globals"]["Function"], *resources(template, "AWS::Serverless::Function").values()]
    handed = (pair for one in functions for pair in one.get("Environment", {}).get("Variables", {}).items())
    found = {}
    for variable, value in handed:
        name = str(value.get("Ref")) if isinstance(value, dict) else ""
        default = template["Parameters"].get(name, {}).get("Default")
        if name in given and variable.startswith(("MAILTIDE_", "WARMUP_")) and given[name] != str(default):
            found[variable] = given[name]
    return dict(sorted(found.items()))


def aws_variables(environment: Environment) -> dict[str, str]:
    """What the SDK and SAM are told besides what the shell says."""
    region = {"AWS_DEFAULT_REGION": environment.region}
    return {**region, "AWS_ENDPOINT_URL": LOCALSTACK_URL, **LOCAL_CREDENTIALS} if environment.is_local else region


def stack_of(environment: Environment) -> dict[str, Any] | None:
    """The deployed stack as CloudFormation describes it, or None."""
    try:
        answer = _client("cloudformation", environment).describe_stacks(StackName=environment.stack)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    stack: dict[str, Any] = answer["Stacks"][0]
    return stack


def _need_token(environment: Environment) -> None:
    if environment.is_local:
        return
    name = environment.parameter("FlyTokenSecret", "mailtide/fly-token")
    try:
        _client("secretsmanager", environment).describe_secret(SecretId=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise InputError(
            f"Secrets Manager has no secret {name} in {environment.region}; Fly's token belongs there (docs/deploy.md)."
        ) from None


def _client(service: str, environment: Environment) -> Any:  # noqa: ANN401 - boto3's own type differs by service
    variables = aws_variables(environment)
    session = boto3.Session(
        region_name=environment.region,
        aws_access_key_id=variables.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=variables.get("AWS_SECRET_ACCESS_KEY"),
    )
    make: Any = session.client
    return make(service, endpoint_url=variables.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT_URL")))


def _processor() -> str:
    """This computer's, by its name in the template: LocalStack runs functions here."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def _snake(name: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() and at else letter for at, letter in enumerate(name)).upper()


def run(arguments: list[str]) -> None:
    """The command line. InputError and what AWS refuses are for `main`."""
    parser = argparse.ArgumentParser(prog="python -m deploy.aws.stack", description=__doc__)
    parser.add_argument("command", choices=["deploy", "settings"])
    parser.add_argument("--env", default="dev", help="environment of samconfig.toml")
    parser.add_argument(
        "--cloud", default="aws", choices=["aws", LOCALSTACK], help="localstack stands for --env localstack"
    )
    parser.add_argument("--guided", choices=["0", "1"], help="whether SAM asks; the first time at a terminal it does")
    parser.add_argument("--dry", action="store_true", help="only show the commands")
    given = parser.parse_args(arguments)
    environment = load_environment(LOCALSTACK if given.cloud == LOCALSTACK else given.env)
    if given.command == "settings":
        print("\n".join(settings(environment)))
    else:
        guided = None if given.guided is None else given.guided == "1"
        deploy(environment, guided=guided, dry=given.dry, image="" if environment.is_local else noted_image())


if __name__ == "__main__":
    main(lambda: run(sys.argv[1:]))
