"""The commands of the warm-up as a process, on MiniStack: real tables, real KMS."""

import csv
import io
import json
import shlex
from pathlib import Path
from typing import Any

import boto3
import pytest

from mailtide.adapters.kms import KmsSecrets
from mailtide.warmup.size import size_warning
from tests.integration.planning.test_handlers import CREDENTIALS, Deployed
from tests.support import forkserver
from tests.support.consoles import steps_of
from tests.support.dns_server import DnsServer
from tests.support.mail_servers import loop_thread
from tests.support.pages import PAGES

POOL = 500
"""Mailboxes of the day: as many as the first threshold."""


class Shell:
    """The installed command with the environment of a deployed warm-up."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed
        self.kms = boto3.client("kms", endpoint_url=deployed.url, **CREDENTIALS)
        self.key_id = self.kms.create_key()["KeyMetadata"]["KeyId"]
        self.environment = deployed.environment | {"MAILTIDE_SECRETS_KMS_KEY_ID": self.key_id, "COLUMNS": "200"}

    def run(self, *arguments: object, code: int = 0, both: bool = False) -> str:
        """What it said; on both streams when it failed, or if wanted."""
        done = forkserver.command(*arguments, env=self.environment)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + (done.stderr if code or both else "")


@pytest.fixture(scope="module")
def shell(ministack: str) -> Shell:
    return Shell(Deployed(ministack))


def test_the_life_of_a_pool(shell: Shell, tmp_path: Path) -> None:
    file, refused = tmp_path / "boxes.csv", tmp_path / "refused.txt"
    rows = [f"b{n},acme-{n % 5},b{n}@acme-{n % 5}.example,smtp.example,hunter2" for n in range(POOL + 2)]
    rows[7] = "b7,acme,not an address,smtp.example,hunter2"
    file.write_text("mailbox_id,user_id,address,smtp_host,password\n" + "\n".join(rows) + "\n")
    said = shell.run("mailboxes", "import", file, "--from", "2026-01-01", "--refused", refused, code=2)
    assert f"{POOL + 1} mailboxes imported, 1 line refused." in said
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
    assert f"{POOL + 1} mailboxes written" in shell.run("mailboxes", "export", copy)
    assert "exists already" in shell.run("mailboxes", "export", copy, code=2)
    assert f"{POOL + 1} mailboxes imported, 0 lines refused." in shell.run("mailboxes", "import", copy)
    kept = shell.deployed.mailboxes.get_many(["b3"])["b3"]
    assert kept == stored.model_copy(update={"status": "paused", "status_reason": "paused by a person"})

    assert "no roster yet" in shell.run("warmup", "status", code=1)
    assert "A tick is queued." in shell.run("warmup", "trigger")
    (tick,) = shell.deployed.received("plan")
    failed, log = shell.deployed.invoke("plan_warmup", tick)
    assert failed == []
    (line,) = (line for line in log.splitlines() if '"message":"roster_made"' in line)
    assert json.loads(line)["level"] == "WARNING"
    assert json.loads(line)["warnings"] == [size_warning(POOL)]
    assert shell.deployed.invoke("dispatch_shard", *shell.deployed.received("dispatch"))[0] == []
    status: dict[str, Any] = json.loads(shell.run("warmup", "status", "--json"))
    assert (status["total_mailboxes"], status["active_mailboxes"], status["shards_reporting"]) == (POOL, POOL, 3)
    assert status["planned_today"] == POOL * 30
    assert status["warnings"] == [size_warning(POOL)]
    assert (status["size_threshold_crossed"], status["shards_stale"]) == (500, 0)
    assert status["figures_age_seconds"] < 120
    said = shell.run("warmup", "status", both=True)
    for part in (f"{POOL}, {POOL} of them active", f"{POOL * 30:,} mails", " s ago; 3 of 3 shards", size_warning(POOL)):
        assert str(part) in said


def test_an_import_looks_at_new_domains_as_the_page_shows(shell: Shell, tmp_path: Path) -> None:
    """And never fails because of what it finds there, or does not."""
    file = tmp_path / "mailboxes.csv"
    owners = [("acme", 40), ("beta", 12), ("gamma", 3)]
    lines = [
        f"{owner}-{n},{owner},box{n}@{owner}.example,smtp.example,x,{600 if owner == 'acme' and n < 2 else 30}"
        for owner, count in owners
        for n in range(count)
    ]
    file.write_text("\n".join(["mailbox_id,user_id,address,smtp_host,password,max_daily", *lines]) + "\n")
    steps = [step for step in steps_of(PAGES["mailbox-checks.md"]) if "mailboxes check" not in step.command]
    with loop_thread() as loop:
        dns = DnsServer(loop)
        mx = ("gmail-smtp-in.l.google.com", "beta-example.mail.protection.outlook.com", "mx.gamma.example")
        for (owner, _), host in zip(owners, mx, strict=True):
            dns.put(f"{owner}.example", "MX", f"5 {host}.")
            dns.put(host, "A", "192.0.2.1")
            dns.text(f"{owner}.example", "v=spf1 ip4:192.0.2.0/24 -all")
            dns.text(f"_dmarc.{owner}.example", "v=DMARC1; p=none; rua=mailto:reports@acme.example")
        dns.text("beta.example", "v=spf1 include:spf.newsletter.example ~all")
        for step in steps:
            words = shlex.split(step.command.replace("mailboxes.csv", str(file)), comments=True)[1:]
            away = words[1] == "import" and "--no-dns-check" not in words
            said = shell.run(*words, *(["--resolver", f"127.0.0.1:{dns.port}"] if away else []), both=True)
            assert step.agrees(said, any_figures=True), said
        asked = sum(dns.asked.values())
        dns.close()
    assert asked > 0
    assert [step.command.split()[2] for step in steps] == ["import", "domains", "domains", "domains", "import"]
    stored = shell.deployed.mailboxes.get_many(["acme-0", "beta-0", "gamma-0"])
    assert {name: one.provider for name, one in stored.items()} == {
        "acme-0": "gmail",
        "beta-0": "microsoft",
        "gamma-0": "",
    }
    # The resolver is gone: what is known is used, and what is not known changes nothing.
    file.write_text(
        file.read_text() + "late,acme,late@acme.example,smtp.example,x,30\nnew,acme,a@new.example,smtp.example,x,30\n"
    )
    again = json.loads(shell.run("mailboxes", "import", file, "--json"))
    assert (again["imported"], again["domains"], len(again["notes"])) == (57, [], 2)
    assert shell.deployed.mailboxes.get_many(["late", "new"])["late"].provider == "gmail"


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
    done = forkserver.command(*arguments, env=environment)
    assert done.returncode != 0
    assert f"The setting {missing} is missing" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("mailboxes", "import", "/nowhere.csv"), "cannot be read"),
        (("mailboxes", "import", "/nowhere.csv", "--from", "soon"), "is no day like"),
        (("warmup", "simulate", "--outage", "noon"), "is no time of the day"),
        (("warmup", "simulate", "--users", "9999", "--mailboxes", "9999"), "are more than the 1,000,000"),
        (("warmup", "simulate", "--mails", "0"), "0 is not in the range"),
        (("warmup", "capacity", "--users", "-3"), "-3 is not in the range"),
        (("warmup", "capacity", "--send-s", "soon"), "is not a valid float"),
    ],
)
def test_bad_input_is_one_sentence(shell: Shell, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in shell.run(*arguments, code=2)


def test_capacity_and_a_small_day(shell: Shell) -> None:
    facts = json.loads(shell.run("warmup", "capacity", "--workers", "1", "--json"))
    assert (facts["mails_a_day"], facts["limits_allow"]) == (3_000_000, True)
    assert (facts["worker_mode_mails_a_day"], facts["worker_mode_mailboxes"]) == (9_600, 320)
    assert "yes" in (said := shell.run("warmup", "capacity", both=True))
    assert str(size_warning(100_000)) in said
    day = json.loads(shell.run("warmup", "simulate", "--users", "20", "--mailboxes", "2", "--mails", "5", "--json"))
    assert (day["mailboxes"], day["faults"], day["duplicates"]) == (40, [], 0)
    assert day["sent"] == day["planned"] == 40 * 5, "what was asked for, whatever the quota is"


def test_the_old_settings_by_the_command(shell: Shell) -> None:
    mode = ("warmup", "simulate", "--workers", 1, "--interval", 15, "--batch", 100, "--users", 1)
    day = json.loads(shell.run(*mode, "--mailboxes", 320, "--json"))
    assert (day["sent"], day["quotas_met"], day["mailboxes_carried"]) == (9_600, 320, 320)
    beyond = shell.run(*mode, "--mailboxes", 321, code=1)
    assert "9,600 of 9,630 planned: enough for 320 mailboxes" in beyond
    assert "mailboxes missed their quota." in beyond
