"""Chunk machines and the merge machine against a bucket: the same schedule as one machine makes, or one clear failure."""

import pytest

from mailtide.machine.chunks.report import ChunkReport
from tests.integration.machine.cut_run import CutRun
from tests.integration.machine.fault_bucket import FaultBucket
from tests.integration.machine.tasks import database
from tests.support.chunks import even_borders

CONTACTS = 3_000
RULES = "daily_cap_fraction: 0.01\n"


@pytest.fixture(scope="module")
def contacts(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return database(tmp_path_factory.mktemp("invented"), CONTACTS)


@pytest.mark.parametrize("chunks", [1, 2, 3, 8, 17])
def test_a_merge_delivers_what_one_machine_delivers(bucket: FaultBucket, contacts: bytes, chunks: int) -> None:
    run = CutRun(bucket, contacts, even_borders(range(1, CONTACTS + 1), chunks), RULES)
    run.do_chunks()
    assert run.do("merge").sentence == "Delivered."
    assert run.do("whole").sentence == "Delivered."
    assert run.outcome("merge") == run.outcome("whole")
    reports = [ChunkReport.model_validate(run.manifest(task).report) for task in run.chunks]
    assert sum(report.contacts for report in reports) == CONTACTS
