"""The roster: targets, ramps, parties, shards, windows, and what changes overnight."""

import itertools
from collections import Counter
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtide.warmup.contracts import MailboxProfile, Ramp, SendWindow
from mailtide.warmup.days import RosterStore
from mailtide.warmup.forecast import mails_by_minute
from mailtide.warmup.memory import MemoryObjects
from mailtide.warmup.parties import free_mail_domains, parties
from mailtide.warmup.pool import Pool, ShardMembers, user_day_limit
from mailtide.warmup.roster import Roster, _collect, shard_of
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.shuffle import Columns
from mailtide.warmup.targets import ramp_target
from tests.support.warmup_pools import DAY, LONG_AGO, day_of_roster, pool_of, profile, roster_of


def targets(roster: Roster) -> dict[str, int]:
    return dict(zip(roster.pool.mailbox_ids, roster.pool.targets, strict=True))


@pytest.mark.parametrize(
    ("ramp", "number", "quota", "expected"),
    [
        (Ramp(), 0, 30, 0),
        (Ramp(), 1, 30, 3),
        (Ramp(), 2, 30, 6),
        (Ramp(), 9, 30, 27),
        (Ramp(), 10, 30, 30),
        (Ramp(), 400, 30, 30),
        (Ramp(), 9, 40, 27),
        (Ramp(), 10, 40, 40),
        (Ramp(max_daily=50), 16, 30, 48),
        (Ramp(max_daily=50), 17, 30, 50),
        (Ramp(start_count=10, increase_by=5, max_daily=12), 1, 1, 10),
        (Ramp(start_count=10, increase_by=5, max_daily=12), 2, 1, 12),
        (Ramp(start_count=10, max_daily=5), 1, 1, 5),
    ],
)
def test_ramps(ramp: Ramp, number: int, quota: int, expected: int) -> None:
    day = LONG_AGO + timedelta(days=number - 1)
    assert ramp_target(ramp, first_day=LONG_AGO, day=day, min_daily_quota=quota) == expected


@given(
    ramp=st.builds(Ramp, start_count=st.integers(1, 10), increase_by=st.integers(1, 5), max_daily=st.integers(1, 200)),
    number=st.integers(1, 400),
    quota=st.integers(1, 100),
)
def test_a_ramp_grows_by_its_step_and_ends_at_its_maximum_or_the_quota(ramp: Ramp, number: int, quota: int) -> None:
    today, tomorrow = (
        ramp_target(ramp, first_day=LONG_AGO, day=LONG_AGO + timedelta(days=n), min_daily_quota=quota)
        for n in (number - 1, number)
    )
    grown = ramp.start_count + (number - 1) * ramp.increase_by
    assert today == (grown if grown < ramp.max_daily else max(ramp.max_daily, quota))
    assert tomorrow >= today or tomorrow == max(ramp.max_daily, quota)


def test_the_quota_lifts_only_mailboxes_whose_ramp_has_ended() -> None:
    boxes = [profile(f"b{n}", f"u{n}", ramp=Ramp(max_daily=10)) for n in range(40)]
    young = [profile(f"y{n}", f"v{n}", ramp=Ramp(max_daily=10), first_day=DAY) for n in range(40)]
    assert Counter(targets(roster_of([*boxes, *young], min_daily_quota=12)).values()) == {12: 40, 3: 40}


def test_who_stands_in_the_roster() -> None:
    boxes = pool_of([1] * 50)
    later = profile("later", "x", first_day=DAY + timedelta(days=1))
    gone = [
        profile("p", "x").model_copy(update={"status": status}) for status in ("paused", "disconnected", "quarantined")
    ]
    assert set(targets(roster_of([*boxes, later, *gone]))) == {box.mailbox_id for box in boxes}
    tomorrow = roster_of([*boxes, later, *gone], day=DAY + timedelta(days=1))
    assert set(targets(tomorrow)) == {box.mailbox_id for box in boxes} | {"later"}


