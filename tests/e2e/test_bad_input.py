"""Bad databases and rules: one clear sentence in done.json, the file untouched, the lock released, no machine left."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from localstack.cloud import LocalCloud
from tests.e2e.scenario import Organisation, Wait, make_database


def _view(path: Path) -> bytes:
    make_database(path)
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE contacts RENAME TO people")
        db.execute("CREATE VIEW contacts AS SELECT * FROM people")
    db.close()
    return path.read_bytes()


def _without_email(path: Path) -> bytes:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, state TEXT)")
    db.close()
    return path.read_bytes()


def _garbage_page(path: Path) -> bytes:
    body = bytearray(make_database(path, contacts=2_000))
    body[4096 * 5 : 4096 * 6] = b"\xa5" * 4096
    return bytes(body)


def _virtual(path: Path) -> bytes:
    with sqlite3.connect(path) as db:
        db.execute("CREATE VIRTUAL TABLE contacts USING fts5(id, email, state)")
    db.close()
    return path.read_bytes()


def _truncated(path: Path) -> bytes:
    return make_database(path, contacts=2_000)[:20_000]


BAD: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "not-a-database": (lambda _: b"Dear sir or madam, please find attached\n" * 300, "database"),
    "empty-file": (lambda _: b"", "empty"),
    "truncated": (_truncated, ""),
    "garbage-page": (_garbage_page, ""),
    "missing-column": (_without_email, "email"),
    "a-view": (_view, "view"),
    "virtual-table": (_virtual, "contacts"),
}


@pytest.fixture(scope="module")
def uploaded(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Organisation]:
    """All bad databases at once, each an organisation of its own."""
    found = {}
    for name, (make, _) in BAD.items():
        organisation = Organisation(cloud, f"bad-{name}", tmp_path_factory.mktemp(name))
        organisation.upload(make(organisation.folder / "bad.db"))
        found[name] = organisation
    return found


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_database_is_one_clear_failure(
    uploaded: dict[str, Organisation], name: str, wait_for_done: Wait, wake_watcher: Callable[[], None]
) -> None:
    organisation = uploaded[name]
    done = wait_for_done(organisation.name, between=wake_watcher)
    organisation.assert_failed(done)
    assert done.reason is not None
    assert BAD[name][1] in done.reason
    assert done.tries <= 1


def test_a_typo_in_the_rules_is_named(cloud: LocalCloud, tmp_path: Path, wait_for_done: Wait) -> None:
    organisation = Organisation(cloud, "bad-rules", tmp_path)
    organisation.put_rules("birthday_days_befor: 3\n")
    organisation.upload(make_database(tmp_path / "a.db"))
    done = wait_for_done(organisation.name)
    organisation.assert_failed(done)
    assert "birthday_days_befor" in str(done.reason)


def test_a_failed_upload_is_not_planned_again_but_the_next_one_is(
    cloud: LocalCloud, tmp_path: Path, wait_for_done: Wait, wake_watcher: Callable[[], None]
) -> None:
    organisation = Organisation(cloud, "bad-then-good", tmp_path)
    organisation.upload(b"x" * 5000)
    organisation.assert_failed(wait_for_done(organisation.name))
    wake_watcher()
    organisation.upload(make_database(tmp_path / "good.db"))
    done = wait_for_done(organisation.name, count=2, between=wake_watcher)
    organisation.assert_published(done)
    assert [ending.status for ending in organisation.endings()] == ["failed", "published"]
