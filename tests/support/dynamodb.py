"""DynamoDB servers of the tests' own, and the warm-up's tables on them.

MiniStack and dynalite have exact conditions and may be used for concurrency; moto's server has not and is no part of this.
"""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
from botocore.config import Config

from localstack.processes import LOOPBACK, TETHER, free_port

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
DYNALITE = TOOLS / "dynalite" / "node_modules" / "dynalite" / "cli.js"
ENGINES = ("ministack", "dynalite")


def is_installed(engine: str) -> bool:
    if engine == "dynalite":
        return DYNALITE.exists() and shutil.which("node") is not None
    return (TOOLS / "ministack").exists() and (TOOLS / "runtime").exists()


@contextmanager
def serving(engine: str, folder: Path, **settings: str) -> Iterator[str]:
    """The URL of a server that ends with the block. settings: variables of MiniStack."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
    if engine == "dynalite":
        command = [
            str(shutil.which("node")),
            str(DYNALITE),
            "--host",
            LOOPBACK,
            "--port",
            str(port),
            "--createTableMs",
            "1",
        ]
        url, health = f"http://{LOOPBACK}:{port}", ""
    else:
        site_packages = next((TOOLS / "ministack").glob("lib/python3*/site-packages"))
        script = ROOT / "localstack" / "run_ministack.py"
        command = [str(TOOLS / "runtime/bin/python"), "-P", str(script), str(site_packages)]
        environment |= {"BIND_HOST": LOOPBACK, "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0"}
        environment |= settings
        url, health = f"http://{LOOPBACK}:{port}", "/_ministack/health"
    # A test run that is killed leaves nothing running either.
    tethered = [sys.executable, "-IS", str(TETHER), str(os.getpid()), *command]
    with (folder / f"{engine}.log").open("wb") as log:
        process = subprocess.Popen(tethered, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(url + health, process)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended at once"
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server did not start")


def client_of(url: str) -> "DynamoDBClient":
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(max_pool_connections=64, retries={"mode": "standard", "total_max_attempts": 2}),
    )


def _create(client: "DynamoDBClient", name: str, keys: dict[str, str], index: dict[str, str] | None = None) -> str:
    table = f"{name}-{uuid4().hex[:10]}"
    attributes = [*keys, *(attribute for attribute in index or {} if attribute not in keys)]
    arguments: Any = {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": attribute, "AttributeType": "S"} for attribute in attributes],
        "KeySchema": [{"AttributeName": attribute, "KeyType": kind} for attribute, kind in keys.items()],
    }
    if index:
        arguments["GlobalSecondaryIndexes"] = [
            {
                "IndexName": "by_user",
                "KeySchema": [{"AttributeName": attribute, "KeyType": kind} for attribute, kind in index.items()],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ]
    client.create_table(**arguments)
    client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    return table


def create_ledger_table(client: "DynamoDBClient") -> str:
    """As template.yaml makes it, under a new name."""
    return _create(client, "ledger", {"p": "HASH", "m": "RANGE"})


def create_reads_table(client: "DynamoDBClient") -> str:
    """Likewise."""
    return _create(client, "reads", {"p": "HASH", "m": "RANGE"})


def create_limits_table(client: "DynamoDBClient") -> str:
    """Likewise."""
    return _create(client, "limits", {"p": "HASH"})


def create_mailboxes_table(client: "DynamoDBClient") -> str:
    """Likewise, with its index by user."""
    return _create(client, "mailboxes", {"p": "HASH", "m": "RANGE"}, {"u": "HASH", "m": "RANGE"})
