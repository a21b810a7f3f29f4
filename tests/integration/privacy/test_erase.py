"""`mailtide orgs erase` against a real server: afterwards no byte of any version of anything names the person."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mailtide.adapters.clock import SystemClock
from mailtide.adapters.s3 import S3Bucket
from mailtide.adapters.s3_versions import VersionedS3Bucket
from mailtide.contracts import ChangesetLink, Latest, Lock, PublishedFile
from mailtide.errors import MailtideError
from mailtide.privacy.erase import Erasure, erase_person
from mailtide.runs import keys
from tests.integration.pass_.rows import execute, query
from tests.integration.privacy.conftest import ANN, BOB, JOANN, KEY, RUN, Bucket, make_database
from tests.support.memory_services import MemoryServices

SOURCE, FOLDER = keys.source("acme"), keys.feedback("acme")
TRY = keys.TryKeys("acme", RUN, "whole", 1)
LINES = [
    {"state": "sent", "contact_id": 1, "email_type": "birthday", "event_date": "2026-12-05", "at": "2026-11-21"},
    {"state": "sent", "idempotency_key": KEY.upper(), "at": "2026-11-21"},
    {"state": "unsubscribed", "email": ANN.upper()},
    {"state": "clicked", "contact_id": "4", "at": "2026-11-21"},
    {"state": "clicked", "contact_id": 2, "at": "2026-11-21", "by": JOANN},
    {"state": "answered", "contact_id": 2, "at": "2026-11-21", "metadata": {"referred_by": f"<{ANN}>"}},
]


@pytest.fixture
def full(acme: Bucket, tmp_path: Path) -> Bucket:
    """Everything that an organisation may have, all of it about Ann."""
    database = acme.body(SOURCE)
    acme.put(f"{FOLDER}a.jsonl", "".join(f"{json.dumps(line)}\n" for line in LINES).encode())
    acme.put(f"{FOLDER}b.csv", f'state,email,note\nunsubscribed,{ANN},"two\nlines"\nunsubscribed,{BOB},x\n'.encode())
    acme.put(f"{FOLDER}c.jsonl", json.dumps(LINES[4]).encode())
    for key in (
        TRY.delivered("contacts.db"), TRY.delivered("candidates.bin"), keys.published("acme", RUN),
        keys.shared("acme", RUN, "schedule.changeset"), keys.shared("acme", RUN, "schedule.parquet"),
    ):  # fmt: skip
        acme.put(key, database)
        acme.put(key, database + b" ")
    acme.put(TRY.manifest, b"{}")
    link = ChangesetLink(run=RUN, previous_run=None, key=keys.shared("acme", RUN, "schedule.changeset"), size_bytes=1)
    file = PublishedFile(run=RUN, key=keys.published("acme", RUN), etag="e", size_bytes=1)
    acme.put(keys.latest("acme"), Latest(run=RUN, status="published", file=file, chain=(link,)).to_bytes())
    path = tmp_path / "b.db"
    path.write_bytes(database)
    execute(path, f"UPDATE contacts SET agent = 'x{'y' * 3000}' WHERE id = 2; DELETE FROM contacts WHERE id = 4")
    acme.put(SOURCE, path.read_bytes())
    make_database(path)
    etag = acme.s3.head_object(Bucket="mailtide-versions", Key=f"{FOLDER}a.jsonl")["ETag"].strip('"')
    execute(
        path,
        "CREATE TABLE scheduler_feedback (file TEXT, etag TEXT, PRIMARY KEY (file, etag));"
        f"INSERT INTO scheduler_feedback VALUES ('a.jsonl', '{etag}')",
    )
    acme.put(SOURCE, path.read_bytes())
    return acme


def rows_of(bucket: Bucket, folder: Path, sql: str) -> list[Any]:
    path = folder / "look.db"
    path.write_bytes(bucket.body(SOURCE))
    return query(path, sql)


def test_nothing_of_the_person_is_left_and_all_of_the_others(full: Bucket, tmp_path: Path) -> None:
    assert ANN.encode() in full.everything().lower()
    done = full.json("orgs", "erase", "acme", "--contact", f" {ANN.title()} ")
    assert (done["contacts"], done["left"]) == (2, [])
    assert done["rows"] == {
        "contacts": 2, "email_schedules": done["rows"]["email_schedules"], "suppressions": 1, "tracking_clicks": 2,
        "contact_events": 1, "contact_campaigns": 1, "crm_notes": 1,
    }  # fmt: skip
    assert (done["feedback_lines"], done["feedback_files"]) == (6, 2)
    assert done["objects"]["older databases"] == 4
    everything = full.everything().lower()
    assert ANN.encode() not in everything.replace(JOANN.encode(), b"")
    assert KEY.encode() not in everything
    assert b"1950-12-05" not in everything
    assert b"likes tea" not in everything
    assert rows_of(full, tmp_path, "SELECT id FROM contacts") == [(2,), (3,)]
    assert rows_of(full, tmp_path, "SELECT email FROM suppressions") == [(JOANN,)]
    assert rows_of(full, tmp_path, "PRAGMA integrity_check") == [("ok",)]
    assert rows_of(full, tmp_path, "SELECT count(*) > 0 FROM email_schedules WHERE contact_id IN (2, 3)") == [(1,)]
    assert full.body(f"{FOLDER}a.jsonl") == f"{json.dumps(LINES[4])}\n".encode()
    assert full.body(f"{FOLDER}b.csv") == f"state,email,note\nunsubscribed,{BOB},x\n".encode()
    head = full.s3.head_object(Bucket="mailtide-versions", Key=f"{FOLDER}a.jsonl")
    assert rows_of(full, tmp_path, "SELECT etag FROM scheduler_feedback") == [(head["ETag"].strip('"'),)]
    assert sorted(full.listed("runs/")) == [keys.done("acme", RUN), TRY.manifest]
    latest = Latest.model_validate_json(full.body(keys.latest("acme")))
    assert (latest.file, latest.chain, latest.run) == (None, (), RUN)
    assert Lock.model_validate_json(full.body(keys.lock("acme"))).owner is None
    again = full.json("orgs", "erase", "acme", "--contact", ANN)
    assert (again["contacts"], again["rows"], again["feedback_lines"], again["left"]) == (0, {}, 0, [])


def test_a_dry_run_says_the_same_and_does_nothing(full: Bucket) -> None:
    before, keys_before = full.everything(), full.listed()
    told = full.json("orgs", "erase", "acme", "--contact", ANN, "--dry-run")
    assert (full.everything(), full.listed()) == (before, keys_before)
    done = full.json("orgs", "erase", "acme", "--contact", ANN)
    for name in ("contacts", "rows", "feedback_lines", "feedback_files", "left"):
        assert told[name] == done[name], name
    assert told["objects"]["run objects"] == done["objects"]["run objects"] == 5


def test_the_address_may_be_kept_from_coming_back(full: Bucket, tmp_path: Path) -> None:
    assert full.json("orgs", "erase", "acme", "--contact", ANN, "--suppress")["left"] == []
    assert sorted(rows_of(full, tmp_path, "SELECT email FROM suppressions")) == [(ANN,), (JOANN,)]


def test_what_cannot_be_removed_is_said(full: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(full.body(SOURCE))
    execute(path, f"UPDATE contacts SET agent = 'knows {ANN}, well', first_name = '{JOANN}' WHERE id = 2")
    full.put(SOURCE, path.read_bytes())
    full.put(keys.rules("acme"), f"# ask {ANN}\n".encode())
    done = full.shell.run("orgs", "erase", "acme", "--contact", ANN)
    assert done.code == 1
    assert "contacts.agent (1 rows)" in done.err
    assert "orgs/acme/rules.yaml still holds the address" in done.err
    assert len(done.err.splitlines()) == 2


def test_while_a_run_is_at_work_nothing_is_done(full: Bucket) -> None:
    lock = Lock(owner=RUN[::-1].replace("f", "0"), epoch=3, expires_at=datetime.now(UTC) + timedelta(minutes=5))
    full.put(keys.lock("acme"), lock.to_bytes())
    before = full.everything()
    done = full.shell.run("orgs", "erase", "acme", "--contact", ANN)
    assert (done.code, "is at work" in done.err) == (2, True)
    assert full.everything() == before
    assert full.shell.run("orgs", "erase", "acme", "--contact", "nobody").code == 2


def test_an_organisation_without_a_database_is_searched_too(bucket: Bucket) -> None:
    bucket.put(f"{keys.feedback('beta')}a.jsonl", json.dumps(LINES[2]).encode())
    done = bucket.json("orgs", "erase", "beta", "--contact", ANN)
    assert (done["contacts"], done["feedback_lines"]) == (0, 1)
    assert ANN.encode() not in bucket.everything().lower()


class Intruded(VersionedS3Bucket):
    """A bucket in which the customer replaces something just before it is written back."""

    def __init__(self, inner: Bucket, key: str) -> None:
        super().__init__("mailtide-versions", inner.s3)
        self.inner, self.key = inner, key

    def replace(self, key: str, body: bytes, *, expected_etag: str) -> str:
        self._intrude(key)
        return super().replace(key, body, expected_etag=expected_etag)

    def _intrude(self, key: str) -> None:
        if key == self.key:
            self.key = ""
            self.inner.put(key, self.inner.body(key) + b"\n")


@pytest.mark.parametrize("key", [SOURCE, f"{FOLDER}a.jsonl"])
def test_what_is_replaced_meanwhile_is_said_and_a_second_call_does_it(full: Bucket, key: str) -> None:
    bucket = Intruded(full, key)
    services = replace(MemoryServices().services, bucket=S3Bucket("mailtide-versions", full.s3), clock=SystemClock())

    def call() -> Erasure:
        return erase_person(services, bucket, "acme", ANN, suppress=False, dry_run=False, say=lambda _: None)

    with pytest.raises(MailtideError, match=f"^{key} was replaced meanwhile; not everything was removed"):
        call()
    assert Lock.model_validate_json(full.body(keys.lock("acme"))).owner is None
    if key == SOURCE:
        full.put(SOURCE, full.body(SOURCE)[:-1])
    assert call().left == []
    assert ANN.encode() not in full.everything().lower().replace(JOANN.encode(), b"")
