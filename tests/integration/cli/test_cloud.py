"""`mailtide upload`, `orgs` and `run` against a real S3 and SQS server."""

import json
import socket
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailtide.contracts import MESSAGE, Latest, PlanMessage
from tests.integration.cli.conftest import BUCKET, Done, Shell
from tests.integration.cli.writers import writer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

CREATE = "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT)"


@pytest.fixture
def contacts(tmp_path: Path) -> Path:
    path = tmp_path / "contacts.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(CREATE)
        connection.execute("INSERT INTO contacts VALUES (1, 'a@example.net', 'OH')")
        connection.commit()
    return path


def stored(s3: "S3Client", key: str) -> bytes:
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def test_upload_takes_a_consistent_copy_of_a_live_database(shell: Shell, s3: "S3Client", tmp_path: Path) -> None:
    live, back = tmp_path / "live.db", tmp_path / "back.db"
    with writer(live) as one:
        one.execute("PRAGMA journal_mode=wal", "PRAGMA wal_autocheckpoint=0", CREATE)
        one.execute("INSERT INTO contacts VALUES (1, 'a@example.net', 'OH')")
        one.execute("BEGIN", "INSERT INTO contacts VALUES (2, 'b@example.net', 'OH')")
        facts = shell.run("upload", "acme", live, "--json").facts()
    back.write_bytes(stored(s3, "orgs/acme/contacts.db"))
    with closing(sqlite3.connect(back)) as connection:
        assert connection.execute("SELECT id FROM contacts").fetchall() == [(1,)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    head = s3.head_object(Bucket=BUCKET, Key="orgs/acme/contacts.db")
    assert facts == {
        "org": "acme",
        "bucket": BUCKET,
        "key": "orgs/acme/contacts.db",
        "size_bytes": head["ContentLength"],
        "etag": head["ETag"].strip('"'),
    }


def test_a_large_database_goes_up_in_parts(shell: Shell, s3: "S3Client", contacts: Path) -> None:
    with closing(sqlite3.connect(contacts)) as connection:
        connection.execute("CREATE TABLE pictures (picture BLOB)")
        connection.executemany("INSERT INTO pictures VALUES (zeroblob(?))", [(1_000_000,)] * 20)
        connection.commit()
    done = shell.run("upload", "acme", contacts)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(f"bytes to s3://{BUCKET}/orgs/acme/contacts.db.\n")
    assert stored(s3, "orgs/acme/contacts.db")[100:] == contacts.read_bytes()[100:]
    assert s3.head_object(Bucket=BUCKET, Key="orgs/acme/contacts.db")["ETag"].strip('"').endswith("-3")


def test_an_organisation_is_added_with_its_rules_once(shell: Shell, s3: "S3Client", tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("timezone: America/Denver\ncadence: weekly\nrun_at_hour: 6\n")
    facts = shell.run("orgs", "add", "acme", "--rules", rules, "--json").facts()
    assert facts == {"org": "acme", "timezone": "America/Denver", "cadence": "weekly", "run_at_hour": 6}
    assert stored(s3, "orgs/acme/rules.yaml") == rules.read_bytes()
    again = shell.run("orgs", "add", "acme")
    assert (again.code, again.out) == (2, "")
    assert again.err == "mailtide: The organisation 'acme' has rules in the bucket already.\n"
    assert stored(s3, "orgs/acme/rules.yaml") == rules.read_bytes()


def test_organisations_are_listed_with_their_last_run(shell: Shell, s3: "S3Client") -> None:
    assert shell.run("orgs", "list", "--json").facts() == []
    assert shell.run("orgs", "add", "acme").code == 0
    latest = Latest(run="7abd3c7bebca4a1f8d67", status="failed")
    s3.put_object(Bucket=BUCKET, Key="orgs/beta/latest.json", Body=latest.to_bytes())
    s3.put_object(Bucket=BUCKET, Key="orgs/not an organisation/x", Body=b"")
    empty = dict.fromkeys(
        ("state", "open_run", "run", "status", "as_of", "finished_at", "reason", "next_run_at", "rules_problem")
    )
    assert shell.run("orgs", "list", "--json").facts() == [
        {**empty, "org": "acme", "rules": "packaged"},
        {**empty, "org": "beta", "run": latest.run, "state": "failed", "status": "failed", "rules": "packaged"},
    ]
    shown = shell.run("orgs", "list")
    assert shown.code == 0
    assert all(word in shown.out for word in ("acme", "beta", "7abd3c7bebca4a1f8d67", "failed"))


def test_a_run_on_demand_is_one_message_on_the_queue(shell: Shell, sqs: "SQSClient", contacts: Path) -> None:
    assert shell.run("upload", "acme", contacts).code == 0
    facts = shell.run("run", "acme", "--json").facts()
    url = shell.environment["MAILTIDE_PLAN_QUEUE_URL"]
    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    sent = MESSAGE.validate_json(message["Body"])
    assert sent == PlanMessage(org="acme", trigger="demand", request_id=facts["request_id"])
    assert len(facts["request_id"]) == 16


def test_a_run_of_an_organisation_without_a_database_is_refused(shell: Shell) -> None:
    done = shell.run("run", "acme")
    assert (done.code, done.out) == (2, "")
    assert done.err == "mailtide: The organisation 'acme' has no database in the bucket; upload one first.\n"


COMMANDS = [("upload", "acme", "contacts.db"), ("orgs", "list"), ("orgs", "add", "acme"), ("run", "acme")]
each_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


def call(
    shell: Shell, contacts: Path, command: tuple[str, ...], *, without: tuple[str, ...] = (), **changes: str
) -> Done:
    arguments = [contacts if word == "contacts.db" else word for word in command]
    return shell.run(*arguments, without=without, **changes)


def assert_refused(done: Done, word: str) -> None:
    assert (done.code, done.out) == (1, ""), done
    assert done.err.startswith("mailtide: ")
    assert len(done.err.splitlines()) == 1
    assert word in done.err


@each_command
def test_an_endpoint_that_is_down_is_one_sentence(shell: Shell, contacts: Path, command: tuple[str, ...]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = call(shell, contacts, command, AWS_ENDPOINT_URL=down)
    assert_refused(done, "The cloud does not answer")


@contextmanager
def checked_credentials(moto_url: str) -> Iterator[None]:
    """moto looks at access keys within the block, as AWS does."""

    def allow(count: str) -> None:
        request = urllib.request.Request(f"{moto_url}/moto-api/reset-auth", data=count.encode(), method="POST")
        request.add_header("Content-Type", "text/plain")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    allow("0")
    try:
        yield
    finally:
        allow("inf")


@each_command
def test_wrong_credentials_are_one_sentence(
    shell: Shell, moto_url: str, contacts: Path, command: tuple[str, ...]
) -> None:
    with checked_credentials(moto_url):
        done = call(shell, contacts, command, AWS_ACCESS_KEY_ID="AKIAWRONGWRONGWRONG1")
    assert_refused(done, "AWS refused ")
    assert "test" not in done.err


@pytest.mark.parametrize("command", COMMANDS[:2], ids=" ".join)
def test_missing_credentials_are_one_sentence(shell: Shell, contacts: Path, command: tuple[str, ...]) -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    assert_refused(call(shell, contacts, command, without=names), "No AWS credentials were found")


@pytest.mark.parametrize("command", COMMANDS[:3], ids=" ".join)
def test_a_bucket_that_does_not_exist_is_one_sentence(shell: Shell, contacts: Path, command: tuple[str, ...]) -> None:
    assert_refused(call(shell, contacts, command, MAILTIDE_BUCKET="nobody-made-this"), "NoSuchBucket")


def test_a_queue_that_does_not_exist_is_one_sentence(shell: Shell, contacts: Path) -> None:
    assert shell.run("upload", "acme", contacts).code == 0
    url = shell.environment["MAILTIDE_PLAN_QUEUE_URL"] + "-gone"
    assert_refused(shell.run("run", "acme", MAILTIDE_PLAN_QUEUE_URL=url), "AWS refused SendMessage")


def test_a_missing_queue_or_region_is_one_sentence(shell: Shell, contacts: Path) -> None:
    assert shell.run("upload", "acme", contacts).code == 0
    done = shell.run("run", "acme", without=("MAILTIDE_PLAN_QUEUE_URL",))
    assert (done.code, done.out) == (2, "")
    assert "MAILTIDE_PLAN_QUEUE_URL is missing" in done.err
    assert_refused(shell.run("run", "acme", without=("AWS_DEFAULT_REGION",)), "No AWS region is set")


def test_a_refused_upload_leaves_nothing_behind(shell: Shell, tmp_path: Path, s3: "S3Client") -> None:
    bad = tmp_path / "bad.db"
    bad.write_text("no database\n" * 100)
    done = shell.run("upload", "acme", bad, TMPDIR=str(tmp_path))
    assert done.code == 2
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.db"]
    assert json.dumps(done.err).isascii()
