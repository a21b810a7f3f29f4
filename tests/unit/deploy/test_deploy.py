"""The compose file and the Kubernetes manifests: valid by their schemas, and true to the code."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import click
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel, ConfigDict, Field

from mailtide.api.settings import ApiSettings
from mailtide.cli.main import cli
from mailtide.polling import MARGIN_S
from mailtide.settings import Settings
from mailtide.warmup.reading.read import VISIT_MAX_MS
from mailtide.warmup.send import LEAST_LEFT_S, LONGEST_SEND_S
from mailtide.warmup.settings import OLD_NAMES, WarmupResources, WarmupSettings
from mailtide.working import BATCH_S, READ_BATCH

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = [
    document for name in KUSTOMIZATION["resources"] for document in yaml.safe_load_all((FOLDER / name).read_text())
]
OF_KEDA = [one for one in MANIFESTS if one["apiVersion"].startswith("keda.sh/")]
OF_KUBERNETES = [one for one in MANIFESTS if one not in OF_KEDA]
DEPLOYMENTS = {one["metadata"]["name"]: one for one in MANIFESTS if one["kind"] == "Deployment"}
KNOWN = (
    {f"MAILTIDE_{name.upper()}" for name in WarmupResources.model_fields.keys() | Settings.model_fields.keys()}
    | {f"MAILTIDE_API_{name.upper()}" for name in ApiSettings.model_fields}
    | {f"WARMUP_{name.upper()}" for name in WarmupSettings.model_fields}
    | {"AWS_REGION"}
)
NEEDED = {f"MAILTIDE_{name.upper()}" for name in WarmupResources.model_fields}
VERSIONS = ("1.31", "1.34", kubernetes_validate.latest_version())


class Strict(BaseModel):
    """Takes what KEDA's documentation (2.13 and later) names, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Strict):
    name: str


class Named(Strict):
    name: str


class SqsTrigger(Strict):
    """Parameters of the scaler aws-sqs-queue: all are text."""

    queueURLFromEnv: str  # noqa: N815 - KEDA's name
    awsRegion: str  # noqa: N815 - KEDA's name
    queueLength: str = Field(default="5", pattern=r"^[1-9][0-9]*$")  # noqa: N815 - KEDA's name
    activationQueueLength: str = Field(default="0", pattern=r"^[0-9]+$")  # noqa: N815 - KEDA's name
    scaleOnInFlight: Literal["true", "false"] = "true"  # noqa: N815 - KEDA's name
    scaleOnDelayed: Literal["true", "false"] = "false"  # noqa: N815 - KEDA's name


class Trigger(Strict):
    type: Literal["aws-sqs-queue"]
    metadata: SqsTrigger
    authenticationRef: Named | None = None  # noqa: N815 - KEDA's name


class ScaledObjectSpec(Strict):
    scaleTargetRef: Named  # noqa: N815 - KEDA's name
    triggers: list[Trigger] = Field(min_length=1)
    pollingInterval: int = Field(default=30, ge=1)  # noqa: N815 - KEDA's name
    cooldownPeriod: int = Field(default=300, ge=0)  # noqa: N815 - KEDA's name
    minReplicaCount: int = Field(default=0, ge=0)  # noqa: N815 - KEDA's name
    maxReplicaCount: int = Field(default=100, ge=1)  # noqa: N815 - KEDA's name


class ScaledObject(Strict):
    apiVersion: Literal["keda.sh/v1alpha1"]  # noqa: N815 - KEDA's name
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: ScaledObjectSpec


class PodIdentity(Strict):
    provider: Literal["aws", "azure-workload", "gcp", "none"]


class TriggerAuthenticationSpec(Strict):
    podIdentity: PodIdentity  # noqa: N815 - KEDA's name


class TriggerAuthentication(Strict):
    apiVersion: Literal["keda.sh/v1alpha1"]  # noqa: N815 - KEDA's name
    kind: Literal["TriggerAuthentication"]
    metadata: Metadata
    spec: TriggerAuthenticationSpec


KEDA: dict[str, type[Strict]] = {"ScaledObject": ScaledObject, "TriggerAuthentication": TriggerAuthentication}


