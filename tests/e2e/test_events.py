"""The sample events, handed to the deployed functions."""

import json
from pathlib import Path

import pytest

from localstack.cloud import ROOT, LocalCloud

SAMPLES = sorted(path for path in (ROOT / "events").glob("*.json") if not path.name.startswith("api."))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_deployed_function_takes_its_sample(cloud: LocalCloud, path: Path) -> None:
    name = path.name.partition(".")[0].replace("_", "-")
    function = next(deployed for deployed in cloud.stack.functions if deployed.endswith(name))
    answer = cloud.client("lambda").invoke(FunctionName=function, Payload=path.read_bytes())
    assert answer["StatusCode"] == 200
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}
