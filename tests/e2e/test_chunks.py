"""A run on several machines on the deployed template: three chunks and a merge, and the rows of a single machine."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localstack.cloud import LocalCloud
from localstack.fly import faults
from localstack.fly.faults import FaultClient
from mailtide.contracts import Calibration, Plan
from mailtide.runs import keys
from tests.e2e.scenario import Organisation, Wait, make_database

CONTACTS = 12_000
IN_CHUNKS = {
    "MAILTIDE_CHUNKING": "always",
    "MAILTIDE_CHUNK_FROM_CONTACTS": "2",
    "MAILTIDE_CHUNK_CONTACTS": "150",
    "MAILTIDE_MAX_CHUNKS": "3",
}
TASKS = ["chunk-0001", "chunk-0002", "chunk-0003", "merge"]


@pytest.fixture
def organisation(cloud: LocalCloud, tmp_path: Path, request: pytest.FixtureRequest) -> Organisation:
    return Organisation(cloud, request.node.name.removeprefix("test_").replace("_", "-")[:60].rstrip("-"), tmp_path)


@pytest.fixture(autouse=True)
def _planned_in_chunks(cloud: LocalCloud) -> Iterator[None]:
    """While these tests run, plan_run cuts every database into chunks: a setting of that function alone."""
    with planned_with(cloud, IN_CHUNKS):
        yield


@contextmanager
def planned_with(cloud: LocalCloud, settings: dict[str, str]) -> Iterator[None]:
    functions = cloud.client("lambda")
    name = next(function for function in cloud.stack.functions if "plan-run" in function)
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": before | settings})
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": before})


def test_three_chunks_and_a_merge_make_the_rows_of_one_machine(organisation: Organisation, wait_for_done: Wait) -> None:
    organisation.upload(make_database(organisation.folder / "a.db", contacts=CONTACTS))
    done = wait_for_done(organisation.name)
    organisation.assert_published(done)
    plan = Plan.model_validate_json(organisation.read(keys.plan(organisation.name, done.run)))
    assert [task.task for task in plan.tasks] == TASKS
    counts = [(task.last_id or CONTACTS) - (task.first_id or 1) + 1 for task in plan.tasks[:-1]]
    assert sum(counts) == CONTACTS
    assert all(abs(count - 4_000) <= 200 for count in counts)
    assert [(use.task, use.attempt) for use in done.machines] == [(task, 1) for task in TASKS]
    assert len({use.launch.machine_id for use in done.machines}) == 4
    assert done.cost is not None
    assert done.cost.machine_usd == pytest.approx(sum(use.usd for use in done.machines))
    moments = [step.at for step in done.steps]
    assert moments[1:] == sorted(moments[1:])
    measured = Calibration.model_validate_json(organisation.read(keys.CALIBRATION))
    kinds = {sample.kind for machine in measured.machines for sample in machine.samples}
    assert {"chunk", "merge"} <= kinds
    assert any(machine.contacts_per_s("merge") for machine in measured.machines)


def test_a_chunk_whose_machine_dies_gets_another(
    organisation: Organisation, wait_for_done: Wait, wake_watcher: Callable[[], None]
) -> None:
    of_it = {"org": organisation.name}
    with FaultClient(organisation.cloud.fly_api_url.removesuffix("/v1")) as fly:
        planted = fly.plant(faults.CrashOnBoot(metadata=of_it | {"task": "chunk-0002"}))
        organisation.upload(make_database(organisation.folder / "a.db", contacts=600))
        done = wait_for_done(organisation.name, between=wake_watcher)
        fly.remove(planted)
    organisation.assert_published(done)
    assert Counter(use.task for use in done.machines) == Counter(TASKS) + Counter(["chunk-0002"])
    assert done.tries == 2
