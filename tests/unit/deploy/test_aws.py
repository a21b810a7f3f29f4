"""`make deploy`, `settings`, `image` and `local-invoke` without AWS and without Docker: samconfig.toml, dry runs, refusals."""

import json
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.aws import image, invoke, stack
from deploy.aws.environments import IMAGE_FILE, load_environment, noted_image
from deploy.aws.steps import StepError, Steps, need_docker
from deploy.aws.template import ROOT, load_template, resources
from localstack.cloud import LocalCloud, Stack
from localstack.compose import cloud_class
from localstack.processes import LocalCloudError
from mailtide.errors import InputError

TEMPLATE = load_template()
CONFIG: dict[str, Any] = tomllib.loads((ROOT / "samconfig.toml").read_text())
ENVIRONMENTS = [name for name, commands in CONFIG.items() if name != "version" and "deploy" in commands]
DIGEST = "sha256:" + "0123456789abcdef" * 4
EVENTS = sorted((ROOT / "events").glob("*.json"))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_deploys_what_was_built_with_values_that_the_template_takes(name: str) -> None:
    options = CONFIG[name]["deploy"]["parameters"]
    assert options["template_file"] == ".aws-sam/build/template.yaml"
    assert options["capabilities"] == "CAPABILITY_IAM"
    for pair in load_environment(name).overrides:
        parameter, _, value = pair.partition("=")
        rule = TEMPLATE["Parameters"][parameter]
        assert value in [str(one) for one in rule.get("AllowedValues", [value])], pair
        assert re.search(rule.get("AllowedPattern", ""), value), pair


def test_dev_and_prod_share_nothing_but_the_code() -> None:
    assert set(ENVIRONMENTS) == {"dev", "prod", "localstack"}
    dev, prod = load_environment("dev"), load_environment("prod")
    assert dev.stack != prod.stack
    for parameter in ("FlyApp", "FlyTokenSecret"):
        assert dev.parameter(parameter) != prod.parameter(parameter) != ""
    assert dev.parameter("Warmup") == "off", "a trial sends no mail"
    assert CONFIG["prod"]["deploy"]["parameters"]["confirm_changeset"] is True


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version = 0.1\n[dev.deploy.parameters]\nstack_name = 'a'\n", "[dev] says no region"),
        ("[prod.deploy.parameters]\n", "ENV=dev is no environment of samconfig.toml, which has prod"),
        ("[dev", "samconfig.toml cannot be read"),
        (None, "is not there"),
    ],
)
def test_a_broken_samconfig_is_one_sentence(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "samconfig.toml").write_text(text)
    with pytest.raises(InputError, match=re.escape(says)):
        load_environment("dev", tmp_path)


def test_what_guided_saves_is_read_like_what_we_wrote(tmp_path: Path) -> None:
    saved = '"FlyApp=\\"mine\\" SizeTable=\\"\\" MachineImage=\\"old\\" Scale=\\"small\\""'
    text = f"""
[dev.global.parameters]
region = "eu-central-1"
[dev.deploy.parameters]
stack_name = "s"
parameter_overrides = {saved}
"""
    (tmp_path / "samconfig.toml").write_text(text)
    environment = load_environment("dev", tmp_path)
    assert (environment.parameter("FlyApp"), environment.parameter("SizeTable", "none")) == ("mine", "")
    assert environment.parameter("App", "no such") == "no such"
    assert (environment.region, environment.stack) == ("eu-central-1", "s")


def test_a_dry_deployment_shows_its_three_commands(capsys: pytest.CaptureFixture[str]) -> None:
    stack.run(["deploy", "--cloud", "localstack", "--dry"])
    build, slim, deploy = capsys.readouterr().out.splitlines()
    assert " sam build --config-env localstack " in build
    assert slim.endswith("layers/slim.py .aws-sam/build/DepsLayer .aws-sam/build/SharedLayer")
    assert " sam deploy --config-env localstack --parameter-overrides Tracing=PassThrough " in deploy
    assert "AWS_ENDPOINT_URL=http://localhost:4566" in deploy


