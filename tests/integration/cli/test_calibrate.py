"""`mailtide calibrate --store` against a bucket, and `mailtide plan --measured` with what it kept."""

import pytest

from mailtide.contracts import Calibration
from mailtide.runs import keys
from tests.integration.cli.conftest import BUCKET, Shell, session


@pytest.fixture
def stored(shell: Shell, moto_url: str) -> Calibration:
    """What a short measurement left in the bucket."""
    facts = shell.run(
        *("calibrate", "--contacts", 10_000, "--rounds", 1, "--chunks", 3, "--threads", 1),
        *("--machine", "performance-4x", "--store", "--json"),
    ).facts()
    assert facts["stored"] is True
    assert facts["transfer"]["bytes_per_s"] > 0
    assert {task["kind"] for task in facts["tasks"]} == {"whole", "chunk", "merge"}
    assert 0 < facts["bytes_per_contact"]["candidates"] < 30
    s3 = session().client("s3", endpoint_url=moto_url)
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="calibration/")["Contents"]
    assert [entry["Key"] for entry in listed] == [keys.CALIBRATION], "the probe is gone"
    return Calibration.model_validate_json(s3.get_object(Bucket=BUCKET, Key=keys.CALIBRATION)["Body"].read())


def test_what_is_stored_is_planned_with(shell: Shell, stored: Calibration) -> None:
    (machine,) = stored.machines
    assert machine.size.cpus == 4
    assert {sample.kind for sample in machine.samples} == {"whole", "chunk", "merge"}
    assert machine.boot_s is None
    measured = shell.run("plan", "--contacts", 600_000, "--measured", "--json").facts()
    by_settings = shell.run("plan", "--contacts", 600_000, "--json").facts()
    assert measured["expected_s"] != by_settings["expected_s"]


def test_without_a_bucket_nothing_is_stored(shell: Shell) -> None:
    done = shell.run("calibrate", "--store", without=("MAILTIDE_BUCKET",))
    assert done.code == 2
    assert "MAILTIDE_BUCKET is missing" in done.err
    done = shell.run("calibrate", "--machine", "performance-3x")
    assert done.code == 2
    assert "The size table has no performance-3x" in done.err
