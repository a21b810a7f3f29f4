"""`mailtide mailboxes check` as a process: real DNS, the pool on MiniStack, a mail server with TLS and logins."""

import json
import os
import shlex
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import boto3
import pytest
from pydantic import SecretStr

from mailtide.adapters.kms import KmsSecrets
from mailtide.warmup.contracts import Auth, MailServer, Ramp
from mailtide.warmup.mail_ports import Credentials
from tests.integration.planning.test_handlers import CREDENTIALS, Deployed, mailbox
from tests.support import forkserver
from tests.support.consoles import steps_of
from tests.support.dns_server import DnsServer
from tests.support.mail_servers import LOOPBACK, PASSWORD, USERNAME, RecordingServer, ScriptedServer, loop_thread
from tests.support.pages import PAGES
from tests.support.tls import Authority, make_authority

WRONG = "a password that nobody set"


@dataclass
class Bench:
    """The command with a pool, a DNS server and a mail server."""

    deployed: Deployed
    secrets: KmsSecrets
    dns: DnsServer
    smtp: RecordingServer
    authority: Authority
    environment: dict[str, str]

    def put(
        self,
        address: str,
        *,
        user_id: str = "user-1",
        password: str = PASSWORD,
        port: int | None = None,
        security: Literal["starttls", "tls", "none"] = "starttls",
        **changes: object,
    ) -> None:
        """A mailbox of the pool; its id is the address's local part."""
        name = address.partition("@")[0]
        sealed = self.secrets.seal(user_id, name, Credentials(password=SecretStr(password)))
        server = MailServer(host=LOOPBACK, port=port or self.smtp.port, security=security)
        fields: dict[str, Any] = {"mailbox_id": name, "user_id": user_id, "address": address, "smtp": server}
        auth = Auth(kind="password", username=USERNAME, sealed=sealed)
        self.deployed.mailboxes.put_many([mailbox(0).model_copy(update=fields | {"auth": auth} | changes)])

    def check(self, address: str, *arguments: str, code: int, **environment: str) -> dict[str, tuple[str, str]]:
        """Verdict and sentence by check."""
        resolver = f"{self.dns.address[0]}:{self.dns.port}"
        command = ("mailboxes", "check", address, "--resolver", resolver, "--json", *arguments)
        done = forkserver.command(*command, env=self.environment | environment)
        assert done.returncode == code, done.stdout + done.stderr
        assert not any(secret in done.stdout + done.stderr for secret in (PASSWORD, WRONG, "Traceback"))
        answer = json.loads(done.stdout)
        assert answer["broken"] == (code == 1)
        assert all(0 <= one["seconds"] < 60 for one in answer["findings"])
        assert all(bool(one["todo"]) == (one["verdict"] != "ok") for one in answer["findings"])
        return {one["check"]: (one["verdict"], one["what"]) for one in answer["findings"]}


