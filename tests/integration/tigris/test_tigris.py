"""A bucket elsewhere, on a server that sends no events: the webhook starts a run, and watch_runs does the rest.

One server stands in for Tigris: S3 with region `auto` and keys of its own. Another is AWS: queues, tables, secrets.
The functions, the API and the machines are the real ones, as processes.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from localstack.fly.app import Options
from localstack.fly.server import running
from mailtide.contracts import Done
from mailtide.database.invented import invent_database
from mailtide.runs import keys
from tests.integration.pass_.rows import query
from tests.support import forkserver

MAILTIDE = Path(sys.executable).with_name("mailtide")
BUCKET, ORG, TABLE = "mailtide-tigris", "acme", "requests"
KEYS_SECRET = "mailtide/tigris-keys"
SOURCE = keys.source(ORG)
AWS: dict[str, Any] = {"aws_access_key_id": "aws", "aws_secret_access_key": "aws", "region_name": "us-east-1"}
TIGRIS: dict[str, Any] = {"aws_access_key_id": "tid_a", "aws_secret_access_key": "tsec_b", "region_name": "auto"}
FUNCTION_OF = {"plan": "plan_run", "launch": "launch_machine", "collect": "collect_parts", "finish": "finish_run"}


@dataclass
class Deployed:
    """Both servers and what is deployed on them."""

    aws_url: str
    s3_url: str
    fly_url: str
    folder: Path
    queues: dict[str, str] = field(default_factory=dict)
    token: str = ""
    api_url: str = ""

    def __post_init__(self) -> None:
        self.s3 = boto3.client("s3", endpoint_url=self.s3_url, **TIGRIS)
        self.sqs = boto3.client("sqs", endpoint_url=self.aws_url, **AWS)
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "auto"})  # type: ignore[typeddict-item]  # Tigris' own
        self.queues = {kind: self.sqs.create_queue(QueueName=f"t-{kind}")["QueueUrl"] for kind in FUNCTION_OF}
        boto3.client("dynamodb", endpoint_url=self.aws_url, **AWS).create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        boto3.client("secretsmanager", endpoint_url=self.aws_url, **AWS).create_secret(
            Name=KEYS_SECRET,
            SecretString=json.dumps(
                {
                    "access_key_id": TIGRIS["aws_access_key_id"],
                    "secret_access_key": TIGRIS["aws_secret_access_key"],
                }
            ),
        )
        self.token = json.loads(self.command("tokens", "add", "tigris", "--webhook", "--json"))["token"]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "AWS_ACCESS_KEY_ID": "aws",
            "AWS_SECRET_ACCESS_KEY": "aws",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.aws_url,
            "POWERTOOLS_SERVICE_NAME": "mailtide",
            "POWERTOOLS_METRICS_NAMESPACE": "Mailtide",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "MAILTIDE_BUCKET": BUCKET,
            "MAILTIDE_S3_ENDPOINT_URL": self.s3_url,
            "MAILTIDE_S3_REGION": "auto",
            "MAILTIDE_S3_CREDENTIALS_SECRET": KEYS_SECRET,
            "MAILTIDE_IDEMPOTENCY_TABLE": TABLE,
            "MAILTIDE_FLY_API_URL": self.fly_url,
            "MAILTIDE_FLY_TOKEN": "token",
            "MAILTIDE_MACHINE_IMAGE": "mailtide",
            "MAILTIDE_WATCH_STALL_S": "0",
            **{f"MAILTIDE_{kind.upper()}_QUEUE_URL": url for kind, url in self.queues.items()},
        }

    def command(self, *arguments: str) -> str:
        done = forkserver.command(*arguments, env=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def invoke(self, function: str, body: str) -> str:
        """One message given to a function; what it logged."""
        event = json.dumps({"Records": [{"messageId": "1", "body": body}]})
        done = forkserver.run("tests.support.invoke_function:main", function, env=self.environment, text=event)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == {"batchItemFailures": []}, done.stdout
        return done.stdout

    def carry_out_what_waits(self) -> int:
        """Every message of every queue to its function, as SQS would deliver them; how many there were."""
        count = 0
        for kind, url in self.queues.items():
            for message in self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                self.invoke(FUNCTION_OF[kind], message["Body"])
                count += 1
        return count

    def watch(self) -> None:
        """A minute of the watcher, and whatever it queues."""
        self.invoke("watch_runs", '{"kind":"watch"}')
        while self.carry_out_what_waits():
            pass

    def tell(
        self, key: str, etag: str, *, token: str | None = None, time_: str = "2026-11-22T02:03:04Z"
    ) -> httpx.Response:
        """What Tigris sends of a new object."""
        event = {
            "eventVersion": "1", "eventName": "OBJECT_CREATED_PUT", "eventTime": time_, "bucket": BUCKET,
            "object": {"key": key, "size": None, "eTag": etag},
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return httpx.post(
            f"{self.api_url}/api/webhooks/tigris",
            json={"events": [event]},
            headers=headers,
            trust_env=False,
            timeout=30,
        )

    def endings(self) -> list[Done]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{keys.RUNS}{ORG}/").get("Contents", [])
        names = [str(entry["Key"]) for entry in found if str(entry["Key"]).endswith("/done.json")]
        return [Done.model_validate_json(self.body(name)) for name in names]

    def body(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("tigris")
    servers = [ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False) for _ in range(2)]
    for server in servers:
        server.start()
    aws, s3 = ("http://{}:{}".format(*server.get_host_and_port()) for server in servers)
    with running(Options("token", {"mailtide": [str(MAILTIDE), "machine"]}, folder, rate_per_s=None)) as fly:
        made = Deployed(aws, s3, f"{fly.base_url}", folder)
        log = folder / "api.log"
        with log.open("wb") as file:
            api = subprocess.Popen(
                [str(MAILTIDE), "serve", "--port", "0", "--json"],
                env=made.environment | {"PYTHONUNBUFFERED": "1"}, stdout=file, stderr=file,
            )  # fmt: skip
        ends_at = time.monotonic() + 60
        while b'"url"' not in log.read_bytes():
            assert api.poll() is None, log.read_text()
            assert time.monotonic() < ends_at
            time.sleep(0.05)
        made.api_url = json.loads(log.read_text().splitlines()[0])["url"]
        yield made
        api.terminate()
        api.wait(10)
    for server in servers:
        server.stop()


def test_the_webhook_starts_a_run_and_the_watcher_ends_it(deployed: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "contacts.db"
    invent_database(path, 60, 5, 0.0)
    etag = deployed.s3.put_object(Bucket=BUCKET, Key=SOURCE, Body=path.read_bytes())["ETag"].strip('"')
    assert deployed.carry_out_what_waits() == 0, "no event comes by itself"
    assert deployed.tell(SOURCE, etag, token="mt_wrong").status_code == 401
    assert deployed.tell(SOURCE, etag).json() == {"queued": 1, "ignored": 0}
    assert deployed.carry_out_what_waits() >= 1
    ends_at = time.monotonic() + 60
    while not deployed.endings():
        assert time.monotonic() < ends_at
        time.sleep(1)
        deployed.watch()
    (done,) = deployed.endings()
    assert (done.status, done.changed, done.tries) == ("published", True, 1)
    path.write_bytes(deployed.body(SOURCE))
    assert query(path, "SELECT count(*) > 0 FROM email_schedules") == [(1,)]
    assert deployed.s3.list_objects_v2(Bucket=BUCKET, Prefix=keys.OPEN).get("Contents", []) == []

    # The delivery comes again: at once, and as an event that nobody remembers any more. And our own publication is told.
    ours = deployed.s3.head_object(Bucket=BUCKET, Key=SOURCE)["ETag"].strip('"')
    assert deployed.tell(SOURCE, etag).json() == {"queued": 1, "ignored": 0}
    assert deployed.carry_out_what_waits() == 0, "remembered"
    for told in (etag, ours):
        deployed.tell(SOURCE, told, time_=f"2026-11-22T04:00:0{len(told) % 10}Z")
    assert deployed.carry_out_what_waits() == 2
    deployed.watch()
    assert len(deployed.endings()) == 1


def test_machines_get_urls_of_that_endpoint_with_its_region(deployed: Deployed) -> None:
    found = deployed.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{keys.RUNS}{ORG}/")["Contents"]
    document = next(entry["Key"] for entry in found if entry["Key"].endswith("/task.json"))
    url = json.loads(deployed.body(document))["urls"]["source_get"]
    assert url.startswith(f"{deployed.s3_url}/{BUCKET}/{SOURCE}?")
    assert "tid_a%2F" in url
    assert "%2Fauto%2Fs3%2F" in url