def test_of_two_with_one_address_one_takes_part() -> None:
    """Imported under two ids, a mailbox would be paired with itself."""
    pool = pool_of([2, 2])
    again = pool[0].model_copy(update={"mailbox_id": "a", "user_id": "somebody", "address": pool[0].address.upper()})
    for order in ([*pool, again], [again, *pool]):
        roster = roster_of(order)
        assert sorted(roster.pool.mailbox_ids) == sorted(["a", *(profile.mailbox_id for profile in pool[1:])])
        assert "Mailboxes that take no part, since another one has their address: 1." in roster.header.warnings
    assert not any("take no part" in warning for warning in roster_of(pool).header.warnings)


def test_a_pool_that_changes_overnight_is_shuffled_anew() -> None:
    boxes = pool_of([3] * 60)
    today, tomorrow = roster_of(boxes), roster_of(boxes[6:], day=DAY + timedelta(days=1))
    assert set(tomorrow.pool.mailbox_ids) == {box.mailbox_id for box in boxes[6:]}
    places = {box: place for place, box in enumerate(today.pool.mailbox_ids)}
    order = [places[box] for box in tomorrow.pool.mailbox_ids]
    assert sum(later > earlier for earlier, later in itertools.pairwise(order)) < 0.8 * len(order)
    assert tomorrow.header.base != today.header.base or tomorrow.header.step != today.header.step


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=25),
    gone=st.sets(st.integers(0, 60)),
    stopped=st.sets(st.integers(0, 60)),
    come=st.lists(st.integers(1, 6), max_size=6),
)
def test_tomorrows_roster_holds_whoever_is_active_then_and_todays_stays(
    sizes: list[int], gone: set[int], stopped: set[int], come: list[int]
) -> None:
    """Overnight mailboxes leave, are paused and are added; all that hold today's roster see none of it."""
    before, tomorrow = pool_of(sizes), DAY + timedelta(days=1)
    new = [
        profile(f"new{user}-{box}", f"new{user}", first_day=tomorrow)
        for user, size in enumerate(come)
        for box in range(size)
    ]
    after = [
        box.model_copy(update={"status": "paused"}) if place in stopped else box
        for place, box in enumerate(before)
        if place not in gone
    ]
    bucket = MemoryObjects()
    RosterStore(bucket).write(roster_of(before))
    expected = targets(roster_of(before))
    # The second roster of a day does not count, whatever has changed by then.
    RosterStore(bucket).write(roster_of([*after, *new]))
    kept = RosterStore(bucket).pool(DAY)
    assert kept is not None
    assert dict(zip(kept.pool.mailbox_ids, kept.pool.targets, strict=True)) == expected
    assert expected.keys() == {box.mailbox_id for box in before}
    later = roster_of([*after, *new], day=tomorrow)
    active = {box.mailbox_id for box in after if box.status == "active"}
    assert set(later.pool.mailbox_ids) == active | {box.mailbox_id for box in new}
    day = day_of_roster(later)
    for index, target in enumerate(later.pool.targets):
        recipients = [day.pairing.recipient(index, number) for number in range(target)]
        assert len({index, *recipients}) == target + 1


BOXES = pool_of([2, 5, 1, 1, 3, 7, 4, 1, 6])


@given(st.permutations(BOXES))
def test_the_same_pool_gives_the_same_roster_in_whatever_order_it_comes(shuffled: list[MailboxProfile]) -> None:
    one, other = roster_of(BOXES), roster_of(shuffled)
    assert one.pool == other.pool
    assert one.shards == other.shards
    assert one.header.model_copy(update={"token": ""}) == other.header.model_copy(update={"token": ""})


