"""What `make check-template` and `make audit` judge by, and the compose file of LocalStack. The tools themselves run by hand."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.aws.check import load_exceptions, unexplained
from deploy.aws.template import ROOT, load_template
from deploy.supply_chain.audit import SHIPPED, holes, is_allowed, named, refused_licences, unknown, unused_exceptions
from localstack.compose import FLY_PORT, PORT

LICENCES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/supply_chain/licences.yaml").read_text())
ALLOWED = set(LICENCES["allowed"])
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "localstack/docker-compose.yml").read_text())
LOCKS = [
    "uv.lock",
    "layers/deps/requirements.txt",
    *(f"localstack/tools/{name}.txt" for name in ("uv", "ministack", "sam")),
]
LOCKS += ["localstack/tools/check.txt", "localstack/tools/audit.txt"]
# What the template's types are called in LocalStack's SERVICES; the rest has the name of its own.
SERVICE_OF = {"serverless": "lambda"}


@pytest.mark.parametrize("check", load_exceptions())
def test_each_exception_says_why_and_for_what(check: str) -> None:
    rule = load_exceptions()[check]
    assert re.fullmatch(r"CKV2?_AWS_\d+", check)
    assert rule.keys() == {"resources", "why"}
    assert rule["why"].endswith(".")
    assert len(rule["why"]) > 40
    kinds = {body["Type"]: name for name, body in load_template()["Resources"].items()}
    for pattern in rule["resources"]:
        kind, _, name = pattern.rpartition(".")
        assert kind in kinds, pattern
        assert name == "*" or load_template()["Resources"][name]["Type"] == kind


def test_what_is_not_explained_fails_and_so_does_what_is_explained_for_nothing() -> None:
    rules = {
        "CKV_1": {"resources": ["Queue.*"], "why": "So."},
        "CKV_2": {"resources": ["Table.A", "Table.B"], "why": "So."},
    }
    found = [("CKV_1", "Queue.Plan", "says"), ("CKV_2", "Table.A", "says")]
    assert unexplained(found, rules) == ["CKV_2 Table.B: an exception for something that is not found any more"]
    found += [("CKV_2", "Table.C", "says"), ("CKV_3", "Queue.Plan", "asks")]
    assert unexplained(found, rules)[:2] == ["CKV_2 Table.C: says", "CKV_3 Queue.Plan: asks"]


@pytest.mark.parametrize(
    ("licence", "taken"),
    [
        ("MIT", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("MIT AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("MIT License; MIT No Attribution License (MIT-0)", True),
        ("MIT; GNU General Public License v3 (GPLv3)", False),
        ("MIT AND LGPL-2.1-only", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_licences(licence: str, taken: bool) -> None:
    assert is_allowed(licence, ALLOWED) is taken


def test_a_licence_that_nobody_has_allowed_is_named() -> None:
    packages = [
        {"Name": "good", "Version": "1", "License": "MIT"},
        {"Name": "certifi", "Version": "2", "License": "Mozilla Public License 2.0 (MPL 2.0)"},
        {"Name": "bad", "Version": "3", "License": "AGPL-3.0-only"},
    ]
    assert refused_licences(packages, ALLOWED, LICENCES["exceptions"]) == ["bad 3: AGPL-3.0-only"]
    assert unused_exceptions({"certifi"}, {"certifi": "MPL", "apsw": "any"}) == ["apsw"]
    assert not any("GPL" in name for name in ALLOWED)


def test_a_database_that_answers_nothing_is_no_clean_report() -> None:
    """pip-audit leaves out what the database does not know, and ends with exit code 0."""
    silent = {
        "name": "pydantic",
        "skip_reason": "Dependency not found on PyPI and could not be audited: pydantic (2.14)",
    }
    holed = {
        "name": "a",
        "version": "1",
        "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}, {"id": "X", "fix_versions": []}],
    }
    report = {"dependencies": [silent, holed, {"name": "b", "version": "2", "vulns": []}]}
    assert unknown(report) == ["pydantic"]
    assert [*holes(report)] == ["a 1: PYSEC-1, mended in 2", "a 1: X, mended in no version yet"]


def test_what_is_shipped_has_the_extras_of_its_image() -> None:
    dockerfile = (ROOT / "machine/Dockerfile").read_text()
    assert " ".join(SHIPPED["machine"]) in dockerfile
    assert SHIPPED["functions"] == ()


@pytest.mark.parametrize("lock", LOCKS)
def test_pins_are_hashed_and_name_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "file://" not in text
    assert "--index-url" not in text
    if lock.endswith(".txt"):
        blocks = re.split(r"\n(?=[\w.-]+==)", text)
        assert len(blocks) >= len(named(text)) > 0
        assert all("--hash=sha256:" in block for block in blocks if "==" in block.partition("\n")[0])
    else:
        hosts = set(re.findall(r'https?://([^/"]+)', text))
        assert hosts <= {"pypi.org", "files.pythonhosted.org"}


def test_localstack_starts_what_the_template_is_made_of() -> None:
    started = set(COMPOSE["services"]["localstack"]["environment"]["SERVICES"].split(","))
    kinds = {
        body["Type"].split("::")[1].lower() for body in load_template()["Resources"].values() if body["Type"] != BUDGET
    }
    assert started >= {SERVICE_OF.get(kind, kind) for kind in kinds}
    assert started >= {"cloudformation", "sts", "iam"}, "what SAM itself asks"


BUDGET = "AWS::Budgets::Budget"
"""Behind a condition: LocalStack's community edition has no budgets."""


def test_localstack_is_reached_where_the_parameters_say() -> None:
    service = COMPOSE["services"]["localstack"]
    assert service["ports"] == [f"127.0.0.1:{PORT}:{PORT}"], "this computer only"
    config = (ROOT / "samconfig.toml").read_text()
    assert f"FlyApiUrl=http://host.docker.internal:{FLY_PORT}/v1" in config
    assert f"MachineS3EndpointUrl=http://localhost:{PORT}" in config
    (mounted,) = (volume for volume in service["volumes"] if volume.startswith("./init:"))
    assert mounted.endswith(":/etc/localstack/init/ready.d:ro")
    assert "mailtide/fly-token" in (ROOT / "localstack/init/secrets.sh").read_text()


def test_the_compose_file_of_localstack_is_one() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", "localstack/docker-compose.yml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
