"""Everything that a warm-up without Lambda consists of, on a MiniStack of its own, and what each process of it uses."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from pydantic import SecretStr

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.kms import KmsSecrets
from mailtide.warmup.contracts import Auth, Mailbox, MailServer, Ramp, SendWindow
from mailtide.warmup.mail_ports import Credentials
from tests.support import dynamodb

ROOT = Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"
LONG_AGO = date(2026, 1, 1)
BOXES_OF_A_USER = 100
CREDENTIALS: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
QUEUES = ("plan", "dispatch", "send")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used, its ended children included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_S


def children() -> set[int]:
    """Ids of the processes that this one has started."""
    return {int(pid) for part in Path("/proc/self/task").iterdir() for pid in (part / "children").read_text().split()}


@dataclass
class Site:
    """Tables, queues, bucket and key on one MiniStack; the processes that were started."""

    url: str
    folder: Path
    environment: dict[str, str]
    tables: dict[str, str]
    queues: dict[str, str]
    key_id: str
    ministack_pid: int
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, *command: str, output: int | None = None) -> "subprocess.Popen[bytes]":
        """A process of the site, its output in NAME.log unless it goes elsewhere."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment | {"PATH": os.environ["PATH"]},
                stdout=output if output is not None else log,
                stderr=log,
            )
        self.processes[name] = process
        return process

    def start_worker(self, role: str, number: int = 1) -> str:
        """`mailtide warmup worker` as in the compose file, its requests counted in NAME.json. The name."""
        name = f"{role}-{number}"
        counts = str(self.folder / f"{name}.json")
        self.start(name, sys.executable, "-m", "tests.bench.warmup_counting", counts, "warmup", "worker", role)
        return name

    def counts(self, name: str) -> dict[str, Any]:
        """What a worker that has ended has counted (tests.bench.warmup_counting)."""
        counted: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        return counted

    def start_mail_server(self) -> tuple[int, Path]:
        """Its port, and the file that it writes to."""
        record = self.folder / "mails.txt"
        command = (sys.executable, "-m", "tests.bench.warmup_smtp", str(record))
        process = self.start("mail server", *command, output=subprocess.PIPE)
        assert process.stdout is not None
        return int(process.stdout.readline()), record

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each process so far."""
        running = {name: cpu_s(process.pid) for name, process in self.processes.items() if process.poll() is None}
        return {"ministack": cpu_s(self.ministack_pid), **running}

    def stop(self, names: Sequence[str], timeout_s: float = 150) -> None:
        """SIGTERM to these, and wait. AssertionError when one does not end well."""
        for name in names:
            self.processes[name].terminate()
        for name in names:
            code = self.processes[name].wait(timeout_s)
            assert code == 0, f"{name} ended with {code}; see {self.folder}"

    def close(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients have no common type
        return boto3.client(service, endpoint_url=self.url, **CREDENTIALS)  # type: ignore[call-overload]  # by its name

    def add_mailboxes(self, count: int, port: int, window: SendWindow, mails: int) -> None:
        """Fully ramped mailboxes, BOXES_OF_A_USER a user, each with its sealed password."""
        secrets = KmsSecrets(self.client("kms"), self.key_id)
        table = Table(self.tables["mailboxes"], dynamodb.client_of(self.url), ServerClock())
        ramp = Ramp(start_count=1, increase_by=5, max_daily=mails)
        server = MailServer(host=LOOPBACK, port=port, security="none")

        def make(number: int) -> Mailbox:
            user, box = divmod(number, BOXES_OF_A_USER)
            name, user_id = f"u{user}-m{box}", f"u{user}"
            sealed = secrets.seal(user_id, name, Credentials(password=SecretStr("not a secret")))
            return Mailbox(
                mailbox_id=name,
                user_id=user_id,
                address=f"m{box}@company-{user}.example",
                first_day=LONG_AGO,
                ramp=ramp,
                window=window,
                smtp=server,
                auth=Auth(kind="password", username=name, sealed=sealed),
            )

        DynamoMailboxes(table).put_many([make(number) for number in range(count)])


@contextmanager
def site(folder: Path, settings: Mapping[str, str]) -> Iterator[Site]:
    """A site that ends with the block. settings: environment variables beside the names of what is on MiniStack."""
    before = children()
    with dynamodb.serving("ministack", folder) as url:
        (ministack_pid,) = children() - before
        made = _make(url, folder, settings, ministack_pid)
        try:
            yield made
        finally:
            made.close()


def _make(url: str, folder: Path, settings: Mapping[str, str], ministack_pid: int) -> Site:
    name = f"bench-{uuid4().hex[:8]}"
    client = dynamodb.client_of(url)
    tables = {
        "mailboxes": dynamodb.create_mailboxes_table(client),
        "ledger": dynamodb.create_ledger_table(client),
        "limits": dynamodb.create_limits_table(client),
        "idempotency": f"{name}-ticks",
    }
    client.create_table(
        TableName=tables["idempotency"],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    boto3.client("s3", endpoint_url=url, **CREDENTIALS).create_bucket(Bucket=name)
    sqs = boto3.client("sqs", endpoint_url=url, **CREDENTIALS)
    queues = {kind: sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"] for kind in QUEUES}
    key_id = boto3.client("kms", endpoint_url=url, **CREDENTIALS).create_key()["KeyMetadata"]["KeyId"]
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "PYTHONUNBUFFERED": "1",
        "MAILTIDE_BUCKET": name,
        "MAILTIDE_SECRETS_KMS_KEY_ID": key_id,
        **{f"MAILTIDE_{kind.upper()}_TABLE": table for kind, table in tables.items()},
        **{f"MAILTIDE_WARMUP_{kind.upper()}_QUEUE_URL": queue for kind, queue in queues.items()},
        **settings,
    }
    return Site(url, folder, environment, tables, queues, key_id, ministack_pid)


def wait_until(moment_s: float) -> None:
    """Sleep until a moment of the wall clock."""
    time.sleep(max(0.0, moment_s - time.time()))
