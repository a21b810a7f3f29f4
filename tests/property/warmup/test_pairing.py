"""Recipients: each guarantee of the spec, in each of its cases, with replies."""

import itertools
from collections import Counter
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtide.warmup.days import PoolDay, make_shard_day
from mailtide.warmup.replies import planned_replies
from mailtide.warmup.roster import Roster
from tests.support.warmup_pools import day_of_roster, pool_of, roster_of

SIZES = st.one_of(
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
    st.tuples(st.integers(10, 60), st.lists(st.integers(1, 3), min_size=1, max_size=30)).map(lambda x: [x[0], *x[1]]),
    st.integers(1, 40).map(lambda size: [size]),
    st.integers(2, 90).map(lambda count: [1] * count),
)
DAYS = st.dates(date(2026, 1, 1), date(2030, 12, 31))
WISHES = st.integers(1, 40)


def pool_day(sizes: list[int], day: date, wish: int) -> PoolDay:
    return day_of_roster(roster_of(pool_of(sizes, max_daily=wish), day=day, reply_rate=0.45))


def user_of(day: PoolDay, index: int) -> str:
    return day.pool.mailbox_ids[index].partition("-")[0]


def ordinary(day: PoolDay, *, extra: bool) -> list[tuple[int, int, int]]:
    """(round, sender, recipient) of every mail of the day, with the extra slots that could be opened if wanted."""
    found = []
    for index, target in enumerate(day.pool.targets):
        last = min(2 * target, day.pairing.rounds(index)) if extra else target
        found += [(number, index, day.pairing.recipient(index, number)) for number in range(last)]
    return found


@given(sizes=SIZES, day=DAYS, wish=WISHES)
def test_nobody_writes_to_itself_or_twice_to_the_same(sizes: list[int], day: date, wish: int) -> None:
    the_day = pool_day(sizes, day, wish)
    mails = ordinary(the_day, extra=True)
    assert all(sender != recipient for _, sender, recipient in mails)
    pairs = Counter((sender, recipient) for _, sender, recipient in mails)
    assert max(pairs.values(), default=1) == 1


@given(sizes=SIZES, day=DAYS, wish=WISHES)
def test_nobody_writes_to_its_own_party(sizes: list[int], day: date, wish: int) -> None:
    the_day = pool_day(sizes, day, wish)
    if the_day.header.case == "one_party":
        assert len(sizes) == 1
        return
    assert all(user_of(the_day, sender) != user_of(the_day, to) for _, sender, to in ordinary(the_day, extra=True))


@given(sizes=SIZES, day=DAYS, wish=WISHES)
def test_the_recipients_of_a_round_differ(sizes: list[int], day: date, wish: int) -> None:
    the_day = pool_day(sizes, day, wish)
    if the_day.header.case == "around_party":
        return
    rounds = Counter((number, recipient) for number, _, recipient in ordinary(the_day, extra=True))
    assert max(rounds.values(), default=1) == 1


@given(sizes=SIZES, day=DAYS, wish=WISHES)
def test_senders_is_the_inverse_of_recipient(sizes: list[int], day: date, wish: int) -> None:
    the_day = pool_day(sizes, day, wish)
    expected: dict[tuple[int, int], list[int]] = {}
    for index in range(the_day.header.mailboxes):
        for number in range(min(the_day.pairing.rounds(index), 45)):
            expected.setdefault((the_day.pairing.recipient(index, number), number), []).append(index)
    for index in range(the_day.header.mailboxes):
        for number in range(45):
            assert the_day.pairing.senders(index, number) == sorted(expected.get((index, number), []))


@settings(max_examples=40)
@given(sizes=SIZES, day=DAYS, wish=st.integers(1, 30))
def test_no_pair_twice_a_day_even_by_a_reply(sizes: list[int], day: date, wish: int) -> None:
    roster = roster_of(pool_of(sizes, max_daily=wish), day=day, reply_rate=0.45)
    no_pair_twice_even_by_a_reply(roster, day_of_roster(roster))