def test_the_noted_image_is_the_last_word(capsys: pytest.CaptureFixture[str]) -> None:
    environment = load_environment("prod")
    stack.deploy(environment, guided=True, dry=True, image=f"registry.fly.io/mailtide@{DIGEST}")
    deploy = capsys.readouterr().out.splitlines()[-1]
    saved = f"--config-file {ROOT / 'samconfig.toml'}"
    assert f"sam deploy --config-env prod --guided {saved} --parameter-overrides FlyApp=mailtide " in deploy
    assert deploy.endswith(f"Architecture=arm64 MachineImage=registry.fly.io/mailtide@{DIGEST}")


def test_without_an_image_nothing_is_deployed() -> None:
    with pytest.raises(InputError, match="run first: make image ENV=prod"):
        stack.deploy(load_environment("prod"), guided=None, dry=False, image="")


def test_settings_are_those_of_the_local_cloud() -> None:
    """What a stack's outputs become is what the local cloud sets, for each variable that outputs give."""
    outputs = {name: f"value-of-{name}" for name in TEMPLATE["Outputs"]}
    cloud = LocalCloud()
    cloud.stack = Stack({**outputs, "ApiUrl": "https://abc.lambda-url.us-east-1.on.aws/"})
    found = stack.of_outputs(outputs)
    local = cloud.environment
    assert found["MAILTIDE_BUCKET"] == local["MAILTIDE_BUCKET"] == "value-of-Bucket"
    told_otherwise = {"MAILTIDE_API_URL"}
    assert {name: local[name] for name in found.keys() - told_otherwise} == {
        name: value for name, value in found.items() if name not in told_otherwise
    }
    given = {name for name in local if name.startswith("MAILTIDE_")} - found.keys()
    assert given == {
        "MAILTIDE_FLY_API_URL", "MAILTIDE_FLY_APP", "MAILTIDE_FLY_TOKEN", "MAILTIDE_MACHINE_IMAGE", "MAILTIDE_WEBHOOK_LOOPBACK",
    }  # fmt: skip


def test_parameters_that_differ_from_their_defaults_reach_the_command_line() -> None:
    defaults = {name: str(rule["Default"]) for name, rule in TEMPLATE["Parameters"].items()}
    assert stack.of_parameters(defaults) == {}
    changed = defaults | {"FlyApp": "mine", "WarmupShards": "7", "S3Bucket": "elsewhere", "Scale": "small"}
    assert stack.of_parameters(changed) == {"MAILTIDE_FLY_APP": "mine", "WARMUP_SHARDS": "7"}


def test_an_image_is_noted_by_its_digest_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / IMAGE_FILE.parent).mkdir(parents=True)
    assert noted_image(tmp_path) == ""
    named = f"registry.fly.io/my-mailtide@{DIGEST}"
    image.note(named, "tag v1", tmp_path)
    assert noted_image(tmp_path) == named
    assert yaml.safe_load((tmp_path / IMAGE_FILE).read_text()) == {"MachineImage": named}
    assert named in capsys.readouterr().out
    for wrong in ("registry.fly.io/my-mailtide:v1", f"my-mailtide@{DIGEST}", f"{named}\nFlyApp: x", ""):
        with pytest.raises(InputError, match="names no digest"):
            image.note(wrong, "tag v1", tmp_path)


def test_a_dry_build_is_for_the_processors_of_fly(capsys: pytest.CaptureFixture[str]) -> None:
    image.run(["--env", "dev", "--dry"])
    line = capsys.readouterr().out
    assert line.startswith(
        "docker buildx build --platform linux/amd64 --provenance=false --file machine/Dockerfile --tag "
    )
    assert re.search(
        r"--tag registry\.fly\.io/mailtide-dev:[\w-]+ --push --metadata-file build/image\.json \.$", line.strip()
    )
    image.run(["--cloud", "localstack", "--dry"])
    assert "--tag mailtide:local --load " in capsys.readouterr().out