@pytest.fixture(scope="module")
def bench(ministack: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    deployed = Deployed(ministack)
    kms = boto3.client("kms", endpoint_url=ministack, **CREDENTIALS)
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    authority = make_authority(tmp_path_factory.mktemp("tls"))
    root = authority.folder / "root.pem"
    root.write_bytes(authority.pem())
    environment = deployed.environment | {
        "MAILTIDE_SECRETS_KMS_KEY_ID": key_id,
        "SSL_CERT_FILE": str(root),
        "COLUMNS": "120",
        "WARMUP_SMTP_TIMEOUT_MS": "10000",
    }
    with loop_thread() as loop:
        dns = DnsServer(loop)
        smtp = RecordingServer(loop, security="starttls", tls=authority.server_context(LOOPBACK))
        made = Bench(deployed, KmsSecrets(kms, key_id), dns, smtp, authority, environment)
        fill(dns)
        yield made
        smtp.close()
        dns.close()


def fill(dns: DnsServer) -> None:
    """good.example is as it should be but for its keys, which no test looks at here; its provider is Google."""
    dns.put("good.example", "MX", "1 aspmx.l.google.com.")
    dns.put("aspmx.l.google.com", "A", "192.0.2.1")
    dns.text("good.example", "v=spf1 include:_spf.google.com ~all")
    dns.text("_spf.google.com", "v=spf1 ip4:192.0.2.0/24 ~all")
    dns.text("_dmarc.good.example", "v=DMARC1; p=none; rua=mailto:dmarc@good.example")
    dns.put("ms.example", "MX", "1 ms-example.mail.protection.outlook.com.")
    dns.put("ms-example.mail.protection.outlook.com", "A", "192.0.2.2")
    dns.text("ms.example", "v=spf1 ip4:192.0.2.2 -all")


def test_a_mailbox_that_is_well(bench: Bench) -> None:
    bench.put("anna@good.example")
    logins, mails = bench.smtp.record.logins, len(bench.smtp.record.mails)
    said = bench.check("anna@GOOD.example", code=0)
    assert {name: verdict for name, (verdict, _) in said.items()} == {
        "mailbox": "ok",
        "MX": "ok",
        "SPF": "ok",
        "DKIM": "warning",
        "DMARC": "ok",
        "provider": "ok",
        "provider's rules": "warning",
        "mail server": "ok",
        "login": "ok",
        "reading": "warning",
        "placement": "ok",
    }
    assert "names no IMAP server" in said["reading"][1]
    assert "Google (Workspace). 2,000 mails a day" in said["provider"][1]
    assert "Source: " in said["provider's rules"][1]
    assert (bench.smtp.record.logins, len(bench.smtp.record.mails)) == (logins + 1, mails), (
        "logged in, and nothing sent"
    )


def test_what_an_owner_must_know_of_microsoft(bench: Bench) -> None:
    bench.put("max@ms.example", status="paused", status_reason="holidays", ramp=Ramp(max_daily=31))
    said = bench.check("max@ms.example", code=0)
    assert said["mailbox"] == ("warning", "max is paused: holidays.")
    assert "December 2026" in said["way of logging in"][1]
    assert "MC786329" in said["way of logging in"][1]


def test_a_password_that_is_refused(bench: Bench) -> None:
    bench.put("wrong@good.example", password=WRONG, status="disconnected", status_reason="The credentials are refused.")
    said = bench.check("wrong@good.example", code=1)
    assert said["mailbox"] == ("broken", "wrong is disconnected: The credentials are refused.")
    assert said["mail server"][0] == "ok"
    assert said["login"][0] == "broken"
    assert "(535 5.7.8). The name or the password is wrong" in said["login"][1]


def test_a_secret_of_another_mailbox(bench: Bench) -> None:
    sealed = bench.secrets.seal("user-1", "somebody", Credentials(password=SecretStr(PASSWORD)))
    bench.put("thief@good.example")
    stored = bench.deployed.mailboxes.get_many(["thief"])["thief"]
    auth = stored.auth.model_copy(update={"sealed": sealed})
    bench.deployed.mailboxes.put_many([stored.model_copy(update={"auth": auth})])
    said = bench.check("thief@good.example", code=1)
    assert said["login"] == ("broken", "Its stored secret cannot be opened.")


class Denying(BaseHTTPRequestHandler):
    """KMS, as it answers who lacks the right."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"__type": "AccessDeniedException", "message": "not authorized"}'
        self.send_response(400)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_a_key_that_may_not_be_used(bench: Bench) -> None:
    bench.put("keyless@good.example")
    with ThreadingHTTPServer((LOOPBACK, 0), Denying) as kms:
        threading.Thread(target=kms.serve_forever, daemon=True).start()
        url = f"http://{LOOPBACK}:{kms.server_port}"
        said = bench.check("keyless@good.example", code=1, AWS_ENDPOINT_URL_KMS=url)
        kms.shutdown()
    assert said["login"][0] == "broken"
    assert "could not be opened just now (KMS refuses the key of the mailboxes' secrets " in said["login"][1]
    assert said["mail server"][0] == "ok"


def test_an_address_outside_the_pool(bench: Bench) -> None:
    said = bench.check("nobody@good.example", code=0)
    assert said["mailbox"] == ("warning", "nobody@good.example is not in the pool.")
    assert "login" not in said
    outside = dict.fromkeys((name for name in bench.environment if name.startswith("MAILTIDE_")), "")
    said = bench.check("nobody@good.example", code=0, **outside)
    assert "MAILTIDE_MAILBOXES_TABLE is not set" in said["mailbox"][1]
    said = bench.check("nobody@nowhere.example", code=1, **outside)
    assert said.keys() == {"mailbox", "MX"}
    assert said["MX"] == ("broken", "The domain nowhere.example does not exist.")


def test_a_pool_that_cannot_be_read(bench: Bench) -> None:
    said = bench.check("anna@good.example", code=1, MAILTIDE_MAILBOXES_TABLE="none-of-this-name")
    assert said["mailbox"][0] == "broken"
    assert "The pool cannot be read: " in said["mailbox"][1]
    assert said["SPF"][0] == "ok", "DNS is looked at all the same"


def test_a_server_that_does_not_prove_its_name(bench: Bench, tmp_path: Path) -> None:
    bench.put("careful@good.example")
    (tmp_path / "root.pem").write_bytes(make_authority(tmp_path).pem())
    connections, logins = bench.smtp.record.connections, bench.smtp.record.logins
    said = bench.check("careful@good.example", code=1, SSL_CERT_FILE=str(tmp_path / "root.pem"))
    assert "certificate that does not prove its name" in said["mail server"][1]
    assert "login" not in said
    assert (bench.smtp.record.connections, bench.smtp.record.logins) == (connections + 1, logins), (
        "no password is shown"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nobody",), "'nobody' is no mail address in ASCII"),
        (("a@b.example", "--resolver", "dns.example"), "'dns.example' is no resolver like"),
        (("a@b.example", "--selector", "a b"), "'a b' is no selector like"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    done = forkserver.command("mailboxes", "check", *arguments, env={"PATH": os.environ["PATH"]})
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert sentence in done.stderr


def test_the_page_typed_as_it_stands(bench: Bench) -> None:
    dns = bench.dns
    dns.put("acme.example", "MX", "1 acme-example.mail.protection.outlook.com.")
    dns.put("acme-example.mail.protection.outlook.com", "A", "192.0.2.3")
    dns.text("acme.example", "v=spf1 include:spf.newsletter.example ~all")
    dns.text("_dmarc.acme.example", "v=DMARC1; p=none; rua=mailto:dmarc@acme.example")
    dns.text("s1._domainkey.acme.example", "v=DMARC1; p=none")
    steps = [step for step in steps_of(PAGES["mailbox-checks.md"]) if "mailboxes check" in step.command]
    assert len(steps) == 4
    with loop_thread() as loop:
        server = ScriptedServer(loop, {"auth": ["535 5.7.139 Authentication unsuccessful"] * len(steps)})
        bench.put("anna@acme.example", user_id="acme", port=server.port, security="none")
        for step in steps:
            words = shlex.split(step.command, comments=True)[1:]
            if "--resolver" in words:
                place = words.index("--resolver")
                words = words[:place] + words[place + 2 :]
            done = forkserver.command(*words, "--resolver", f"{LOOPBACK}:{dns.port}", env=bench.environment)
            assert (done.returncode, done.stderr) == (1, ""), step.where
            assert step.agrees(done.stdout, any_figures=True), done.stdout
        server.close()
