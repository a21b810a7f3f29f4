"""The commands of the page about kept machines, typed as they stand."""

from pathlib import Path

from localstack.fly.server import Running
from mailtide.adapters.fly import FlyClient
from tests.integration.fly.conftest import TOKEN
from tests.support.consoles import base_env, play, shim
from tests.support.pages import FLY, steps_at


def test_the_page_typed_as_it_stands(client: FlyClient, server: Running, tmp_path: Path) -> None:
    own = {
        "MAILTIDE_FLY_APP": client.app,
        "MAILTIDE_FLY_TOKEN": TOKEN,
        "MAILTIDE_FLY_API_URL": server.base_url,
        "MAILTIDE_MACHINE_IMAGE": "sleeper",
        "MAILTIDE_POOL_SIZE": "2",
    }
    with shim(tmp_path) as command:
        play(steps_at(FLY, "fly.md"), tmp_path, base_env(command) | own)
    assert {machine.state for machine in client.machines()} <= {"created", "stopped", "stopping"}