def a_docker(folder: Path, script: str) -> str:
    """A PATH on which `docker` is a script: what a Docker without an engine, or without buildx, answers."""
    docker = folder / "docker"
    docker.write_text(f"#!/bin/sh\n{script}\n")
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.defpath}"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (None, "there is no docker on the PATH"),
        ("exit 1", "no Docker engine answers"),
        ('[ "$1" = version ]', "this Docker has none; on Debian: apt-get install docker-buildx"),
    ],
)
def test_without_docker_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, says: str
) -> None:
    monkeypatch.setenv("PATH", a_docker(tmp_path, script) if script else str(tmp_path))
    with pytest.raises(InputError, match=f"^make image needs .*{says}"):
        need_docker("make image", buildx=True)


def test_the_digest_is_the_one_that_buildx_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a docker that writes what `buildx build --metadata-file` writes, and nothing else."""
    told = json.dumps({"containerimage.digest": DIGEST, "image.name": "registry.fly.io/my-mailtide:v1"})
    script = f"""[ "$2" != build ] && exit 0
while [ "$1" != --metadata-file ]; do shift; done
echo '{told}' >"$2" """
    monkeypatch.setenv("PATH", a_docker(tmp_path, script))
    assert image.build("registry.fly.io/my-mailtide:v1", push=True, dry=False) == DIGEST
    assert image.DIGESTED.fullmatch(f"registry.fly.io/my-mailtide@{DIGEST}")


def test_localstack_without_an_engine_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", a_docker(tmp_path, "echo Cannot connect to the Docker daemon >&2; exit 1"))
    with pytest.raises(
        LocalCloudError, match=r"^CLOUD=localstack needs Docker.*no Docker engine answers.*Cannot connect"
    ):
        cloud_class("localstack")(logs=tmp_path).__enter__()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(LocalCloudError, match="no docker on the PATH"):
        cloud_class("localstack")(logs=tmp_path).__enter__()


def test_the_page_of_deployment_names_what_there_is() -> None:
    page = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    known = TEMPLATE["Parameters"].keys() | TEMPLATE["Outputs"].keys() | TEMPLATE["Resources"].keys()
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)(?:=[^`]*)?`", page))
    assert named - {"RunFinished"} <= known
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in re.findall(r"(?:^\$ |`)(make [^`\n]+)", page, re.MULTILINE):
        for variable in re.findall(r"\b([A-Z]{3,})=", line):
            assert f"$({variable})" in makefile or f"or $({variable})," in makefile, line


def test_a_step_that_fails_ends_it() -> None:
    with pytest.raises(StepError, match="false it failed with exit code 1"):
        Steps().run("false", "it")
    with pytest.raises(InputError, match="no-such-program is not installed"):
        Steps().run("no-such-program", "it")


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.stem)
def test_every_sample_event_has_its_function(event: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json.loads(event.read_text())
    invoke.invoke([event], load_environment("dev"), dry=True)
    function = invoke.function_of(event)
    assert event.name.startswith(Path(resources(TEMPLATE, "AWS::Serverless::Function")[function]["CodeUri"]).name)
    assert f"sam local invoke {function} --event events/{event.name} " in capsys.readouterr().out


def test_an_event_of_nobody_is_refused(tmp_path: Path) -> None:
    assert invoke.chosen("all") == EVENTS
    with pytest.raises(InputError, match="There is no event"):
        invoke.chosen("events/none.json")
    with pytest.raises(InputError, match="is for no function"):
        invoke.function_of(tmp_path / "plan_sum.upload.json")


def test_functions_in_containers_learn_where_the_local_cloud_is() -> None:
    told = invoke.with_endpoint((ROOT / "template.yaml").read_text(), "http://localhost:4566")
    assert "        POWERTOOLS_METRICS_NAMESPACE: Mailtide\n        AWS_ENDPOINT_URL: http://localhost:4566\n" in told
    with pytest.raises(InputError, match="build it anew"):
        invoke.with_endpoint("Resources: {}", "http://localhost:4566")
