"""The commands of the warm-up as a process, on MiniStack: real tables, real KMS."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from mailtide.adapters.kms import KmsSecrets
from tests.integration.planning.test_handlers import CREDENTIALS, Deployed
from tests.support import dynamodb

MAILTIDE = Path(sys.executable).with_name("mailtide")


class Shell:
    """The installed command with the environment of a deployed warm-up."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed
        self.kms = boto3.client("kms", endpoint_url=deployed.url, **CREDENTIALS)
        self.key_id = self.kms.create_key()["KeyMetadata"]["KeyId"]
        self.environment = deployed.environment | {"MAILTIDE_SECRETS_KMS_KEY_ID": self.key_id, "COLUMNS": "200"}

    def run(self, *arguments: object, code: int = 0) -> str:
        """What it said, on both streams."""
        done = subprocess.run(
            [str(MAILTIDE), *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + (done.stderr if code else "")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    if not dynamodb.is_installed("ministack"):
        pytest.fail("MiniStack is not set up; run: make setup")
    with dynamodb.serving("ministack", tmp_path_factory.mktemp("ministack")) as url:
        yield Shell(Deployed(url))


def test_the_life_of_a_pool(shell: Shell, tmp_path: Path) -> None:
    file, refused = tmp_path / "boxes.csv", tmp_path / "refused.txt"
    rows = [f"b{n},acme-{n % 5},b{n}@acme-{n % 5}.example,smtp.example,hunter2" for n in range(60)]
    rows[7] = "b7,acme,not an address,smtp.example,hunter2"
    file.write_text("mailbox_id,user_id,address,smtp_host,password\n" + "\n".join(rows) + "\n")
    said = shell.run("mailboxes", "import", file, "--from", "2026-01-01", "--refused", refused, code=2)
    assert "59 mailboxes imported, 1 line refused." in said
    assert refused.read_text() == "line 9: address: not a mail address in ASCII (domains in other scripts as xn--…)\n"
    assert "hunter2" not in said

    stored = shell.deployed.mailboxes.get_many(["b3"])["b3"]
    secrets = KmsSecrets(shell.kms, shell.key_id)
    password = secrets.open(stored.user_id, "b3", stored.auth.sealed).password
    assert password is not None
    assert password.get_secret_value() == "hunter2"

    assert "2 mailboxes are paused." in shell.run("mailboxes", "pause", "b3", "b4")
    assert "There is no mailbox nobody." in shell.run("mailboxes", "pause", "nobody", code=2)
    paused = [json.loads(line) for line in shell.run("mailboxes", "list", "--status", "paused", "--json").splitlines()]
    assert {row["mailbox_id"] for row in paused} == {"b3", "b4"}
    assert "1 mailbox is active." in shell.run("mailboxes", "resume", "b4")

    listed = shell.run("mailboxes", "list", "--limit", "3")
    assert listed.count("@acme-") == 3

    exported = list(csv.DictReader(io.StringIO(shell.run("mailboxes", "export", "-", "--user", "acme-3"))))
    assert {row["mailbox_id"]: row["status"] for row in exported}["b3"] == "paused"
    assert "hunter2" not in str(exported)
    copy = tmp_path / "copy.csv"
    assert "59 mailboxes written" in shell.run("mailboxes", "export", copy)
    assert "exists already" in shell.run("mailboxes", "export", copy, code=2)
    assert "59 mailboxes imported, 0 lines refused." in shell.run("mailboxes", "import", copy)
    kept = shell.deployed.mailboxes.get_many(["b3"])["b3"]
    assert kept == stored.model_copy(update={"status": "paused", "status_reason": "paused by a person"})

    assert "no roster yet" in shell.run("warmup", "status", code=1)
    assert "A tick is queued." in shell.run("warmup", "trigger")
    (tick,) = shell.deployed.received("plan")
    assert shell.deployed.invoke("plan_warmup", tick)[0] == []
    assert shell.deployed.invoke("dispatch_shard", *shell.deployed.received("dispatch"))[0] == []
    status: dict[str, Any] = json.loads(shell.run("warmup", "status", "--json"))
    assert (status["total_mailboxes"], status["active_mailboxes"], status["shards_reporting"]) == (58, 58, 3)
    assert status["planned_today"] == 58 * 30
    assert "total mailboxes" in shell.run("warmup", "status")


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("MAILTIDE_BUCKET", ("warmup", "status")),
        ("MAILTIDE_MAILBOXES_TABLE", ("mailboxes", "list")),
        ("MAILTIDE_SECRETS_KMS_KEY_ID", ("mailboxes", "import", "pyproject.toml")),
        ("MAILTIDE_WARMUP_PLAN_QUEUE_URL", ("warmup", "trigger")),
    ],
)
def test_a_missing_setting_is_named(shell: Shell, missing: str, arguments: tuple[str, ...]) -> None:
    environment = {name: value for name, value in shell.environment.items() if name != missing}
    done = subprocess.run(
        [str(MAILTIDE), *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert f"The setting {missing} is missing" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("mailboxes", "import", "/nowhere.csv"), "cannot be read"),
        (("mailboxes", "import", "/nowhere.csv", "--from", "soon"), "is no day like"),
        (("warmup", "simulate", "--outage", "noon"), "is no time of the day"),
    ],
)
def test_bad_input_is_one_sentence(shell: Shell, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in shell.run(*arguments, code=2)


def test_capacity_and_a_small_day(shell: Shell) -> None:
    facts = json.loads(shell.run("warmup", "capacity", "--workers", "1", "--json"))
    assert (facts["mails_a_day"], facts["limits_allow"]) == (3_000_000, True)
    assert (facts["worker_mode_mails_a_day"], facts["worker_mode_mailboxes"]) == (9_600, 320)
    day = json.loads(shell.run("warmup", "simulate", "--users", "20", "--mailboxes", "2", "--mails", "5", "--json"))
    assert (day["mailboxes"], day["faults"], day["duplicates"]) == (40, [], 0)
    assert day["sent"] == day["planned"]
