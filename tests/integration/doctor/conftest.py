"""The real template on MiniStack, its functions empty, beside the local Fly server and a registry: one for the folder."""

import io
import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest

from localstack.fly.app import Options
from localstack.fly.server import running
from localstack.left_out import apply_what_is_left_out
from mailtide.adapters.s3 import S3Bucket
from mailtide.contracts import Latest
from mailtide.runs import keys, store
from tests.support import dynamodb, forkserver

ROOT = Path(__file__).resolve().parents[3]
CREDENTIALS: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
TOKEN = "FlyV1 fm2_secret-of-the-doctor"
TOKEN_SECRET = "mailtide/fly-token"
DIGEST = "sha256:" + "5f" * 32


class Registry(ThreadingHTTPServer):
    """Tells whether it has a manifest, as the OCI distribution protocol has it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.digests = {DIGEST}


class _Answer(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        assert isinstance(self.server, Registry)
        known = any(self.path == f"/v2/mailtide/manifests/{digest}" for digest in self.server.digests)
        assert "Authorization" not in self.headers, "Fly's token is for Fly alone"
        self.send_response(200 if known else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        del arguments


@dataclass
class Site:
    """The deployment, and the command that looks at it."""

    url: str
    registry: Registry
    resources: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's own
        make: Callable[..., Any] = boto3.client
        return make(service, endpoint_url=self.url, **CREDENTIALS)

    @cached_property
    def s3(self) -> Any:  # noqa: ANN401
        return self.client("s3")

    @property
    def bucket(self) -> S3Bucket:
        return S3Bucket(self.resources["Bucket"], self.s3)

    def run(self, *arguments: str, **environment: str) -> Any:  # noqa: ANN401 - a completed process
        env = {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MAILTIDE_BUCKET": self.resources["Bucket"],
        }
        done = forkserver.command(*arguments, env={name: value for name, value in (env | environment).items() if value})
        assert "Traceback" not in done.stderr, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done

    def doctor(self, **environment: str) -> tuple[int, list[dict[str, str]]]:
        """Exit code and findings."""
        done = self.run("doctor", "--json", "--time-limit", "120", **environment)
        return done.returncode, json.loads(done.stdout)["findings"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not dynamodb.is_installed("ministack"):
        pytest.fail("MiniStack is not set up; run: make setup")
    folder, logs, registry = tmp_path_factory.mktemp("doctor"), tmp_path_factory.mktemp("fly"), Registry()
    Thread(target=registry.serve_forever, daemon=True).start()
    with (
        running(Options(TOKEN, {}, logs, rate_per_s=None)) as fly,
        dynamodb.serving("ministack", folder, AUTH="true") as url,
    ):
        made = Site(url, registry)
        _deploy(made, fly.base_url)
        apply_what_is_left_out(made.client, made.resources)
        _fill(made)
        yield made
    registry.shutdown()


def _deploy(site: Site, fly_url: str) -> None:
    """The template as it is, but for the code of its functions."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return {}\n")
    text = re.sub(r"(CodeUri|ContentUri): (functions|layers)/\w+", r"\1: s3://artifacts/empty.zip", _template_text())
    site.s3.create_bucket(Bucket="artifacts")
    site.s3.put_object(Bucket="artifacts", Key="empty.zip", Body=code.getvalue())
    site.s3.put_object(Bucket="artifacts", Key="template.yaml", Body=text.encode())
    site.client("secretsmanager").create_secret(Name=TOKEN_SECRET, SecretString=TOKEN)
    image = f"127.0.0.1:{site.registry.server_address[1]}/mailtide@{DIGEST}"
    given = {"FlyApiUrl": fly_url, "FlyTokenSecret": TOKEN_SECRET, "MachineImage": image}
    stacks = site.client("cloudformation")
    stacks.create_stack(
        StackName="mailtide",
        TemplateURL=f"{site.url}/artifacts/template.yaml",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
    )
    ends_at_s = time.monotonic() + 60
    while (status := stacks.describe_stacks(StackName="mailtide")["Stacks"][0]["StackStatus"]) != "CREATE_COMPLETE":
        assert time.monotonic() < ends_at_s, status
        time.sleep(0.1)
    told = stacks.describe_stack_resources(StackName="mailtide")["StackResources"]
    site.resources = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in told}


def _template_text() -> str:
    return (ROOT / "template.yaml").read_text()


def _fill(site: Site) -> None:
    """Three organisations whose runs are up to date."""
    # Without events: the functions here do nothing with them.
    site.s3.put_bucket_notification_configuration(Bucket=site.bucket.name, NotificationConfiguration={})
    for org in ("acme", "harbor", "lakeside"):
        site.bucket.create(keys.source(org), b"a database")
        leave_latest(site, org, datetime.now(UTC).date() + timedelta(days=1))
    turn_events_on(site)


def leave_latest(site: Site, org: str, as_of: date, **changes: Any) -> None:  # noqa: ANN401 - fields of Latest
    source = store.read_source(site.bucket, org)
    latest = Latest(run="a" * 20, status="published", source=source, as_of=as_of)
    body = latest.model_copy(update=changes).to_bytes()
    site.s3.put_object(Bucket=site.bucket.name, Key=keys.latest(org), Body=body)


def turn_events_on(site: Site) -> None:
    site.s3.put_bucket_notification_configuration(
        Bucket=site.bucket.name, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
