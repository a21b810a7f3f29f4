"""Runs on a machine that is kept: started instead of created, with the last version on its volume."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localstack.fly.app import Options
from localstack.fly.server import Running, running
from mailtide.adapters.s3 import COPY_PART_BYTES
from mailtide.database.blocks import BLOCK_BYTES
from mailtide.database.invented import invent_database
from mailtide.machine.kept_file import OWN_PART_BYTES
from mailtide.runs import keys
from mailtide.runs.pool.fill import deploy
from mailtide.runs.watch_orgs import sweep_machines
from mailtide.settings import SIZE_TABLE
from tests.integration.sync.kept import IMAGES, TOKEN, KeptSite
from tests.integration.sync.site import ORG, Site


@pytest.fixture(scope="module")
def fly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(Options(TOKEN, IMAGES, tmp_path_factory.mktemp("fly"), rate_per_s=None)) as started:
        yield started


def test_the_parts_of_a_publication_have_the_size_that_machines_expect() -> None:
    assert COPY_PART_BYTES == OWN_PART_BYTES


def test_a_kept_machine_fetches_all_of_it_once_and_then_what_changed(site: Site, fly: Running, tmp_path: Path) -> None:
    kept = KeptSite(site, fly, pool_machine_size=SIZE_TABLE[0].size, pool_volume_gb=1)
    (name,) = deploy(kept.services).made
    invent_database(tmp_path / "contacts.db", 500, seed=3, bad_fraction=0.01)
    site.upload(tmp_path / "contacts.db")
    with fly.faults() as faults:
        cold = kept.run()
        assert (cold.done.status, cold.launch.kept, cold.launch.machine_name) == ("published", True, name)
        assert cold.moved_bytes is None
        (standing,) = kept.cached(faults)
        published = site.fetch(keys.source(ORG), tmp_path / "published.db").read_bytes()
        assert standing.read_bytes() == published

        # A volume is not believed: a damaged copy costs its block, and no more.
        standing.write_bytes(published[:-1] + bytes([published[-1] ^ 0xFF]))
        site.day_passes()
        warm = kept.run(on_demand="warm")
        assert (warm.done.status, warm.launch.machine_name, warm.done.changed) == ("published", name, True)
        assert warm.moved_bytes is not None
        assert BLOCK_BYTES / 2 < warm.moved_bytes < len(published) / 10
        assert warm.done.cost is not None
        assert warm.done.cost.egress_usd == pytest.approx(warm.moved_bytes * 0.09 / 1e9)
        second = site.fetch(keys.source(ORG), tmp_path / "published.db").read_bytes()
        assert standing.read_bytes() == second
        assert second != published

        assert [report.action for report in sweep_machines(kept.services)] == ["emptied_machine"]
        (machine,) = kept.machines
        assert (machine.state, machine.metadata["holds"]) == ("stopped", ORG)
        (row,) = (row for row in faults.machines() if row["id"] == machine.id)
        assert "run" not in row["metadata"]
