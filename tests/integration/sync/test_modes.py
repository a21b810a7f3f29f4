"""What the three sync modes publish, run after run, on a real S3 server."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mailtide.contracts import FinishMessage
from mailtide.database.changeset_apply import apply_file
from mailtide.runs import keys, store
from mailtide.runs.finish import finish_run
from tests.integration.pass_.rows import query
from tests.integration.sync.days import Day, assert_same
from tests.integration.sync.site import ORG, Site

SOURCE = keys.source(ORG)


def test_replace_leaves_the_changes_of_a_day_beside_the_database(site: Site, first: Day, tmp_path: Path) -> None:
    site.upload(first.before)
    begun = site.run()
    site.day_passes()
    before = site.fetch(SOURCE, tmp_path / "live.db")
    done = site.run(on_demand="next")
    assert [shared.name for shared in done.shared] == ["contacts.blocks", "schedule.changeset", "schedule.parquet"]
    assert (begun.sync, done.sync, done.changed) == ("replace", "replace", True)
    assert [link.run for link in site.latest.chain] == [begun.run, done.run]
    assert site.latest.chain[-1].previous_run == begun.run == site.latest.chain[0].run
    assert (site.latest.written_by, site.latest.file) == (done.run, None)
    for shared in done.shared:
        info = site.bucket.head(shared.key)
        assert info is not None
        assert (info.etag, info.size_bytes) == (shared.etag, shared.size_bytes)
    changeset = site.fetch(keys.shared(ORG, done.run, "schedule.changeset"), tmp_path / "changes")
    apply_file(changeset, before)
    assert_same(before, site.fetch(SOURCE, tmp_path / "published.db"))
    export = site.fetch(keys.shared(ORG, done.run, "schedule.parquet"), tmp_path / "schedule.parquet")
    planned = "SELECT count(*) FROM email_schedules WHERE status IN ('pre-scheduled', 'skipped')"
    assert pq.read_metadata(export).num_rows == query(before, planned)[0][0]


def test_changeset_never_touches_the_database_and_goes_on_from_what_it_published(
    site: Site, first: Day, tmp_path: Path
) -> None:
    site.rules("sync: changeset\n")
    site.upload(first.before)
    uploaded = site.bucket.head(SOURCE)
    live = Path(shutil.copyfile(first.before, tmp_path / "live.db"))
    waiting = []
    for number in range(3):
        done = site.run(on_demand=f"day-{number}" if number else None)
        assert (done.status, done.changed, done.sync, done.published_etag) == ("published", True, "changeset", None)
        assert site.bucket.head(SOURCE) == uploaded
        key = keys.shared(ORG, done.run, "schedule.changeset")
        waiting.append(site.fetch(key, tmp_path / f"{number}.changeset"))
        site.day_passes()
    file = site.latest.file
    assert file is not None
    assert list(site.keys_below(keys.published_folder(ORG))) == [file.key]
    # The application was away for two days: it applies what it missed, in order.
    for changeset in waiting:
        apply_file(changeset, live)
    assert_same(live, site.fetch(file.key, tmp_path / "published.db"))
    assert not store.read_done(site.bucket, ORG, "0" * 20)
    same = site.run(on_demand="same-day-again")
    again = site.run(on_demand="same-day-again-2")
    assert (again.changed, again.status, site.latest.file) == (False, "published", site.latest.file)
    assert same.changed
    assert site.memory.queues.waiting == [] or all(
        envelope.message.kind != "plan" for envelope in site.memory.queues.waiting
    )


def test_an_upload_is_a_new_beginning(site: Site, first: Day, second: Day, tmp_path: Path) -> None:
    site.rules("sync: changeset\n")
    site.upload(first.before)
    site.run()
    old = site.latest.file
    assert old is not None
    site.day_passes()
    site.upload(second.before)
    plan = site.plan()
    assert plan.file is None
    site.work(plan)
    done = site.finish(plan)
    link = site.latest.chain[-1]
    assert (link.run, link.previous_run) == (done.run, query(second.before, "SELECT run_id FROM scheduler_runs")[0][0])
    live = Path(shutil.copyfile(second.before, tmp_path / "live.db"))
    apply_file(site.fetch(link.key, tmp_path / "changes"), live)
    file = site.latest.file
    assert file is not None
    assert_same(live, site.fetch(file.key, tmp_path / "published.db"))
    assert list(site.keys_below(keys.published_folder(ORG))) == [file.key]


def test_both_replaces_and_names_the_changeset(site: Site, first: Day, tmp_path: Path) -> None:
    site.rules("sync: both\n")
    site.upload(first.before)
    done = site.run()
    info = site.bucket.head(SOURCE)
    assert info is not None
    assert (done.sync, done.published_etag, site.latest.file) == ("both", info.etag, None)
    live = Path(shutil.copyfile(first.before, tmp_path / "live.db"))
    apply_file(site.fetch(keys.shared(ORG, done.run, "schedule.changeset"), tmp_path / "changes"), live)
    assert_same(live, site.fetch(SOURCE, tmp_path / "published.db"))


@pytest.mark.parametrize("mode", ["replace", "changeset"])
def test_a_superseded_run_leaves_nothing(site: Site, first: Day, second: Day, mode: str) -> None:
    site.rules(f"sync: {mode}\n")
    site.upload(first.before)
    plan = site.plan()
    site.work(plan)
    site.upload(second.before)
    done = site.finish(plan)
    assert (done.status, done.shared) == ("superseded", ())
    assert list(site.keys_below(keys.CHANGES, keys.EXPORTS, keys.published_folder(ORG))) == []
    assert site.latest.run is None


def test_what_latest_names_stays_published_though_the_source_is_replaced_at_once(
    site: Site, first: Day, second: Day
) -> None:
    """finish_run dies after latest.json; the customer uploads; the run is published all the same, and the upload waits."""
    site.rules("sync: changeset\n")
    site.upload(first.before)
    plan = site.plan()
    site.work(plan)
    done = site.finish(plan)
    site.bucket.delete(keys.done(ORG, plan.run))
    site.upload(second.before)
    finish_run(site.services, FinishMessage(org=ORG, run=plan.run))
    again = store.read_done(site.bucket, ORG, plan.run)
    assert again is not None
    assert (again.status, again.shared) == ("published", done.shared)
    assert {shared.key for shared in done.shared} == set(site.keys_below(keys.CHANGES, keys.EXPORTS))


def test_a_mode_that_changes_keeps_the_schedule(site: Site, first: Day, tmp_path: Path) -> None:
    site.rules("sync: changeset\n")
    site.upload(first.before)
    site.run()
    live = Path(shutil.copyfile(first.before, tmp_path / "live.db"))
    apply_file(site.fetch(site.latest.chain[-1].key, tmp_path / "changes-1"), live)
    site.rules("sync: both\n")
    site.day_passes()
    site.run(on_demand="next")
    assert site.latest.file is None
    assert list(site.keys_below(keys.published_folder(ORG))) == []
    apply_file(site.fetch(site.latest.chain[-1].key, tmp_path / "changes-2"), live)
    assert_same(live, site.fetch(SOURCE, tmp_path / "published.db"))
