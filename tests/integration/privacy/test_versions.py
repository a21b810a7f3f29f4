"""`mailtide orgs versions` and `restore` against a real server that keeps versions."""

from mailtide.contracts import Latest
from mailtide.runs import keys
from tests.integration.privacy.conftest import RUN, Bucket

SOURCE = keys.source("acme")


def test_the_versions_are_listed_newest_first_with_what_published_them(acme: Bucket) -> None:
    acme.put(SOURCE, b"a third one")
    acme.put(f"{SOURCE}.bak", b"not ours")
    rows = acme.json("orgs", "versions", "acme")
    assert [(row["present"], row["published_by"]) for row in rows] == [(True, None), (False, RUN), (False, None)]
    shown = acme.shell.run("orgs", "versions", "acme", COLUMNS="200").out
    assert f"published by run {RUN}" in shown
    assert "uploaded, the present one" in shown
    assert acme.json("orgs", "versions", "nobody") == []
    assert "keeps no version" in acme.shell.run("orgs", "versions", "nobody").out


def test_a_restored_version_is_a_new_upload_and_the_present_one_is_kept(acme: Bucket) -> None:
    body = acme.body(SOURCE)
    acme.put(SOURCE, b"a mistake")
    wanted = acme.json("orgs", "versions", "acme")[1]
    facts = acme.json("orgs", "restore", "acme", "--version", wanted["version"])
    assert facts == {"org": "acme", "version": wanted["version"], "size_bytes": len(body), "gets_run": True}
    assert acme.body(SOURCE) == body
    rows = acme.json("orgs", "versions", "acme")
    assert len(rows) == 4
    assert rows[0]["stored_at"] >= rows[1]["stored_at"]
    assert acme.s3.list_multipart_uploads(Bucket="mailtide-versions").get("Uploads", []) == []


def test_what_was_published_last_needs_no_run(acme: Bucket) -> None:
    acme.put(SOURCE, b"a mistake")
    wanted = acme.json("orgs", "versions", "acme")[1]
    acme.shell.run("orgs", "restore", "acme", "--version", wanted["version"])
    etag = acme.s3.head_object(Bucket="mailtide-versions", Key=SOURCE)["ETag"].strip('"')
    acme.put(keys.latest("acme"), Latest(run=RUN, status="published", published_etag=etag).to_bytes())
    acme.put(SOURCE, b"another mistake")
    wanted = next(row for row in acme.json("orgs", "versions", "acme") if row["etag"] == etag)
    done = acme.shell.run("orgs", "restore", "acme", "--version", wanted["version"])
    assert "its next run comes at its hour" in done.out


def test_a_deleted_database_comes_back(acme: Bucket) -> None:
    body = acme.body(SOURCE)
    acme.s3.delete_object(Bucket="mailtide-versions", Key=SOURCE)
    wanted = acme.json("orgs", "versions", "acme")[0]
    assert acme.shell.run("orgs", "restore", "acme", "--version", wanted["version"]).code == 0
    assert acme.body(SOURCE) == body


def test_what_cannot_be_restored_is_one_sentence(acme: Bucket) -> None:
    present, older = acme.json("orgs", "versions", "acme")
    for version, words in (
        (present["version"], "already"), ("nothing", "no kept version"), (older["version"][:3], "no kept version"),
        ("", "no kept version"),
    ):  # fmt: skip
        done = acme.shell.run("orgs", "restore", "acme", "--version", version)
        assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
        assert words in done.err
    assert acme.shell.run("orgs", "restore", "acme", "--version", older["version"][:12]).code == 0
