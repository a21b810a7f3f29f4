"""Pairs across providers: every guarantee of the pairing as without them, and never fewer such pairs."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from mailtide.warmup.across import LEAST_PARTIES, lowest_shift
from mailtide.warmup.contracts import MailboxProfile, Ramp
from mailtide.warmup.roster import Roster
from tests.property.warmup.test_pairing import DAYS, no_pair_twice_even_by_a_reply, ordinary, user_of
from tests.support.warmup_pools import DAY, day_of_roster, profile, roster_of

PROVIDERS = ("", "google", "microsoft", "yahoo")
USERS = st.lists(
    st.tuples(st.integers(1, 8), st.sampled_from(PROVIDERS), st.sampled_from(PROVIDERS)), min_size=1, max_size=40
)
"""Mailboxes of each user, and the providers that they have in turn."""


def pool(users: Sequence[tuple[int, str, str]], max_daily: int) -> list[MailboxProfile]:
    ramp = Ramp(start_count=1, increase_by=1, max_daily=max_daily)
    return [
        profile(f"u{user}-b{box}", f"u{user}", ramp=ramp).model_copy(update={"provider": (one, other)[box % 2]})
        for user, (size, one, other) in enumerate(users)
        for box in range(size)
    ]


def across(roster: Roster, profiles: Sequence[MailboxProfile]) -> float:
    """Counted mail by mail."""
    provider_of = {one.mailbox_id: one.provider for one in profiles}
    day = day_of_roster(roster)
    ids = day.pool.mailbox_ids
    pairs = [(provider_of[ids[one]], provider_of[ids[to]]) for _, one, to in ordinary(day, extra=False)]
    return sum(one != to for one, to in pairs) / len(pairs) if pairs else 0.0


@settings(max_examples=60)
@given(users=USERS, day=DAYS, wish=st.integers(1, 30))
def test_every_guarantee_holds_and_no_fewer_mails_leave_their_provider(
    users: list[tuple[int, str, str]], day: date, wish: int
) -> None:
    profiles = pool(users, wish)
    plain = roster_of(profiles, day=day, reply_rate=0.45)
    roster = roster_of(profiles, day=day, reply_rate=0.45, pair_across_providers=True)
    found = roster.header.across_providers
    assert plain.header.across_providers is None
    assert (roster.header.case, roster.header.planned) == (plain.header.case, plain.header.planned)
    assert (found is None) == (plain.header.case != "shifts")
    if found is None or not found.followed:
        assert (roster.pool, roster.shards) == (plain.pool, plain.shards)
    if found is None:
        return
    assert abs(found.share - across(roster, profiles)) < 1e-9
    assert abs(found.share_without - across(plain, profiles)) < 1e-9
    assert found.share >= found.share_without
    the_day = day_of_roster(roster)
    mails = ordinary(the_day, extra=True)
    assert all(user_of(the_day, one) != user_of(the_day, to) for _, one, to in mails)
    assert max(Counter((one, to) for _, one, to in mails).values(), default=1) == 1
    assert max(Counter((number, to) for number, _, to in mails).values(), default=1) == 1
    senders = {(to, number): one for number, one, to in mails}
    assert all(the_day.pairing.senders(to, number) == [one] for (to, number), one in senders.items())
    no_pair_twice_even_by_a_reply(roster, the_day)
    # As many rounds for what fails as without the preference, as long as there are twice the target.
    assert roster.header.modulus >= min(plain.header.modulus, 2 * roster.header.max_target)


@given(
    blocks=st.lists(st.integers(1, 2_000), min_size=1, max_size=6),
    largest=st.integers(1, 50),
    target=st.integers(1, 60),
)
def test_the_window_is_as_wide_as_the_best_shifts_and_never_too_narrow(
    blocks: list[int], largest: int, target: int
) -> None:
    count, last = sum(blocks), (sum(blocks) - 1) // 2
    lowest = lowest_shift(blocks, largest, target)
    assert lowest >= largest
    if last < largest:
        return
    width = last - lowest + 1
    assert width >= min(last - largest + 1, max(2 * target, LEAST_PARTIES * largest))

    def within(shift: int) -> int:
        return sum(max(0, size - shift) + max(0, size - (count - shift)) for size in blocks)

    counts = [within(shift) for shift in range(largest, last + 1)]
    assert counts == sorted(counts, reverse=True)
    # A wider one would take in a shift that is worse than the best by more than is tolerated.
    assert lowest == largest or within(lowest - 1) > within(last) + int(0.04 * count)


def test_what_it_brings() -> None:
    """Half at one provider, a third at another: by chance 61 mails in a hundred leave theirs, 95 with the preference."""
    sizes = {"google": 50, "microsoft": 33, "": 17}
    users = [(10, provider, provider) for provider, count in sizes.items() for _ in range(count)]
    profiles = pool(users, 30)
    for number in range(3):
        found = roster_of(
            profiles, day=DAY + timedelta(days=number), pair_across_providers=True
        ).header.across_providers
        assert found is not None
        assert found.followed
        assert 0.55 < found.share_without < 0.68
        assert found.share > 0.9


def test_blocks_change_their_order_from_day_to_day_and_parties_theirs_within_a_block() -> None:
    users = [(2, PROVIDERS[user % 4], PROVIDERS[user % 4]) for user in range(80)]
    profiles = pool(users, 3)
    provider_of = {one.user_id: one.provider for one in profiles}
    orders, insides = set(), set()
    for number in range(6):
        roster = roster_of(profiles, day=DAY + timedelta(days=number), pair_across_providers=True)
        order = [one.partition("-")[0] for one in roster.pool.mailbox_ids]
        blocks = list(dict.fromkeys(provider_of[user] for user in order))
        assert [provider_of[user] for user in order] == [block for block in blocks for _ in range(40)]
        orders.add(tuple(blocks))
        insides.add(tuple(user for user in order if provider_of[user] == "google"))
    assert len(orders) > 1
    assert len(insides) == 6