def no_pair_twice_even_by_a_reply(roster: Roster, the_day: PoolDay) -> None:
    pairs: Counter[tuple[int, int]] = Counter()
    replies = 0
    for number, share in enumerate(roster.shards):
        shard = make_shard_day(the_day, number, share)
        for member in shard.members:
            answers = planned_replies(shard, member)
            replies += len(answers)
            for round_ in range(member.target):
                # Whichever of the two the slot turns out to be, no other slot may use the same pair.
                candidates = {the_day.pairing.recipient(member.index, round_)}
                if round_ in answers:
                    candidates.add(answers[round_][0])
                pairs.update((member.index, other) for other in candidates)
    if the_day.header.case != "all_shifts":
        assert max(pairs.values(), default=1) == 1
    if the_day.header.case == "shifts" and the_day.header.planned > 300:
        assert replies > 0


@pytest.mark.parametrize(
    ("sizes", "wish", "case", "targets"),
    [
        ([1], 30, "empty", {0}),
        ([1, 1], 1, "all_shifts", {1}),
        ([1, 1], 30, "around_party", {1}),
        ([1, 1, 1], 1, "shifts", {1}),
        ([1, 1, 1], 2, "all_shifts", {2}),
        ([1, 1, 1], 30, "around_party", {2}),
        ([1] * 1000, 30, "shifts", {30}),
        ([100] * 10, 30, "shifts", {30}),
        ([470, *[10] * 53], 30, "shifts", {30}),
        ([480, *[10] * 52], 30, "all_shifts", {30}),
        ([500, *[10] * 50], 30, "around_party", {30}),
        ([900, *[10] * 10], 30, "around_party", {3, 30}),
        ([1000], 30, "one_party", {30}),
        ([5], 30, "one_party", {4}),
    ],
)
def test_the_case_and_what_it_costs(sizes: list[int], wish: int, case: str, targets: set[int]) -> None:
    header = (roster := roster_of(pool_of(sizes, max_daily=wish))).header
    assert (header.case, set(roster.pool.targets)) == (case, targets)
    lost = wish * sum(sizes) - header.planned
    assert sum(reduction.mails for reduction in header.reductions) == lost
    assert (f" {lost} mails fewer" in header.case_note) == (lost > 0 and case != "empty")


NAMED = {
    "two mailboxes": [1, 1],
    "two of one user": [2],
    "three mailboxes": [1, 1, 1],
    "three of two users": [2, 1],
    "three of one user": [3],
    "a thousand of a user each": [1] * 1_000,
    "a thousand, nearly half of one user": [490, *[10] * 51],
    "a thousand, half of one user": [500, *[10] * 50],
    "a thousand, all but ten of one user": [990, *[1] * 10],
    "a thousand of one user": [1_000],
}
"""The pools that the rules name."""


@settings(max_examples=2)
@given(day=DAYS, wish=st.sampled_from([1, 3, 30]))
@pytest.mark.parametrize("sizes", NAMED.values(), ids=NAMED.keys())
def test_every_guarantee_in_the_pools_that_the_rules_name(sizes: list[int], day: date, wish: int) -> None:
    roster = roster_of(pool_of(sizes, max_daily=wish), day=day, reply_rate=0.45)
    the_day = day_of_roster(roster)
    header, users = roster.header, [user_of(the_day, index) for index in range(sum(sizes))]
    mails = ordinary(the_day, extra=False)
    # Targets are met, or the roster says what they lose.
    assert len(mails) == header.planned == wish * sum(sizes) - sum(each.mails for each in header.reductions)
    assert all(sender != to for _, sender, to in mails)
    assert len({(sender, to) for _, sender, to in mails}) == len(mails)
    if len(sizes) > 1:
        assert all(users[sender] != users[to] for _, sender, to in mails)
    if header.case != "around_party":
        assert len({(number, to) for number, _, to in mails}) == len(mails)
    no_pair_twice_even_by_a_reply(roster, the_day)
    for index in range(0, sum(sizes), 50):
        due = sorted(the_day.slots(index))
        assert all(later - earlier >= header.cooldown_max_ms for earlier, later in itertools.pairwise(due))


def test_around_a_party_nobody_sends_more_than_the_others_can_take() -> None:
    roster = roster_of(pool_of([900, *[10] * 10], max_daily=30))
    starts = [*roster.pool.party_starts, 1000]
    sizes = [after - before for before, after in itertools.pairwise(starts)]
    for start, size in zip(starts, sizes, strict=False):
        assert set(roster.pool.targets[start : start + size]) == {min(30, 1000 - size, 30 * (1000 - size) // size)}
