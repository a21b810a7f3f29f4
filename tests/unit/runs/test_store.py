"""Objects that are created once, whoever loses, and latest.json."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from mailtide.contracts import Done, Failure, Intent, Latest, SourceRef
from mailtide.errors import StaleWriteError
from mailtide.runs import keys, store
from tests.support.memory_services import MemoryServices

RUN = "0" * 20
NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
SOURCE = SourceRef(etag="e1", last_modified=NOW, size_bytes=10)


def done(status: str = "failed") -> Done:
    return Done.model_validate({"org": "acme", "run": RUN, "status": status, "finished_at": NOW})


@pytest.fixture
def memory() -> MemoryServices:
    return MemoryServices()


def test_the_winner_goes_on_with_its_own(memory: MemoryServices) -> None:
    mine = done()
    assert store.create_once(memory.bucket, "k", mine) is mine
    assert store.read(memory.bucket, "k", Done) == mine


def test_the_loser_goes_on_with_what_stands(memory: MemoryServices) -> None:
    theirs, mine = done("published"), done()
    store.create_once(memory.bucket, "k", theirs)
    assert store.create_once(memory.bucket, "k", mine) == theirs
    assert store.read(memory.bucket, "k", Done) == theirs


def test_a_lost_answer_finds_its_own_object(memory: MemoryServices) -> None:
    """The SDK asked again and was told that it exists: what stands is the very object."""
    mine = done()
    memory.bucket.create("k", mine.to_bytes())
    again = store.create_once(memory.bucket, "k", mine)
    assert again == mine
    assert again.token == mine.token


def test_two_writers_never_make_the_same_bytes() -> None:
    """ETags are of the content: without a token, a second writer's object would pass for the first's."""
    assert done().to_bytes() != done().to_bytes()


def test_what_is_no_such_object_is_an_error(memory: MemoryServices) -> None:
    memory.bucket.create("k", b'{"org": "acme", "more": 1}')
    with pytest.raises(ValidationError):
        store.read(memory.bucket, "k", Done)


def test_latest_is_created_then_replaced(memory: MemoryServices) -> None:
    nothing = store.read_latest(memory.bucket, "acme")
    assert nothing.etag is None
    store.write_latest(memory.bucket, "acme", Latest(source=SOURCE), expected_etag=None)
    first = store.read_latest(memory.bucket, "acme")
    store.write_latest(memory.bucket, "acme", Latest(run=RUN), expected_etag=first.etag)
    with pytest.raises(StaleWriteError):
        store.write_latest(memory.bucket, "acme", Latest(), expected_etag=first.etag)
    with pytest.raises(StaleWriteError):
        store.write_latest(memory.bucket, "acme", Latest(), expected_etag=None)
    assert store.read_latest(memory.bucket, "acme").value.run == RUN


def test_a_latest_of_ones_own_that_stands_already_is_written(memory: MemoryServices) -> None:
    mine = Latest(run=RUN)
    memory.bucket.create(keys.latest("acme"), mine.to_bytes())
    store.write_latest(memory.bucket, "acme", mine, expected_etag=None)
    store.write_latest(memory.bucket, "acme", mine, expected_etag="the one before")
    assert store.read_latest(memory.bucket, "acme").value == mine


@pytest.mark.parametrize(
    ("latest", "handled"),
    [
        (Latest(), False),
        (Latest(source=SOURCE), True),
        (Latest(source=SOURCE.model_copy(update={"etag": "e0"})), False),
        (Latest(source=SOURCE.model_copy(update={"last_modified": NOW.replace(hour=8)})), False),
        (Latest(published_etag="e1"), True),
        (Latest(published_etag="e2"), False),
        (
            Latest(intent=Intent(run=RUN, source=SOURCE, upload_id="u", part_etags=(), expected_etag="e1")),
            True,
        ),
        (
            Latest(intent=Intent(run=RUN, source=SOURCE, upload_id="u", part_etags=(), expected_etag="e2")),
            False,
        ),
    ],
)
def test_what_needs_no_run(latest: Latest, handled: bool) -> None:
    assert store.is_handled(latest, SOURCE) is handled


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b'{"failure": {"kind": "no such", "message": "x"}}'])
def test_an_unreadable_error_is_a_failure_all_the_same(memory: MemoryServices, body: bytes) -> None:
    paths = keys.TryKeys("acme", RUN, "whole", 1)
    memory.bucket.create(paths.error, body)
    found = store.read_failure(memory.bucket, paths)
    assert found is not None
    assert found.kind == "internal"
    late = Failure(kind="machine_lost", message="The machine vanished.")
    assert store.create_failure(memory.bucket, paths, late, written_at=NOW) == found


def test_a_failure_is_noted_once(memory: MemoryServices) -> None:
    paths = keys.TryKeys("acme", RUN, "whole", 1)
    assert store.read_failure(memory.bucket, paths) is None
    first = Failure(kind="machine_lost", message="The machine vanished.")
    other = Failure(kind="timed_out", message="Too long.")
    assert store.create_failure(memory.bucket, paths, first, written_at=NOW) == first
    assert store.create_failure(memory.bucket, paths, other, written_at=NOW) == first


def test_organisations_with_names_that_could_not_be_ours_are_passed_over(memory: MemoryServices) -> None:
    for key in (
        "orgs/acme/contacts.db",
        "orgs/b.c/rules.yaml",
        "orgs/.x/contacts.db",
        "orgs/a b/contacts.db",
        "orgs/loose",
    ):
        memory.bucket.put(key, b"x")
    assert list(store.organisations(memory.bucket)) == ["acme", "b.c"]