def name_of(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def container_of(deployment: dict[str, Any]) -> dict[str, Any]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found


COMMANDS = [
    *(pytest.param(service["command"], id=f"compose-{name}") for name, service in COMPOSE["services"].items()),
    *(pytest.param(container_of(one)["args"], id=name) for name, one in DEPLOYMENTS.items()),
]


def test_the_compose_file_is_one() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", OF_KUBERNETES, ids=name_of)
def test_a_manifest_is_what_kubernetes_takes(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_strict_means_that_a_slip_is_found() -> None:
    slip = {**DEPLOYMENTS["warmup-send"], "spec": {**DEPLOYMENTS["warmup-send"]["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(slip, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("manifest", OF_KEDA, ids=name_of)
def test_a_manifest_is_what_keda_takes(manifest: dict[str, Any]) -> None:
    KEDA[manifest["kind"]].model_validate(manifest)


def test_kustomize_agrees_where_there_is_one() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return
    made = subprocess.run([kubectl, "kustomize", str(FOLDER)], capture_output=True, text=True, check=False, timeout=60)
    assert made.returncode == 0, made.stderr
    assert len(list(yaml.safe_load_all(made.stdout))) == len(MANIFESTS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one_of_ours(command: list[str]) -> None:
    """Its help is asked for with all its words: a word that is not known would be an error."""
    ended = CliRunner().invoke(cli, [*command, "--help"])
    assert ended.exit_code == 0, ended.output
    group, context = cli, click.Context(cli)
    words = [word for word in command if re.fullmatch("[a-z]+", word)]
    found = group.get_command(context, words[0])
    assert found is not None
    if isinstance(found, click.Group):
        found = found.get_command(context, words[1])
    assert found is not None
    found.make_context("mailtide", command[2:] if words[0] == "warmup" else command[1:], resilient_parsing=False)


def test_every_role_runs_in_both() -> None:
    roles = {"plan", "dispatch", "send", "read"}
    assert COMPOSE["services"].keys() == roles | {"api"}
    assert DEPLOYMENTS.keys() == {f"warmup-{role}" for role in roles | {"api"}}
    for role in roles:
        own = COMPOSE["services"][role]["command"]
        assert own == container_of(DEPLOYMENTS[f"warmup-{role}"])["args"]
        assert own[:3] == ["warmup", "worker", role]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_is_probed_where_it_answers_and_selects_its_own_pods(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    container = container_of(deployment)
    (port,) = container["ports"]
    assert str(port["containerPort"]) == container["args"][-1]
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
        assert container[probe]["httpGet"]["path"] == ("/api/health" if name == "warmup-api" else "/")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert container["image"] == KUSTOMIZATION["images"][0]["name"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_what_is_claimed_has_the_time_to_end() -> None:
    least_s = LONGEST_SEND_S + 30
    assert least_s > VISIT_MAX_MS / 1000 + 15
    for role in ("plan", "dispatch", "send", "read"):
        pod = DEPLOYMENTS[f"warmup-{role}"]["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] >= least_s
        assert int(COMPOSE["services"][role]["stop_grace_period"].removesuffix("s")) >= least_s
    assert BATCH_S > LEAST_LEFT_S + LONGEST_SEND_S
    assert MARGIN_S >= 30


@pytest.mark.parametrize("source", ["compose", "kubernetes"])
def test_every_variable_is_a_setting_and_none_that_is_needed_is_missing(source: str) -> None:
    if source == "compose":
        lines = (ROOT / "deploy/warmup.env.example").read_text().splitlines()
        names = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    else:
        (settings,) = (one for one in MANIFESTS if one["kind"] == "ConfigMap")
        names = set(settings["data"])
        assert all(isinstance(value, str) for value in settings["data"].values())
    assert names <= KNOWN
    assert names >= NEEDED
    assert not names & OLD_NAMES.keys()


@pytest.mark.parametrize("manifest", [one for one in OF_KEDA if one["kind"] == "ScaledObject"], ids=name_of)
def test_depth_scales_what_takes_from_that_queue(manifest: dict[str, Any]) -> None:
    spec = manifest["spec"]
    target = DEPLOYMENTS[spec["scaleTargetRef"]["name"]]
    assert "replicas" not in target["spec"], "two would fight over the number"
    (trigger,) = spec["triggers"]
    role = container_of(target)["args"][2]
    assert trigger["metadata"]["queueURLFromEnv"] == f"MAILTIDE_WARMUP_{role.upper()}_QUEUE_URL"
    assert trigger["metadata"].keys() <= {
        "queueURLFromEnv",
        "queueLength",
        "awsRegion",
        "scaleOnInFlight",
        "scaleOnDelayed",
    }
    taken = {"send": WarmupSettings.model_fields["batch_size"].default, "read": READ_BATCH}
    if role in taken:
        assert int(trigger["metadata"]["queueLength"]) == taken[role]
