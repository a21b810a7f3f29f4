"""What follows from placement, bounces and complaints, day by day."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.warmup.contracts import MailboxProfile, MailboxStatus, Ramp
from mailtide.warmup.reading.health import after_day, held_back, pace_of
from mailtide.warmup.reading.record import HISTORY_DAYS, WINDOW_DAYS, DayTally, Landed, MailboxHealth, ScorePoint
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.targets import ramp_end, ramp_target
from tests.support.placements import mailbox, tally
from tests.support.warmup_pools import DAY, settings

ONE = timedelta(days=1)
RULES = settings()
BOX = mailbox(1, first_day=DAY)
OLD = mailbox(1)
"""Its ramp ended long ago."""


def live(
    days: list[DayTally],
    box: MailboxProfile = BOX,
    rules: WarmupSettings | None = None,
    old: MailboxHealth | None = None,
) -> MailboxHealth:
    """The record after these days."""
    for day in days:
        old = after_day(old, day, box, rules or RULES)
    assert old is not None
    return old


def week(inbox: int, junk: int = 0, missing: int = 0, *, first: date = DAY, days: int = 7) -> list[DayTally]:
    return [tally(first + number * ONE, inbox, junk, missing) for number in range(days)]


def with_status(status: MailboxStatus) -> MailboxProfile:
    return BOX.model_copy(update={"status": status})


@given(
    st.lists(
        st.builds(Landed, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)).filter(lambda one: one.seen <= 3),
        min_size=1,
        max_size=6,
    )
)
def test_three_mails_a_day_for_less_than_a_week_quarantine_nobody(days: list[Landed]) -> None:
    found = live([tally(DAY + number * ONE, *landed) for number, landed in enumerate(days)])
    assert (found.state, pace_of(found, RULES), held_back(found, RULES)) == ("full", 1.0, "")


def test_placement_that_is_surely_too_bad_slows_from_the_day_after_next_on() -> None:
    found = live([tally(DAY, 85, 40, 15)])
    assert (found.state, found.since, found.reason) == ("slowed", DAY + 2 * ONE, "61 % of 140 mails in the inbox")
    assert pace_of(found, RULES) == 0.5
    assert held_back(found, RULES) == "slowed from 2026-11-23 on: 61 % of 140 mails in the inbox"


def test_nobody_goes_to_and_fro_between_the_two_sides_of_the_threshold() -> None:
    unsure = tally(DAY, 31, 9)  # 78 %, from 62 % to 88 %
    assert live([unsure]).state == "full"
    slowed = live(week(20, 20, days=1))
    again = live([tally(DAY + ONE, 300, 55)], old=slowed)  # 81 % of all: the interval holds 80 %
    assert again.state == "slowed"
    assert again.since == slowed.since


def test_surely_good_again_goes_on_at_full_pace() -> None:
    slowed = live(week(10, 15, days=1))
    found = live(week(30, first=DAY + ONE, days=6), old=slowed)
    assert (found.state, found.reason, pace_of(found, RULES)) == ("full", "", 1.0)
    assert found.since is not None
    assert DAY + 2 * ONE < found.since <= found.through + 2 * ONE


def test_a_mailbox_of_few_mails_gets_out_after_its_days_if_nothing_new_is_against_it() -> None:
    slowed = live(week(2, 20, days=1), rules=(rules := settings(quarantine_inbox_share=0)))
    assert slowed.state == "slowed"
    few = [tally(DAY + number * ONE, 2) for number in range(1, 12)]
    states = []
    found = slowed
    for day in few:
        found = after_day(found, day, BOX, rules)
        states.append(found.state)
    # It is slowed from DAY + 2 on; the seventh such day is DAY + 8.
    assert states == ["slowed"] * 7 + ["full"] * 4


def test_the_number_of_slow_days_is_a_setting() -> None:
    slowed = live([tally(DAY, 40, complaints=1)])
    rules = settings(slow_days=1)
    quiet = [tally(DAY + number * ONE, 1) for number in range(1, 9)]
    assert live(quiet[:6], rules=rules, old=slowed).state == "slowed", "the complaint is within the week"
    assert live(quiet[:7], rules=rules, old=slowed).state == "full"
    assert live(quiet[:7], rules=settings(slow_days=30), old=live([tally(DAY, 2, 19, complaints=1)])).state == "slowed"


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, "slowed"),
        ({"slow_inbox_share": 0.5}, "full"),
        ({"slow_inbox_share": 0}, "full"),
        ({"placement_min_mails": 141}, "full"),
        ({"quarantine_inbox_share": 0.7}, "quarantined"),
    ],
)
def test_the_thresholds_are_settings(values: dict[str, float], state: str) -> None:
    rules = settings(**values)
    # 61 % of 140, from 52 % to 68 %.
    assert live([tally(DAY, 85, 40, 15)], rules=rules).state == state


def test_the_pace_is_a_setting_and_a_pace_of_one_holds_nobody_back() -> None:
    slowed = live([tally(DAY, 85, 40, 15)])
    assert pace_of(slowed, settings(slow_pace=0.25)) == 0.25
    assert (pace_of(slowed, settings(slow_pace=1)), held_back(slowed, settings(slow_pace=1))) == (1.0, "")


def test_far_too_bad_is_quarantined_at_once_and_begins_slowly_when_it_is_resumed() -> None:
    found = live([tally(DAY, 3, 20)])
    assert (found.state, found.since, found.reason) == ("quarantined", DAY + ONE, "13 % of 23 mails in the inbox")
    assert pace_of(found, RULES) == 0.5
    standing = live([tally(DAY + ONE)], with_status("quarantined"), old=found)
    assert (standing.state, standing.since) == ("quarantined", DAY + ONE)
    resumed = live([tally(DAY + 2 * ONE, 1)], old=standing)
    assert (resumed.state, resumed.reason) == ("slowed", "resumed after a quarantine")
    assert live(week(1, first=DAY + 3 * ONE), old=resumed).state == "full"


def test_what_it_was_quarantined_for_counts_once() -> None:
    found = live([tally(DAY, 0, 100)])
    resumed = live([tally(DAY + ONE, 0, 5), tally(DAY + 2 * ONE, 15)], old=found)
    assert resumed.state == "slowed"
    assert resumed.week().total == Landed(15, 105), "it is shown nevertheless"
    assert live([tally(DAY + 3 * ONE, 0, 60)], old=resumed).state == "quarantined"


@pytest.mark.parametrize("status", ["paused", "disconnected"])
def test_what_a_person_has_paused_is_not_quarantined(status: MailboxStatus) -> None:
    assert live([tally(DAY, 3, 20)], with_status(status)).state == "slowed"


def test_a_repeat_after_the_quarantine_was_spoken_comes_to_the_same() -> None:
    day = tally(DAY, 3, 20)
    assert live([day], with_status("quarantined")) == live([day])


def test_whoever_may_not_be_quarantined_is_slowed() -> None:
    found = after_day(None, tally(DAY, 3, 20), BOX, RULES, may_quarantine=False)
    assert (found.state, found.reason) == ("slowed", "13 % of 23 mails in the inbox")


@pytest.mark.parametrize(("complaints", "state"), [(0, "full"), (1, "slowed"), (2, "quarantined"), (5, "quarantined")])
def test_complaints(complaints: int, state: str) -> None:
    found = live([tally(DAY, 3, complaints=complaints)])
    assert found.state == state
    assert state == "full" or found.reason.startswith(f"{complaints} complaint")


@pytest.mark.parametrize(("complainers", "state"), [((), "slowed"), (("a",), "slowed"), (("a", "b"), "quarantined")])
def test_complaints_of_nobody_or_of_one_user_slow_at_most(complainers: tuple[str, ...], state: str) -> None:
    day = tally(DAY, 30, complaints=9).model_copy(update={"complainers": complainers})
    assert live([day]).state == state
    assert live([tally(DAY, 30), day.model_copy(update={"day": DAY + ONE})]).state == state


def test_a_user_who_complains_every_day_is_one() -> None:
    days = [tally(DAY + number * ONE, 30, complaints=1) for number in range(5)]
    assert live(days).state == "quarantined"
    assert live([day.model_copy(update={"complainers": ("rival",)}) for day in days]).state == "slowed"


def test_the_number_of_complaints_is_a_setting() -> None:
    assert live([tally(DAY, 30, complaints=2)], rules=settings(quarantine_complaints=4)).state == "full"
    assert live([tally(DAY, 30, complaints=3)], rules=settings(quarantine_complaints=4)).state == "slowed"
    assert live([tally(DAY, 30, complaints=1)], rules=settings(quarantine_complaints=1)).state == "quarantined"


@pytest.mark.parametrize(
    ("bounces", "sent", "state"),
    [(3, 3, "full"), (19, 19, "full"), (12, 140, "full"), (13, 140, "quarantined"), (10, 10, "full")],
)
def test_bounces_count_with_a_sample_that_is_large_enough(bounces: int, sent: int, state: str) -> None:
    found = live([tally(DAY, bounces=bounces, sent=sent)])
    assert found.state == state
    assert state == "full" or found.reason == "13 of 140 mails came back"


def test_the_share_of_bounces_is_a_setting() -> None:
    day = tally(DAY, bounces=13, sent=140)
    assert live([day], rules=settings(quarantine_bounce_share=0.2)).state == "full"
    assert live([tally(DAY, bounces=140, sent=140)], rules=settings(quarantine_bounce_share=1)).state == "full"


def test_far_too_bad_at_one_provider_slows_however_well_it_goes_elsewhere() -> None:
    day = tally(DAY, 190).model_copy(update={"landed": {"google": Landed(190), "microsoft": Landed(4, 26)}})
    found = live([day])
    assert (found.state, found.reason) == ("slowed", "13 % of 30 mails in the inbox at microsoft")


def test_graduation_needs_the_end_of_the_ramp_the_days_and_a_sure_score() -> None:
    box = mailbox(1, ramp=Ramp(start_count=3, increase_by=3, max_daily=30), first_day=DAY)
    end = ramp_end(box.ramp, first_day=DAY)
    assert end == DAY + 9 * ONE
    days = week(30, days=26)
    earliest = end + 14 * ONE
    graduated = [found.graduated_on for found in (live(days[: n + 1], box) for n in range(26))]
    assert graduated == [None] * 23 + [earliest] * 3
    assert live(days, box, settings(graduate_days=30)).graduated_on is None
    assert live(days, box, settings(graduate_inbox_share=0.99)).graduated_on is None
    assert live(days, box, settings(placement_min_mails=211)).graduated_on is None
    assert live(days, with_status("paused")).graduated_on is None
    assert live(week(4, 0, first=DAY), OLD).graduated_on is None, "28 of 28 may well be 88 %"
    assert live(week(5, 0, first=DAY), OLD).graduated_on == DAY + 6 * ONE


def test_a_graduate_keeps_its_day_when_it_is_slowed_and_loses_it_when_it_is_quarantined() -> None:
    graduate = live(week(30, first=DAY), OLD)
    slowed = live([tally(DAY + 7 * ONE, 60, 120)], OLD, old=graduate)
    assert (slowed.state, slowed.graduated_on) == ("slowed", graduate.graduated_on)
    assert live([tally(DAY + 8 * ONE, 0, 900)], OLD, old=slowed).graduated_on is None


def test_a_quota_of_graduates_is_said() -> None:
    graduate = live(week(30, first=DAY), OLD)
    assert held_back(graduate, RULES) == ""
    assert held_back(graduate, settings(graduated_quota=5)) == "graduated on 2026-11-22: at most 5 mails a day"


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=50))
def test_the_record_holds_the_last_seven_days_and_a_score_a_day(steps: list[tuple[int, int, int]]) -> None:
    day, tallies = DAY, []
    for gap, inbox, junk in steps:
        tallies.append(tally(day, inbox, junk))
        day += gap * ONE
    found = live(tallies)
    last = tallies[-1].day
    within = [one for one in tallies if one.day > last - WINDOW_DAYS * ONE]
    assert found.week().total.inbox == sum(one.total.inbox for one in within)
    assert found.week().total.seen == sum(one.total.seen for one in within)
    assert len(found.days) <= WINDOW_DAYS
    assert len(found.history) <= HISTORY_DAYS
    assert [point.day for point in found.history] == sorted({point.day for point in found.history})
    if found.history and found.history[-1].day == last:
        assert found.history[-1] == ScorePoint(last, found.week().total.inbox, found.week().total.seen)
    assert MailboxHealth.from_text(found.to_text()) == found
    assert len(found.to_text()) < 2_500
    assert after_day(found, tallies[-1], BOX, RULES) is found, "a day counts once"


def test_a_record_that_cannot_be_read_counts_as_none() -> None:
    assert MailboxHealth.from_text("") is None
    assert MailboxHealth.from_text('{"through":') is None
    assert MailboxHealth.from_text('{"through":"2026-11-21","of_a_later_version":1}') is None


@given(st.integers(1, 10), st.integers(1, 5), st.integers(1, 100))
def test_a_ramp_ends_on_the_first_day_at_its_most(start: int, step: int, most: int) -> None:
    ramp = Ramp(start_count=start, increase_by=step, max_daily=most)
    end = ramp_end(ramp, first_day=DAY)
    assert ramp_target(ramp, first_day=DAY, day=end, min_daily_quota=1) == most
    before = ramp_target(ramp, first_day=DAY, day=end - ONE, min_daily_quota=1)
    assert end == DAY or before < most


RANK = {"full": 0, "slowed": 1, "quarantined": 2}


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9), st.integers(0, 3))
def test_a_worse_day_never_ends_better(inbox: int, junk: int, bounces: int, complaints: int) -> None:
    found = live([tally(DAY, inbox, junk, bounces=bounces, complaints=complaints)])
    worse = [
        tally(DAY, max(0, inbox - 1), junk + min(1, inbox), bounces=bounces, complaints=complaints),
        tally(DAY, inbox, junk, bounces=bounces + 1, complaints=complaints),
        tally(DAY, inbox, junk, bounces=bounces, complaints=complaints + 1),
    ]
    assert all(RANK[live([day]).state] >= RANK[found.state] for day in worse)
