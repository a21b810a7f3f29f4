"""`mailtide` as a process, against moto's S3 and SQS on a free port."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.support import forkserver

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

BUCKET = "mailtide-cli"


@dataclass(frozen=True, slots=True)
class Done:
    """How a call ended."""

    code: int
    out: str
    err: str

    def facts(self) -> Any:  # noqa: ANN401 - whatever JSON it is
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass
class Shell:
    """Calls the installed command with exactly this environment."""

    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: object, without: tuple[str, ...] = (), **changes: str) -> Done:
        environment = {name: value for name, value in (self.environment | changes).items() if name not in without}
        done = forkserver.command(*arguments, env=environment, timeout_s=90)
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@cache
def session() -> boto3.Session:
    """One for all clients: each new one reads the services' models anew."""
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")


@pytest.fixture
def s3(moto_url: str) -> Iterator["S3Client"]:
    client = session().client("s3", endpoint_url=moto_url)
    client.create_bucket(Bucket=BUCKET)
    yield client
    for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def sqs(moto_url: str) -> "SQSClient":
    return session().client("sqs", endpoint_url=moto_url)


@pytest.fixture
def shell(moto_url: str, s3: "S3Client", sqs: "SQSClient", tmp_path: Path) -> Shell:
    assert s3.head_bucket(Bucket=BUCKET)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MAILTIDE_BUCKET": BUCKET,
        "MAILTIDE_PLAN_QUEUE_URL": sqs.create_queue(QueueName="plan")["QueueUrl"],
    }
    return Shell(environment)