@given(sizes=st.lists(st.integers(1, 8), min_size=1, max_size=30))
def test_the_shuffle_keeps_parties_together(sizes: list[int]) -> None:
    roster = roster_of(pool_of(sizes))
    users = [box.partition("-")[0] for box in roster.pool.mailbox_ids]
    begins = [i for i, user in enumerate(users) if i == 0 or users[i - 1] != user]
    assert len(begins) == len(sizes)
    assert list(roster.pool.party_starts) == begins
    assert roster.header.largest_party == max(sizes)


def test_users_of_one_company_are_one_party() -> None:
    found = parties(
        [
            ("c", "acme.example"),
            ("a", "acme.example"),
            ("a", "other.example"),
            ("b", "other.example"),
            ("d", "x.example"),
        ]
    )
    assert found == {"a": "a", "b": "a", "c": "a", "d": "d"}
    boxes = [profile(f"c{n}", f"c{n}", domain="acme.example") for n in range(4)]
    assert roster_of([*boxes, *pool_of([1] * 100)]).header.largest_party == 4


def test_free_mail_joins_nobody() -> None:
    assert {"gmail.com", "outlook.com", "web.de", "qq.com"} <= free_mail_domains()
    assert parties([("a", "gmail.com"), ("b", "gmail.com")]) == {"a": "a", "b": "b"}
    assert all(domain == domain.lower() and "." in domain for domain in free_mail_domains())


@given(count=st.integers(1, 300), shards=st.integers(1, 20))
def test_shards_part_the_pool(count: int, shards: int) -> None:
    roster = roster_of(pool_of([1] * count), shards=shards)
    assert sorted(i for share in roster.shards for i in share.indexes) == list(range(count))
    for number, share in enumerate(roster.shards):
        ids = [roster.pool.mailbox_ids[i] for i in share.indexes]
        assert all(shard_of(box, shards) == number for box in ids)
        assert [share.user_ids[user] for user in share.users] == [box.partition("-")[0] for box in ids]
        assert sum(roster.pool.targets[i] for i in share.indexes) == roster.header.planned_by_shard[number]
    assert sum(roster.header.planned_by_shard) == roster.header.planned


def test_a_users_planned_mails_count_all_its_shards() -> None:
    roster = roster_of(pool_of([40, *[1] * 100]), shards=8)
    assert {share.user_planned[share.user_ids.index("u0")] for share in roster.shards if "u0" in share.user_ids} == {
        40 * 30
    }
    assert user_day_limit(1_200, 1.2) == 1_440
    assert user_day_limit(3, 1.2) == 3


def test_a_short_window_lowers_the_target_and_says_so() -> None:
    narrow = SendWindow(opens_min=540, closes_min=600)
    roster = roster_of([profile("narrow", "n", window=narrow), *pool_of([1] * 100)])
    assert targets(roster)["narrow"] == 3_312 // 300
    assert [(r.reason, r.mailboxes, r.mails) for r in roster.header.reductions] == [("cooldown", 1, 30 - 11)]
    assert roster_of(pool_of([1] * 100)).header.reductions == ()


def test_a_day_off_is_no_reduction_and_the_mailbox_still_receives() -> None:
    off = SendWindow(weekdays=(0, 1, 2, 3, 4))
    roster = roster_of([profile("off", "n", window=off), *pool_of([1] * 100)])
    assert (targets(roster)["off"], roster.header.reductions) == (0, ())
    day = day_of_roster(roster)
    index = roster.pool.mailbox_ids.index("off")
    assert all(len(day.pairing.senders(index, number)) == 1 for number in range(30))


def test_crowded_minutes_are_reported() -> None:
    narrow = SendWindow(opens_min=600, closes_min=840)
    boxes = [profile(f"b{n}", f"u{n}", window=narrow) for n in range(200)]
    roster = roster_of(boxes, global_minute_limit=20)
    counts = mails_by_minute(DAY, roster.pool, roster.header.windows, 300_000)
    assert sum(counts) == 200 * 30
    busy = {entry.minute: entry.planned for entry in roster.header.busy_minutes}
    assert busy == {minute: count for minute, count in enumerate(counts) if count > 19}
    assert busy
    assert set(busy) <= set(range(600, 840))
    assert roster_of(boxes, global_minute_limit=200).header.busy_minutes == ()


