"""A drawn scenario of the fault suite on the session's cloud; `make chaos` plays hundreds."""

from collections.abc import Iterator

import pytest

from localstack.cloud import LocalCloud
from localstack.fly.faults import FaultClient
from tests.chaos.check import findings
from tests.chaos.draw import draw
from tests.chaos.look import Look
from tests.chaos.play import Play
from tests.chaos.stage import Stage, staged
from tests.e2e.conftest import PARAMETERS


@pytest.fixture(scope="module")
def stage(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(cloud, tmp_path_factory.mktemp("stage"), retry_after_s=int(PARAMETERS["RetryAfterS"])) as ready:
        yield ready


@pytest.mark.parametrize("seed", [13397])
def test_a_scenario_keeps_every_promise(
    cloud: LocalCloud, stage: Stage, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with FaultClient(cloud.fly_api_url.removesuffix("/v1")) as fly:
        look = Look(cloud, fly, tmp_path_factory.mktemp("chaos"))
        scenario = draw(seed)
        facts = Play(stage, look, fly, scenario).run()
    assert findings(facts, look.scheduled, look.rows) == [], (scenario.lines(), stage.book.log)
    assert facts.struck
