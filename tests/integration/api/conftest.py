"""The API as a process (`mailtide serve`), on MiniStack with a small pool whose day is planned and dispatched."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from mailtide.adapters.token_secret import TokenSecret
from mailtide.api.openapi import openapi_text
from tests.integration.planning.test_handlers import CREDENTIALS, Deployed, mailbox
from tests.support import dynamodb, forkserver
from tests.support.plain_http import NO_AUTHORITIES

MAILTIDE = Path(sys.executable).with_name("mailtide")
MAILBOXES = 90
SECRET = "mailtide/api-tokens"
OPERATOR = "operator"
DOCUMENT: dict[str, Any] = json.loads(openapi_text())


def operations_of(path: str) -> dict[str, Any]:
    """What the document has below the path that this one is an example of."""
    for template, operations in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            found: dict[str, Any] = operations
            return found
    return {}


def validate_answer(answer: httpx.Response) -> None:
    """Against what the OpenAPI document promises of this path, method and status."""
    operation = operations_of(answer.request.url.path).get(answer.request.method.lower())
    promised = (
        operation["responses"].get(str(answer.status_code), operation["responses"]["default"]) if operation else None
    )
    if answer.request.method == "HEAD" or answer.status_code == 303:
        assert not answer.content
        return
    kind = answer.headers["content-type"].partition(";")[0]
    if kind != "application/json":
        assert promised is not None
        assert kind in promised["content"]
        return
    schema = promised["content"][kind]["schema"] if promised else {"$ref": "#/components/schemas/ErrorAnswer"}
    checker = OAS31Validator({**schema, "components": DOCUMENT["components"]})
    checker.validate(answer.json())


class Api:
    """A running `mailtide serve`, and the command line beside it."""

    def __init__(self, deployed: Deployed, folder: Path) -> None:
        self.deployed = deployed
        sqs = deployed.sqs
        self.run_queues = {
            kind: sqs.create_queue(QueueName=f"{deployed.bucket_name}-run-{kind}")["QueueUrl"]
            for kind in ("plan", "launch", "collect", "finish")
        }
        self.environment = deployed.environment | {
            **{f"MAILTIDE_{kind.upper()}_QUEUE_URL": url for kind, url in self.run_queues.items()},
            "MAILTIDE_LIMITS_TABLE": dynamodb.create_limits_table(dynamodb.client_of(deployed.url)),
            "MAILTIDE_WARMUP_DEAD_LETTER_URLS": ",".join(self._make_dead_letters(count) for count in (0, 2)),
            "COLUMNS": "200",
        }
        self.tokens: dict[str, str] = {}
        self._log = folder / "api.log"
        self._folder = folder

    def _make_dead_letters(self, count: int) -> str:
        sqs = self.deployed.sqs
        url: str = sqs.create_queue(QueueName=f"{self.deployed.bucket_name}-dead-{count}")["QueueUrl"]
        for _ in range(count):
            sqs.send_message(QueueUrl=url, MessageBody="dead")
        return url

    def run(self, *arguments: str, code: int = 0) -> str:
        """The command line."""
        done = forkserver.command(*arguments, env=self.environment)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + (done.stderr if code else "")

    def add_token(self, name: str, *arguments: str) -> str:
        token: str = json.loads(self.run("tokens", "add", name, *arguments, "--json"))["token"]
        self.tokens[name] = token
        return token

    def add_tokens(self, subjects: dict[str, str]) -> None:
        """By name, all at once."""
        client = boto3.client("secretsmanager", endpoint_url=self.deployed.url, **CREDENTIALS)
        secret = TokenSecret(client, SECRET)
        book, version = secret.read()
        for name, subject in subjects.items():
            book, self.tokens[name] = book.add(name, subject, today=datetime.now(UTC).date())
        secret.replace(book, expected_version=version)

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(MAILTIDE), "serve", "--port", "0", "--json"],
                env=self.environment | {"PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=log,
            )
        ends_at = time.monotonic() + 30
        while b'"url"' not in self._log.read_bytes():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < ends_at
            time.sleep(0.05)
        self.url: str = json.loads(self.log.splitlines()[0])["url"]

    def stop(self) -> None:
        os.kill(self._process.pid, signal.SIGTERM)
        assert self._process.wait(10) == 0

    @property
    def log(self) -> str:
        return self._log.read_text()

    def ask(self, method: str, path: str, token: str | None = OPERATOR, **arguments: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """A request with the token of a name (or the token itself), its answer checked against the document."""
        headers = dict(arguments.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        answer = httpx.request(
            method, self.url + path, headers=headers, timeout=30, trust_env=False, verify=NO_AUTHORITIES, **arguments
        )
        validate_answer(answer)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        return answer

    def get(self, path: str, token: str | None = OPERATOR, expect: int = 200, **query: Any) -> Any:  # noqa: ANN401
        answer = self.ask("GET", path, token, params=query)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def control(self, token: str = OPERATOR, expect: int = 200, key: str | None = None, **order: str) -> Any:  # noqa: ANN401
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.ask("POST", "/api/warmup/control", token, json=order, headers=headers)
        assert answer.status_code == expect, answer.text
        return answer.json()


@pytest.fixture(scope="package")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    if not dynamodb.is_installed("ministack"):
        pytest.fail("MiniStack is not set up; run: make setup")
    folder = tmp_path_factory.mktemp("api")
    with dynamodb.serving("ministack", folder) as url:
        deployed = Deployed(url)
        deployed.mailboxes.put_many([mailbox(number) for number in range(MAILBOXES)])
        running = Api(deployed, folder)
        running.add_token(OPERATOR, "--operator")
        subjects = {"one": "user:user-1", "two": "user:user-2", "hook": "webhook"}
        running.add_tokens(subjects | {"acme": "org:acme", "harbor": "org:harbor", "nobody": "org:nobody"})
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="package")
def planned(api: Api) -> Api:
    """After a first tick of the day; after two, when one began between its planning and its end."""
    while True:
        began = time.time() // 600
        api.control(action="trigger")
        assert api.deployed.invoke("plan_warmup", *api.deployed.received("plan"))[0] == []
        assert api.deployed.invoke("dispatch_shard", *api.deployed.received("dispatch"))[0] == []
        if time.time() // 600 == began:
            return api


@pytest.fixture(scope="package")
def secrets_client(api: Api) -> Any:  # noqa: ANN401 - boto3's own
    return boto3.client("secretsmanager", endpoint_url=api.deployed.url, **CREDENTIALS)
