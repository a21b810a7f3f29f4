"""One server a session, one app a test, and a client whose every exchange is judged by the specification."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from localstack.fly.app import Options
from localstack.fly.faults import FaultClient
from localstack.fly.server import Running, running
from mailtide.adapters.fly import FlyClient, FlyMachineHost, RetryPolicy, Timeouts
from mailtide.machines import MachineRequest, MachineSize
from tests.integration.fly.judge import JudgingTransport

TOKEN = "FlyV1 fm2_secret-of-the-tests"
IMAGES = {
    "echo": ["/bin/sh", "-c", 'echo "$GREETING"; exit "${CODE:-0}"'],
    "sleeper": ["/bin/sleep", "300"],
    "forker": ["/bin/sh", "-c", "sleep 300 & sleep 300"],
    "hungry": ["/bin/sh", "-c", 'tail -c 700m /dev/zero | tail -n 1 > /dev/null; exit "$?"'],
}
SMALL = MachineSize(cpu_kind="shared", cpus=1, memory_mb=1024)
LARGE = MachineSize(cpu_kind="performance", cpus=2, memory_mb=4096)
QUICK = RetryPolicy(attempts=4, timeout_s=10, wait_initial_s=0.02, wait_max_s=0.1, wait_jitter_s=0.02)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(Options(TOKEN, IMAGES, tmp_path_factory.mktemp("fly-logs"), rate_per_s=None)) as started:
        yield started


@pytest.fixture(scope="session")
def planter(server: Running) -> Iterator[FaultClient]:
    with server.faults() as client:
        yield client


@pytest.fixture
def faults(planter: FaultClient) -> Iterator[FaultClient]:
    yield planter
    planter.remove()


@pytest.fixture(scope="session")
def transport() -> Iterator[JudgingTransport]:
    judge = JudgingTransport()
    yield judge
    judge.shut()
    assert judge.exchanges > 0


@pytest.fixture
def client(server: Running, transport: JudgingTransport) -> Iterator[FlyClient]:
    with FlyClient(
        f"app-{secrets.token_hex(4)}",
        SecretStr(TOKEN),
        base_url=server.base_url,
        timeouts=Timeouts(read_s=10),
        retry=QUICK,
        transport=transport,
    ) as made:
        yield made
        for machine in made.machines():
            made.destroy(machine.id, force=True)


@pytest.fixture
def impatient(server: Running, client: FlyClient, transport: JudgingTransport) -> FlyClient:
    """A second client of the same app that waits for no answer longer than a moment."""
    timeouts = Timeouts(read_s=0.3)
    return FlyClient(
        client.app,
        SecretStr(TOKEN),
        base_url=server.base_url,
        timeouts=timeouts,
        retry=QUICK,
        transport=transport,
    )


@pytest.fixture
def host(client: FlyClient) -> FlyMachineHost:
    return FlyMachineHost(client)


@pytest.fixture
def own_requests(faults: FaultClient, client: FlyClient) -> Callable[[str], list[dict[str, object]]]:
    """The requests of this test's app with the given action, oldest first."""

    def select(action: str) -> list[dict[str, object]]:
        rows = [row for row in faults.requests() if f"/apps/{client.app}/" in row["path"]]
        return [row for row in rows if row["action"] == action]

    return select


@pytest.fixture
def log_of(faults: FaultClient) -> Callable[[str], str]:
    def read(machine_id: str) -> str:
        row = next(row for row in faults.machines() if row["id"] == machine_id)
        return Path(row["log"]).read_text()

    return read


def wanted(image: str = "sleeper", name: str = "task-1", **changes: object) -> MachineRequest:
    """A request for one small machine in iad; any field can be changed."""
    fields: dict[str, object] = {
        "name": name,
        "regions": ("iad",),
        "sizes": (SMALL,),
        "image": image,
        "env": {"GREETING": "hello"},
        "metadata": {"run": "r1", "task": name},
    }
    return MachineRequest.model_validate(fields | changes)
