"""`mailtide sync pull` and `push` against a real S3 server: the same rows, few bytes, and history that always wins."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import apsw
import pytest

from mailtide.database.invented import invent_database
from mailtide.errors import InputError
from mailtide.runs import keys, lock
from mailtide.sync.pull import pull
from mailtide.sync.push import push
from tests.integration.pass_.rows import execute, fingerprint, query, schedule_of
from tests.integration.sync.days import Day, assert_same
from tests.integration.sync.site import ORG, Site
from tests.support import forkserver

SOURCE = keys.source(ORG)


@pytest.fixture
def live(site: Site, first: Day, tmp_path: Path) -> Path:
    """A local file that was pulled after the first run."""
    site.upload(first.before)
    site.run()
    path = tmp_path / "live.db"
    assert pull(site.bucket, ORG, path).way == "new"
    return path


def next_day(site: Site, name: str = "next") -> None:
    site.day_passes()
    site.run(on_demand=name)


def test_a_file_that_is_not_there_is_fetched(site: Site, live: Path, tmp_path: Path) -> None:
    assert live.read_bytes() == site.fetch(SOURCE, tmp_path / "published.db").read_bytes()
    standing = fingerprint(live)
    again = pull(site.bucket, ORG, live)
    assert (again.way, again.moved_bytes) == ("current", 0)
    assert fingerprint(live) == standing


def test_a_day_comes_as_its_changeset(site: Site, live: Path, tmp_path: Path) -> None:
    next_day(site, "one")
    next_day(site, "two")
    before = site.counting.received_bytes
    done = pull(site.bucket, ORG, live)
    assert (done.way, done.changesets) == ("changesets", 2)
    assert done.moved_bytes == sum(link.size_bytes for link in site.latest.chain[1:])
    assert site.counting.received_bytes - before < done.moved_bytes + 10_000 < done.size_bytes / 4
    assert_same(live, site.fetch(SOURCE, tmp_path / "published.db"))


def test_without_a_chain_only_the_blocks_that_differ_travel(site: Site, first: Day, tmp_path: Path) -> None:
    site.rules("sync: changeset\n")
    site.upload(first.before)
    site.run()
    live = tmp_path / "live.db"
    pull(site.bucket, ORG, live)
    next_day(site)
    site.bucket.delete(site.latest.chain[-1].key)
    history = "SELECT id FROM email_schedules WHERE status = 'pre-scheduled' ORDER BY id LIMIT 3"
    sent = tuple(row[0] for row in query(live, history))
    execute(live, f"UPDATE email_schedules SET status = 'sent' WHERE id IN {sent}")
    execute(live, "UPDATE contacts SET phone_number = '555' WHERE id = 3")
    kept = query(live, f"SELECT * FROM email_schedules WHERE id IN {sent}")
    done = pull(site.bucket, ORG, live)
    assert done.way == "blocks"
    assert done.moved_bytes < done.size_bytes / 2
    assert query(live, f"SELECT * FROM email_schedules WHERE id IN {sent}") == kept
    assert query(live, "SELECT phone_number FROM contacts WHERE id = 3") == [("555",)]
    version = site.latest.file.key if site.latest.file else SOURCE
    published = site.fetch(version, tmp_path / "published.db")
    others = "SELECT * FROM email_schedules WHERE id NOT IN {} ORDER BY id"
    assert query(live, others.format(sent)) == query(published, others.format(sent))
    assert pull(site.bucket, ORG, live).way == "current"


def test_a_file_of_before_everything_gets_the_whole_schedule(site: Site, first: Day, tmp_path: Path) -> None:
    site.upload(first.before)
    site.run()
    for name, way in (("one", "changesets"), ("other", "blocks")):
        live = Path(shutil.copyfile(first.before, tmp_path / f"{name}.db"))
        assert pull(site.bucket, ORG, live).way == way
        assert schedule_of(live) == schedule_of(site.fetch(SOURCE, tmp_path / "published.db"))
        site.bucket.delete(site.latest.chain[-1].key)
    site.bucket.delete(keys.shared(ORG, site.latest.run or "", "contacts.blocks"))
    live = Path(shutil.copyfile(first.before, tmp_path / "last.db"))
    assert pull(site.bucket, ORG, live).way == "whole"
    assert schedule_of(live) == schedule_of(site.fetch(SOURCE, tmp_path / "published.db"))


def test_what_the_bucket_knows_of_a_sent_mail_comes_too(site: Site, live: Path, tmp_path: Path) -> None:
    """Feedback was folded in there: the published history is further than this file's."""
    there = site.fetch(SOURCE, tmp_path / "there.db")
    (one,), (two,), (three,) = query(there, "SELECT id FROM email_schedules WHERE status = 'pre-scheduled' LIMIT 3")
    execute(there, f"UPDATE email_schedules SET status = 'delivered' WHERE id IN ({one}, {two}, {three})")
    execute(live, f"UPDATE email_schedules SET status = 'sent' WHERE id = {one}")
    execute(live, f"UPDATE email_schedules SET status = 'cancelled' WHERE id = {two}")
    site.upload(there)
    site.day_passes()
    site.run()
    site.bucket.delete(site.latest.chain[-1].key)
    pull(site.bucket, ORG, live)
    statuses = query(live, f"SELECT id, status FROM email_schedules WHERE id IN ({one}, {two}, {three})")
    assert dict(statuses) == {one: "delivered", two: "cancelled", three: "delivered"}


