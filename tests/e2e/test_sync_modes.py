"""The sync modes on the deployed template, under its own rights."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from localstack.cloud import LocalCloud
from mailtide.contracts import Latest
from mailtide.database.changeset_apply import apply_file
from mailtide.runs import keys
from tests.e2e.scenario import Organisation, Wait, make_database, rows_of


@pytest.mark.parametrize("mode", ["changeset", "both"])
def test_a_run_publishes_its_changeset(
    cloud: LocalCloud, tmp_path: Path, wait_for_done: Wait, wake_watcher: Callable[[], None], mode: str
) -> None:
    organisation = Organisation(cloud, f"sync-{mode}", tmp_path)
    organisation.put_rules(f"sync: {mode}\n")
    organisation.upload(make_database(tmp_path / "a.db"))
    done = wait_for_done(organisation.name)
    assert (done.status, done.changed, done.sync) == ("published", True, mode), done.reason
    expected = organisation.expected_rows(done.as_of)
    source = organisation.read(keys.source(organisation.name))
    latest = Latest.model_validate_json(organisation.read(keys.latest(organisation.name)))
    if mode == "changeset":
        assert source == organisation.uploaded
        assert latest.file is not None
        assert rows_of(organisation.read(latest.file.key), tmp_path) == expected
    else:
        assert rows_of(source, tmp_path) == expected
    shared = {one.name: organisation.read(one.key) for one in done.shared}
    live, changeset, export = (tmp_path / name for name in ("live.db", "one.changeset", "one.parquet"))
    live.write_bytes(organisation.uploaded)
    changeset.write_bytes(shared["schedule.changeset"])
    apply_file(changeset, live)
    assert rows_of(live.read_bytes(), tmp_path) == expected
    export.write_bytes(shared["schedule.parquet"])
    assert pq.read_metadata(export).num_rows == len(expected)
    wake_watcher()
    organisation.send("plan", {"kind": "plan", "org": organisation.name, "trigger": "demand", "request_id": "again"})
    again = wait_for_done(organisation.name, count=2)
    assert (again.status, again.changed) == ("published", False)
    assert [link.run for link in latest.chain] == [done.run]
    organisation.assert_quiet()