def test_too_much_for_the_limits_is_a_warning() -> None:
    assert roster_of(pool_of([1] * 100)).header.warnings == ()
    assert "let 2400 through" in roster_of(pool_of([1] * 100), global_hourly_limit=100).header.warnings[0]
    crowded = roster_of(pool_of([20, *[1] * 100]), user_hourly_limit=10).header.warnings
    assert crowded == ("1 users plan more mails than WARMUP_USER_HOURLY_LIMIT lets through in a day.",)


def test_columns_come_back_as_they_went() -> None:
    roster = roster_of(pool_of([5, 1, 3, *[1] * 60]))
    assert Pool.from_bytes(roster.pool.to_bytes()) == roster.pool
    assert [ShardMembers.from_bytes(share.to_bytes()) for share in roster.shards] == roster.shards
    empty = roster_of([])
    assert Pool.from_bytes(empty.pool.to_bytes()) == empty.pool
    with pytest.raises(ValueError, match="no columns"):
        Pool.from_bytes(b"{}")
    with pytest.raises(ValueError, match="cut off"):
        Pool.from_bytes(roster.pool.to_bytes()[:-9])
    with pytest.raises(ValueError, match="missing"):
        Pool.from_bytes(roster.shards[0].to_bytes())


def test_the_first_roster_of_a_day_counts() -> None:
    bucket = MemoryObjects()
    first, second = roster_of(pool_of([1] * 9)), roster_of(pool_of([1] * 12))
    assert RosterStore(bucket).write(first) == first.header
    assert RosterStore(bucket).write(second) == first.header
    store = RosterStore(bucket)
    pool = store.pool(DAY)
    assert pool is not None
    assert pool.pool == first.pool
    members = []
    for number in range(4):
        shard = store.shard(DAY, number)
        assert shard is not None
        members += shard.members
    assert sorted(member.mailbox_id for member in members) == sorted(first.pool.mailbox_ids)
    assert store.shard(DAY, 4) is None
    assert store.pool(date(2020, 1, 1)) is None


def test_profiles_refuse_what_cannot_be_an_address() -> None:
    assert profile("a", "b", domain="ACME.Example").domain == "acme.example"
    for bad in ("a", "a@b", "a b@c.de", "a@b..de", "a@b.de\nBcc: x@y.z", "ä@b.de"):
        with pytest.raises(ValueError, match="address"):
            MailboxProfile.model_validate({**profile("x", "y").model_dump(), "address": bad})


def test_there_may_be_more_windows_than_two_bytes_count() -> None:
    """Minutes of opening and closing make two million."""
    columns = Columns()
    columns.ids.append("box")
    columns.users.append("user")
    columns.domains.append("b.example")
    columns.providers.append("")
    columns.targets.append(1)
    columns.windows.append(70_000)
    assert list(columns.reordered([0]).windows) == [70_000]


def test_nobody_sends_more_than_its_provider_allows() -> None:
    """A pool that has recipients for so many mails takes seconds, so this looks at what comes before the pairing."""
    ramp = Ramp(start_count=10, increase_by=5, max_daily=600)
    boxes = [
        profile(provider or "none", provider or "none", ramp=ramp).model_copy(update={"provider": provider})
        for provider in ("gmail", "google", "gone", "")
    ]
    rules = WarmupSettings(mailbox_cooldown_min_ms=0, mailbox_cooldown_max_ms=132_000)
    columns, _, reductions, _ = _collect(boxes, DAY, rules)
    assert dict(zip(columns.ids, columns.targets, strict=True)) == {
        "gmail": 500,
        "google": 600,
        "gone": 600,
        "none": 600,
    }
    (found,) = (one for one in reductions if one.mails)
    assert (found.reason, found.mailboxes, found.mails) == ("provider", 1, 100)
