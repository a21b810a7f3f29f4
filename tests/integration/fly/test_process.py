"""The server as a command: where it listens, what it refuses, and that nothing outlives it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from localstack.fly.__main__ import main
from localstack.fly.faults import FaultClient
from mailtide.adapters.fly import FlyClient, FlyMachineHost, RetryPolicy
from tests.integration.fly.conftest import wanted
from tests.integration.fly.processes import environment_of, eventually, group_is_over

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "localstack.fly"]
FORKER = "sleeper=/bin/sh -c 'sleep 300 & sleep 300'"


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    origin: str

    def client(self) -> FlyClient:
        return FlyClient("app", SecretStr("t"), base_url=f"{self.origin}/v1", retry=RetryPolicy(wait_jitter_s=0.2))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    port_file = tmp_path / "port"
    process = subprocess.Popen(
        [*COMMAND, "--token", "t", "--image", FORKER, "--log-dir", str(tmp_path), "--port-file", str(port_file)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        assert eventually(port_file.exists)
        yield Served(process, f"http://127.0.0.1:{port_file.read_text().strip()}")
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_and_no_directory_outlives_the_server(served: Served, number: int) -> None:
    with served.client() as client, FaultClient(served.origin) as admin:
        created = FlyMachineHost(client).create(wanted())
        client.wait(created.id, "started", timeout_s=30)
        pid = admin.machines()[0]["pid"]
    home = Path(environment_of(pid)["HOME"])
    assert home.is_dir()
    os.kill(served.process.pid, number)
    assert served.process.wait(10) == (0 if number != signal.SIGKILL else -number)
    assert eventually(lambda: group_is_over(pid))
    assert eventually(lambda: not home.parent.exists())


def test_the_rate_limit_holds_and_the_client_lives_with_it(served: Served) -> None:
    with served.client() as client, FaultClient(served.origin) as admin:
        for _ in range(5):
            assert client.machines() == []
        statuses = [row["status"] for row in admin.requests()]
    assert statuses[:4] == [200, 200, 200, 429]
    assert statuses.count(200) == 5


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--image", "no-command="], "is not NAME=COMMAND"),
        (["--image", "missing=/no/such/program"], "is not NAME=COMMAND"),
        (["--image", FORKER, "--rate-limit", "often"], "is neither off nor a number"),
        ([], "required: --image"),
    ],
)
def test_what_is_wrong_with_the_command_is_one_sentence(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--token", "t", *arguments])
    assert caught.value.code == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]


def test_a_taken_port_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--token", "t", "--image", FORKER, "--port", str(port)]) == 2
    assert capsys.readouterr().err == f"fly: cannot listen on 127.0.0.1:{port}: Address already in use\n"
