"""What all visits and placements do, DynamoDB's and those in memory. Import the tests beside fixtures of these names."""

import itertools
from datetime import date

import pytest

from mailtide.contracts import new_token
from mailtide.warmup.contracts import LedgerKey
from mailtide.warmup.reading.contracts import FolderCursor, Placement, PlacementDay, ReportKind, VisitState
from mailtide.warmup.reading.ports import VISIT_TTL_MS, Placements, Visits

DAY = date(2026, 11, 22)
NOON = 1_795_348_800_000
_numbers = itertools.count(1)


@pytest.fixture
def mailbox_id() -> str:
    return f"box-{next(_numbers)}-{new_token()[:6]}"


@pytest.fixture
def key(mailbox_id: str) -> LedgerKey:
    return LedgerKey(DAY, 7, mailbox_id)


def full(mailbox_id: str) -> VisitState:
    return VisitState(
        mailbox_id=mailbox_id,
        cursors={"INBOX": FolderCursor(4_294_967_295, 4_294_967_294), "Entwürfe/Spam": FolderCursor(1, 2)},
        awaited={"2026-11-22/box-9/4": NOON},
        unsent=frozenset({"2026-11-22/box-8/5", "2026-11-22/box-7/6"}),
        unsettled={"2026-11-22/box-6/1": "sent_reply"},
        looked_until_ms=NOON,
        access="a1",
        failures=3,
        failure="login",
        not_before_ms=NOON + 1,
    )


def test_a_first_visit_begins_with_nothing(visits: Visits, mailbox_id: str) -> None:
    assert visits.begin(mailbox_id, "t1", now_ms=NOON) == VisitState(mailbox_id=mailbox_id)
    assert visits.read_many([mailbox_id]) == {}


def test_a_mailbox_is_visited_by_one_at_a_time(visits: Visits, mailbox_id: str) -> None:
    assert visits.begin(mailbox_id, "t1", now_ms=NOON)
    assert visits.begin(mailbox_id, "t2", now_ms=NOON + VISIT_TTL_MS - 1) is None
    assert visits.begin(mailbox_id, "t1", now_ms=NOON + 5), "the same visit asks again when the answer was lost"
    assert visits.end(VisitState(mailbox_id=mailbox_id), "t1")
    assert visits.begin(mailbox_id, "t2", now_ms=NOON + 6)


def test_what_a_visit_left_is_there_for_the_next(visits: Visits, mailbox_id: str) -> None:
    visits.begin(mailbox_id, "t1", now_ms=NOON)
    assert visits.end(full(mailbox_id), "t1")
    assert visits.read_many([mailbox_id, "another"]) == {mailbox_id: full(mailbox_id)}
    assert visits.begin(mailbox_id, "t2", now_ms=NOON + 1, access="a1") == full(mailbox_id)


def test_nobody_visits_before_a_back_off_is_over(visits: Visits, mailbox_id: str) -> None:
    visits.begin(mailbox_id, "t1", now_ms=NOON)
    visits.end(full(mailbox_id), "t1")
    assert visits.begin(mailbox_id, "t2", now_ms=NOON, access="a1") is None
    assert visits.begin(mailbox_id, "t2", now_ms=NOON + 1, access="a1")


def test_a_back_off_is_of_the_credentials_that_failed(visits: Visits, mailbox_id: str) -> None:
    visits.begin(mailbox_id, "t1", now_ms=NOON)
    visits.end(full(mailbox_id), "t1")
    assert visits.begin(mailbox_id, "t2", now_ms=NOON, access="a2") == full(mailbox_id)
    assert visits.begin(mailbox_id, "t3", now_ms=NOON, access="a3") is None, "one at a time all the same"


def test_an_expired_visit_is_taken_over_and_leaves_nothing(visits: Visits, mailbox_id: str) -> None:
    visits.begin(mailbox_id, "t1", now_ms=NOON)
    assert visits.begin(mailbox_id, "t2", now_ms=NOON + VISIT_TTL_MS) == VisitState(mailbox_id=mailbox_id)
    assert not visits.end(full(mailbox_id), "t1")
    assert visits.end(VisitState(mailbox_id=mailbox_id, looked_until_ms=5), "t2")
    assert visits.read_many([mailbox_id])[mailbox_id].looked_until_ms == 5


def test_an_end_may_be_repeated(visits: Visits, mailbox_id: str) -> None:
    visits.begin(mailbox_id, "t1", now_ms=NOON)
    assert visits.end(full(mailbox_id), "t1")
    assert visits.end(full(mailbox_id), "t1")
    assert not visits.end(full(mailbox_id), "t0")


def test_missing_never_replaces_what_was_found(placements: Placements, key: LedgerKey) -> None:
    placements.record(key, {0: Placement("inbox", "google"), 1: Placement("junk"), 12: Placement("missing", "yahoo")})
    placements.record(key, {0: Placement("missing"), 1: Placement("missing")})
    assert placements.read_many([key]) == {
        key: PlacementDay({0: Placement("inbox", "google"), 1: Placement("junk"), 12: Placement("missing", "yahoo")})
    }


def test_the_first_place_stays(placements: Placements, key: LedgerKey) -> None:
    placements.record(key, {0: Placement("missing", "a"), 1: Placement("junk", "a")})
    placements.record(key, {0: Placement("junk", "b"), 1: Placement("inbox", "b")})
    placements.record(key, {0: Placement("inbox", "c")})
    assert placements.read_many([key])[key].placements == {0: Placement("junk", "b"), 1: Placement("junk", "a")}


def test_a_complaint_weighs_more_than_a_bounce(placements: Placements, key: LedgerKey) -> None:
    placements.report(key, {0: "complaint", 1: "bounce", 2: "bounce"})
    placements.report(key, {0: "bounce", 1: "complaint", 2: "bounce"})
    found = placements.read_many([key])[key]
    assert found == PlacementDay(reports={0: "complaint", 1: "complaint", 2: "bounce"}, complainers={0: "", 1: ""})
    placements.report(key, {0: "redacted", 2: "redacted", 3: "redacted"})
    after: dict[int, ReportKind] = {0: "complaint", 1: "complaint", 2: "redacted", 3: "redacted"}
    placements.report(key, {3: "complaint"}, complainer="user-1")
    placements.report(key, {3: "complaint"}, complainer="user-2")
    assert placements.read_many([key])[key].complainers == {0: "", 1: "", 3: "user-1"}
    assert placements.read_many([key])[key].reports == after | {3: "complaint"}


def test_a_shard_is_read_by_itself(placements: Placements, mailbox_id: str) -> None:
    shard = next(_numbers) + 1_000
    keys = [LedgerKey(DAY, shard, mailbox_id), LedgerKey(DAY, shard, "box-b"), LedgerKey(DAY, shard + 1, "box-c")]
    for key in keys:
        placements.record(key, {3: Placement("inbox")})
    placements.report(keys[0], {3: "complaint"})
    found = placements.read_shard(DAY, shard)
    assert found.keys() == {mailbox_id, "box-b"}
    assert found[mailbox_id] == PlacementDay({3: Placement("inbox")}, {3: "complaint"}, {3: ""})
    assert placements.read_many(keys).keys() == set(keys)


def test_nothing_recorded_leaves_nothing(placements: Placements, key: LedgerKey) -> None:
    placements.record(key, {})
    placements.report(key, {})
    assert placements.read_many([key]) == {}
