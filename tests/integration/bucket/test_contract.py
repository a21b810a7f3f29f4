"""What every bucket does. Where an emulator does not, `lacking` names it and the very thing that it lacks."""

import hashlib
from typing import Any

import pytest

from mailtide.adapters.s3 import S3Bucket, multipart_etag
from mailtide.errors import NotFoundError, SourceChangedError, StaleWriteError
from mailtide.ports import Bucket, StagedCopy
from tests.integration.bucket.conftest import PART_BYTES, PLACES, Others, Place, S3Others
from tests.support.memory_bucket import RefusedUrlError

SOURCE = "orgs/acme/contacts.db"
DELIVERED = "runs/acme/0123456789abcdef0123/tasks/whole/1/contacts.db"


def lacking(**reasons: str) -> pytest.MarkDecorator:
    """Run on every bucket. On a named server the test must fail, for this reason: when it passes, the server has learnt it."""
    marks = {server: pytest.mark.xfail(strict=True, reason=f"{server} {reason}") for server, reason in reasons.items()}
    places = [pytest.param(name, marks=marks.get(name, ()), id=name) for name in PLACES]
    return pytest.mark.parametrize("place", places, indirect=True)


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def staged(bucket: Bucket, others: Others, source: bytes, output: bytes) -> StagedCopy:
    others.put(SOURCE, source)
    others.put(DELIVERED, output)
    return bucket.stage_copy(DELIVERED, SOURCE, source_etag=md5(output), size_bytes=len(output))


def test_missing_object(bucket: Bucket) -> None:
    assert bucket.head("nothing") is None
    assert bucket.get("nothing") is None
    bucket.delete("nothing")


def test_create_then_read(bucket: Bucket) -> None:
    etag = bucket.create("a/b.json", b"one")
    info, stored = bucket.head("a/b.json"), bucket.get("a/b.json")
    assert info is not None
    assert stored is not None
    assert (stored.body, stored.etag) == (b"one", md5(b"one"))
    assert (info.key, info.etag, info.size_bytes) == ("a/b.json", etag, 3)
    assert info.last_modified == stored.last_modified
    assert info.last_modified.microsecond == 0
    assert info.last_modified.utcoffset() is not None


def test_second_create_loses(bucket: Bucket) -> None:
    bucket.create("k", b"one")
    with pytest.raises(StaleWriteError):
        bucket.create("k", b"two")
    with pytest.raises(StaleWriteError):
        bucket.create("k", b"one")
    assert (found := bucket.get("k")) is not None
    assert found.body == b"one"


def test_create_again_after_delete(bucket: Bucket) -> None:
    bucket.create("k", b"one")
    bucket.delete("k")
    assert bucket.create("k", b"two") == md5(b"two")


def test_second_replace_loses(bucket: Bucket) -> None:
    first = bucket.create("lock.json", b"a")
    second = bucket.replace("lock.json", b"b", expected_etag=first)
    assert second == md5(b"b")
    with pytest.raises(StaleWriteError):
        bucket.replace("lock.json", b"c", expected_etag=first)
    assert (found := bucket.get("lock.json")) is not None
    assert found.body == b"b"


def test_replace_of_what_is_gone_is_stale(bucket: Bucket) -> None:
    etag = bucket.create("k", b"one")
    bucket.delete("k")
    with pytest.raises(StaleWriteError):
        bucket.replace("k", b"two", expected_etag=etag)
    assert bucket.head("k") is None


def test_ranges(bucket: Bucket, others: Others) -> None:
    others.put(SOURCE, b"0123456789")
    etag = md5(b"0123456789")
    assert bucket.get_range(SOURCE, 2, 3, etag=etag) == b"234"
    assert bucket.get_range(SOURCE, 8, 100, etag=etag) == b"89"
    others.put(SOURCE, b"9876543210")
    with pytest.raises(SourceChangedError):
        bucket.get_range(SOURCE, 2, 3, etag=etag)
    bucket.delete(SOURCE)
    with pytest.raises(SourceChangedError):
        bucket.get_range(SOURCE, 2, 3, etag=etag)