def test_a_file_in_use_is_brought_up_to_date(site: Site, live: Path, tmp_path: Path) -> None:
    next_day(site)
    application = apsw.Connection(str(live))
    application.pragma("journal_mode", "wal")
    application.execute("UPDATE email_schedules SET status = 'sent' WHERE id = 1")
    application.execute("BEGIN IMMEDIATE; UPDATE contacts SET state = 'CA' WHERE id = 1")
    with pytest.raises(InputError, match="in use by another program"):
        pull(site.bucket, ORG, live)
    application.execute("ROLLBACK")
    application.close()
    assert pull(site.bucket, ORG, live).way == "changesets"
    assert query(live, "SELECT status FROM email_schedules WHERE id = 1") == [("sent",)]
    published = site.fetch(SOURCE, tmp_path / "published.db")
    rest = "SELECT * FROM email_schedules WHERE id <> 1 ORDER BY id"
    assert query(live, rest) == query(published, rest)


@pytest.mark.usefixtures("live")
def test_there_may_be_nothing_to_pull(site: Site, first: Day, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    with pytest.raises(InputError, match="'bolt' has no database in the bucket"):
        pull(site.bucket, "bolt", new)
    # Other bytes: the same ones within the second of the first upload would be the version that was handled.
    execute(changed := Path(shutil.copyfile(first.before, tmp_path / "changed.db")), "UPDATE contacts SET state = 'CA'")
    site.upload(changed)
    with pytest.raises(InputError, match="has no schedule yet; try again when its run has ended"):
        pull(site.bucket, ORG, new)
    assert not new.exists()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Contacts, and 16 MB of somebody's pictures, so that parts can be copied."""
    path = tmp_path_factory.mktemp("large") / "contacts.db"
    invent_database(path, 300, 3, 0.0)
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE pictures (picture BLOB)")
    connection.executemany("INSERT INTO pictures VALUES (randomblob(?))", [(1_000_000,)] * 16)
    connection.close()
    return path


@pytest.mark.parametrize("mode", ["replace", "changeset"])
def test_a_push_sends_what_is_new_and_starts_a_run(site: Site, large: Path, tmp_path: Path, mode: str) -> None:
    site.rules(f"sync: {mode}\n")
    site.upload(large)
    site.run()
    live, back = tmp_path / "live.db", tmp_path / "back.db"
    pull(site.bucket, ORG, live)
    execute(live, "UPDATE email_schedules SET status = 'sent' WHERE id = 1")
    execute(live, "INSERT INTO contacts (email, state, birth_date) VALUES ('new@example.com', 'OH', '1960-01-01')")
    before = site.counting.sent_bytes
    done = push(site.services, site.parts, ORG, live)
    assert done.sent_bytes + done.copied_bytes == done.size_bytes
    assert 0 < done.sent_bytes < done.size_bytes / 2
    assert site.counting.sent_bytes - before < done.sent_bytes + 10_000
    site.fetch(SOURCE, back)
    assert back.read_bytes()[100:] == live.read_bytes()[100:]
    assert apsw.Connection(str(back)).pragma("integrity_check") == "ok"
    assert lock.owner(site.services, ORG) is None
    ended = site.run()
    assert (ended.status, ended.changed) == ("published", True)
    pull(site.bucket, ORG, live)
    assert query(live, "SELECT status FROM email_schedules WHERE id = 1") == [("sent",)]
    assert query(live, "SELECT count(*) FROM email_schedules WHERE contact_id = 301")[0][0] > 0


def test_a_push_over_a_newer_version_is_refused(site: Site, live: Path) -> None:
    next_day(site)
    standing = site.bucket.head(SOURCE)
    with pytest.raises(
        InputError, match=r"newer version of acme than the one that .* is based on; mailtide sync pull it"
    ):
        push(site.services, site.parts, ORG, live)
    assert site.bucket.head(SOURCE) == standing
    pull(site.bucket, ORG, live)
    assert standing
    assert push(site.services, site.parts, ORG, live).etag != standing.etag


def test_a_push_meets_a_run_at_work_and_an_upload_in_between(site: Site, first: Day, live: Path) -> None:
    lock.take(site.services, ORG, "a" * 20)
    with pytest.raises(InputError, match="A run of acme is at work; push again when it has ended"):
        push(site.services, site.parts, ORG, live)
    lock.release(site.services, ORG, "a" * 20)

    def upload_meanwhile(what: str, done_bytes: int, total_bytes: int) -> None:
        del what, done_bytes, total_bytes
        site.upload(first.before)

    with pytest.raises(InputError, match="got a newer version of acme meanwhile"):
        push(site.services, site.parts, ORG, live, upload_meanwhile)
    info = site.bucket.head(SOURCE)
    assert info is not None
    assert info.size_bytes == first.before.stat().st_size
    assert lock.owner(site.services, ORG) is None


def test_a_push_needs_a_base_or_nothing_there(site: Site, first: Day, live: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no schedule of acme; mailtide upload puts it in the place"):
        push(site.services, site.parts, ORG, first.before)
    local = Path(shutil.copyfile(live, tmp_path / "local.db"))
    execute(local, "INSERT INTO scheduler_runs (run_id, started_at) VALUES ('local-1', '2027-01-01T00:00:00Z')")
    with pytest.raises(InputError, match="newer version of acme than"):
        push(site.services, site.parts, ORG, local)
    done = push(site.services, site.parts, "bolt", first.before)
    assert (done.key, done.copied_bytes) == (keys.source("bolt"), 0)
    assert site.bucket.head(done.key)


def mailtide(site: Site, *arguments: object) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(site.folder),
        "AWS_ENDPOINT_URL": site.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MAILTIDE_BUCKET": site.name,
    }
    return forkserver.command(*arguments, env=environment)


def test_the_commands(site: Site, live: Path, tmp_path: Path) -> None:
    next_day(site)
    link = site.latest.chain[-1]
    copy = Path(shutil.copyfile(live, tmp_path / "copy.db"))
    pulled = mailtide(site, "sync", "pull", ORG, live)
    assert (pulled.returncode, pulled.stderr) == (0, "")
    assert pulled.stdout.startswith(f"{live} was brought up to date by changesets: 1 changeset, ")
    changeset = site.fetch(link.key, tmp_path / "one.changeset")
    facts: dict[str, Any] = json.loads(mailtide(site, "sync", "apply", changeset, copy, "--json").stdout)
    assert (facts["run"], facts["already"], facts["kept"]) == (link.run, False, 0)
    assert_same(copy, live)
    again = mailtide(site, "sync", "apply", changeset, copy)
    assert again.stdout == f"{copy} has the changes of run {link.run} already; nothing was written.\n"
    pushed = mailtide(site, "sync", "push", ORG, live, "--json")
    assert json.loads(pushed.stdout)["size_bytes"] == live.stat().st_size
    refused = mailtide(site, "sync", "push", ORG, live)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "has no schedule yet; try again when its run has ended." in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_changeset_of_another_base_is_refused_by_the_command(site: Site, first: Day, second: Day) -> None:
    live = Path(shutil.copyfile(first.before, site.folder / "live.db"))
    done = mailtide(site, "sync", "apply", second.changeset, live)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mailtide: ")
    assert "This changeset follows on run 20261121000000000000, but" in done.stderr
    assert live.read_bytes() == first.before.read_bytes()