def test_etag_of_a_multipart_upload(bucket: Bucket, others: Others) -> None:
    body = bytes(range(256)) * (PART_BYTES // 256) + b"the rest"
    others.put_multipart(SOURCE, body)
    assert (info := bucket.head(SOURCE)) is not None
    assert info.etag == multipart_etag((md5(body[:PART_BYTES]), md5(b"the rest")))
    assert info.size_bytes == len(body)


@lacking(
    moto="compares If-Match of HEAD with the part, not the object",
    ministack="answers HEAD with partNumber for the whole object, without a count of the parts",
)
def test_first_part_size(bucket: Bucket, others: Others) -> None:
    body = bytes(PART_BYTES) + b"the rest"
    others.put_multipart(SOURCE, body)
    assert (info := bucket.head(SOURCE)) is not None
    assert bucket.first_part_size(SOURCE, etag=info.etag) == PART_BYTES


def test_a_plain_upload_has_no_parts(bucket: Bucket, others: Others) -> None:
    others.put(SOURCE, b"plain")
    assert bucket.first_part_size(SOURCE, etag=md5(b"plain")) is None
    with pytest.raises(SourceChangedError):
        bucket.first_part_size(SOURCE, etag=md5(b"another"))


def test_list_and_folders(bucket: Bucket, others: Others) -> None:
    for key in ("open/b/2", "open/a/1", "open/a.b/3", "opened", "open/Z/4"):
        others.put(key, b"x")
    assert [info.key for info in bucket.list("open/")] == ["open/Z/4", "open/a.b/3", "open/a/1", "open/b/2"]
    assert list(bucket.list_folders("open/")) == ["Z", "a.b", "a", "b"]
    assert list(bucket.list_folders("open/", after="Z")) == ["a.b", "a", "b"]
    assert list(bucket.list_folders("open/", after="a.b")) == ["a", "b"]
    assert list(bucket.list_folders("open/", after="aa")) == ["b"]
    assert list(bucket.list_folders("open/", after="b")) == []
    assert list(bucket.list("none/")) == []


def test_list_past_one_page(place: Place) -> None:
    """The server is asked for pages of two keys: a thousand and more objects would show the same."""
    if not isinstance(place.others, S3Others):
        pytest.skip("the fake has no pages")
    asked = []

    def by_two(params: dict[str, Any], **_: object) -> None:
        params["MaxKeys"] = 2
        asked.append(params)

    client = place.others.client
    client.meta.events.register("provide-client-params.s3.ListObjectsV2", by_two)
    bucket = S3Bucket(place.others.name, client)
    keys = [f"many/{number}/key" for number in range(5)]
    for key in keys:
        place.others.put(key, b"")
    assert [info.key for info in bucket.list("many/")] == keys
    assert len(asked) == 3
    assert list(bucket.list_folders("many/")) == ["0", "1", "2", "3", "4"]
    assert len(asked) == 6


def test_list_and_head_agree(bucket: Bucket, others: Others) -> None:
    others.put("k", b"body")
    assert next(iter(bucket.list("k"))) == bucket.head("k")


@pytest.mark.parametrize("key", ["odd/ü & + %41?.json", "odd/a b", "odd/'quoted'", "odd/a=b;c"])
def test_keys_are_plain_text(bucket: Bucket, key: str) -> None:
    bucket.create(key, b"x")
    assert [info.key for info in bucket.list("odd/")] == [key]
    assert bucket.head(key) is not None


def test_presigned_get(bucket: Bucket, others: Others) -> None:
    url = bucket.presign_get(SOURCE, expires_s=60)
    assert others.fetch(url) is None
    others.put(SOURCE, b"one")
    assert others.fetch(url) == b"one"
    assert others.fetch(url, if_match=md5(b"one")) == b"one"
    assert others.fetch(bucket.presign_get(SOURCE, expires_s=60, download_as="acme.db")) == b"one"
    with pytest.raises(StaleWriteError):
        others.fetch(url, if_match=md5(b"two"))


def test_presigned_put(bucket: Bucket, others: Others) -> None:
    url = bucket.presign_put(DELIVERED, expires_s=60, create_only=False)
    others.send(url, b"one", create_only=False)
    others.send(url, b"two", create_only=False)
    assert (found := bucket.get(DELIVERED)) is not None
    assert found.body == b"two"


def test_presigned_create(bucket: Bucket, others: Others) -> None:
    url = bucket.presign_put("claim.json", expires_s=60, create_only=True)
    others.send(url, b"one", create_only=True)
    with pytest.raises(StaleWriteError):
        others.send(url, b"two", create_only=True)
    assert (found := bucket.get("claim.json")) is not None
    assert found.body == b"one"


@lacking(moto="checks no signatures")
def test_a_presigned_create_cannot_drop_its_condition(bucket: Bucket, others: Others) -> None:
    url = bucket.presign_put("claim.json", expires_s=60, create_only=True)
    with pytest.raises(RefusedUrlError):
        others.send(url, b"one", create_only=False)


def test_publish_over_the_expected_version(bucket: Bucket, others: Others) -> None:
    copy = staged(bucket, others, b"source", b"output")
    assert (before := bucket.head(SOURCE)) is not None
    assert before.etag == md5(b"source"), "a staged copy is not visible"
    bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    assert (after := bucket.get(SOURCE)) is not None
    assert (after.body, after.etag) == (b"output", copy.expected_etag)
    assert copy.expected_etag == multipart_etag((md5(b"output"),))


@lacking(moto="ignores If-Match of CompleteMultipartUpload")
def test_publish_over_another_version_is_refused(bucket: Bucket, others: Others) -> None:
    copy = staged(bucket, others, b"source", b"output")
    others.put(SOURCE, b"replaced")
    with pytest.raises(StaleWriteError):
        bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    assert (found := bucket.get(SOURCE)) is not None
    assert found.body == b"replaced"


@lacking(moto="ignores If-Match of CompleteMultipartUpload")
def test_a_refused_publication_can_still_be_made(bucket: Bucket, others: Others) -> None:
    """A refusal leaves the upload open: that is why an intent is settled by an abort."""
    copy = staged(bucket, others, b"source", b"output")
    others.put(SOURCE, b"replaced")
    with pytest.raises(StaleWriteError):
        bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    others.put(SOURCE, b"source")
    bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    assert (found := bucket.get(SOURCE)) is not None
    assert found.body == b"output"


@lacking(moto="ignores If-Match of CompleteMultipartUpload")
def test_publish_over_nothing_is_refused(bucket: Bucket, others: Others) -> None:
    copy = staged(bucket, others, b"source", b"output")
    bucket.delete(SOURCE)
    with pytest.raises((StaleWriteError, NotFoundError)):
        bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    assert bucket.head(SOURCE) is None


@lacking(moto="answers 500 for an upload that was aborted")
def test_an_aborted_copy_can_never_be_published(bucket: Bucket, others: Others) -> None:
    copy = staged(bucket, others, b"source", b"output")
    bucket.abort_copy(SOURCE, copy.upload_id)
    bucket.abort_copy(SOURCE, copy.upload_id)
    with pytest.raises(NotFoundError):
        bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    assert (found := bucket.get(SOURCE)) is not None
    assert found.body == b"source"


@lacking(moto="answers 500 for an upload that was completed")
def test_publishing_twice_is_one_publication(bucket: Bucket, others: Others) -> None:
    """The answer is replayed, also when the object was replaced since."""
    copy = staged(bucket, others, b"source", b"output")
    bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    others.put(SOURCE, b"replaced")
    bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    assert (found := bucket.get(SOURCE)) is not None
    assert found.body == b"replaced"


@lacking(moto="answers 500 for an upload that was completed")
def test_a_second_publication_changes_nothing(bucket: Bucket, others: Others) -> None:
    copy = staged(bucket, others, b"source", b"output")
    bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    others.put(SOURCE, b"source")
    try:
        bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    except NotFoundError:
        assert copy.upload_id, "forgotten, which is as good"
    assert (found := bucket.get(SOURCE)) is not None
    assert found.body == b"source"


def test_abort_after_completion_undoes_nothing(bucket: Bucket, others: Others) -> None:
    copy = staged(bucket, others, b"source", b"output")
    bucket.complete_copy(SOURCE, copy, expected_etag=md5(b"source"))
    bucket.abort_copy(SOURCE, copy.upload_id)
    assert (found := bucket.get(SOURCE)) is not None
    assert found.body == b"output"


@lacking(moto="ignores x-amz-copy-source-if-match of UploadPartCopy")
def test_only_the_named_version_is_copied(bucket: Bucket, others: Others) -> None:
    others.put(SOURCE, b"source")
    others.put(DELIVERED, b"overwritten later")
    with pytest.raises(StaleWriteError):
        bucket.stage_copy(DELIVERED, SOURCE, source_etag=md5(b"delivered"), size_bytes=9)


def test_a_copy_of_nothing_is_stale(bucket: Bucket, others: Others) -> None:
    others.put(SOURCE, b"source")
    with pytest.raises(StaleWriteError):
        bucket.stage_copy(DELIVERED, SOURCE, source_etag=md5(b"gone"), size_bytes=4)


def test_a_copy_takes_the_place_of_whatever_stands_there(bucket: Bucket, others: Others) -> None:
    others.put(DELIVERED, b"changes")
    for _ in range(2):
        etag = bucket.copy(
            DELIVERED, "changes/acme/0123456789abcdef0123.changeset", source_etag=md5(b"changes"), size_bytes=7
        )
        assert etag == md5(b"changes")
    assert (found := bucket.get("changes/acme/0123456789abcdef0123.changeset")) is not None
    assert (found.body, found.etag) == (b"changes", etag)


@pytest.mark.parametrize("stands", [b"written over", None])
def test_only_the_version_that_was_delivered_is_shared(bucket: Bucket, others: Others, stands: bytes | None) -> None:
    if stands is not None:
        others.put(DELIVERED, stands)
    with pytest.raises(StaleWriteError):
        bucket.copy(DELIVERED, "changes/acme/0123456789abcdef0123.changeset", source_etag=md5(b"changes"), size_bytes=7)
