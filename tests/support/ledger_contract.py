"""What every ledger does: DynamoDB's and the one in memory. Import the tests into a module that has a fixture `ledger`."""

import itertools
from dataclasses import replace
from datetime import date, timedelta

import pytest

from mailtide.contracts import new_token
from mailtide.warmup.contracts import DAY_MS, LedgerKey, LedgerView, RoundState, day_start_ms
from mailtide.warmup.ports import CLAIM_TTL_MS, Claim, ClaimAnswer, Ledger, nothing_yet

DAY = date(2026, 11, 21)
START = day_start_ms(DAY)
NOON = START + DAY_MS // 2
COOLDOWN = 120_000
_numbers = itertools.count(1)


@pytest.fixture
def key() -> LedgerKey:
    return LedgerKey(DAY, 7, f"box-{next(_numbers)}-{new_token()[:6]}")


def take(
    ledger: Ledger,
    claim: Claim,
    *,
    now: int = NOON,
    target: int = 3,
    cooldown: int = COOLDOWN,
    end: int = START + DAY_MS,
) -> ClaimAnswer:
    return ledger.claim(claim, target=target, now_ms=now, next_ok_ms=now + cooldown, day_end_ms=end)


def fresh(key: LedgerKey, number: int = 0) -> Claim:
    return Claim(key, number, new_token())


def held(
    ledger: Ledger, key: LedgerKey, number: int = 0, now: int = NOON, target: int = 3
) -> tuple[Claim, ClaimAnswer]:
    claim = fresh(key, number)
    answer = take(ledger, claim, now=now, target=target)
    assert answer.outcome == "held", answer
    return claim, answer


def begun(ledger: Ledger, key: LedgerKey, number: int = 0, now: int = NOON, target: int = 3) -> Claim:
    claim, _ = held(ledger, key, number, now, target)
    assert ledger.begin_data(claim, now_ms=now + 1_000, next_ok_ms=now + 1_000 + COOLDOWN)
    return claim


def seen(ledger: Ledger, key: LedgerKey) -> LedgerView:
    view = ledger.read(key)
    assert view is not None
    return view


def counts(view: LedgerView) -> tuple[int, int, int, int]:
    return view.sent, view.failed, view.unknown, view.in_flight


def test_nothing_is_there_before_the_first_claim(ledger: Ledger, key: LedgerKey) -> None:
    assert ledger.read(key) is None


def test_a_claim_takes_the_round_and_the_cooldown(ledger: Ledger, key: LedgerKey) -> None:
    claim, answer = held(ledger, key, 2)
    assert (answer.taken_over, answer.next_ok_ms, answer.tries) == (False, NOON + COOLDOWN, 0)
    view = seen(ledger, key)
    assert (view.states, counts(view), view.next_ok_ms, view.target) == ("..c", (0, 0, 0, 1), NOON + COOLDOWN, 3)
    assert view.expires_ms == {2: NOON + CLAIM_TTL_MS}
    assert ledger.read(replace(key, mailbox_id="other")) is None
    assert claim.round == 2


def test_the_same_token_is_held_again_whenever_it_asks(ledger: Ledger, key: LedgerKey) -> None:
    claim, _ = held(ledger, key)
    again = take(ledger, claim, now=NOON + 1)
    assert (again.outcome, again.next_ok_ms) == ("held", NOON + COOLDOWN)
    assert counts(seen(ledger, key)) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("number", "now", "target", "reason"),
    [
        (0, NOON + COOLDOWN, 3, "busy"),
        (1, NOON + COOLDOWN - 1, 3, "too_early"),
        (1, NOON + COOLDOWN, 1, "quota"),
        (1, START + DAY_MS, 3, "day_over"),
    ],
)
def test_refusals(ledger: Ledger, key: LedgerKey, number: int, now: int, target: int, reason: str) -> None:
    held(ledger, key)
    answer = take(ledger, fresh(key, number), now=now, target=target)
    assert (answer.outcome, answer.reason, answer.next_ok_ms) == ("refused", reason, NOON + COOLDOWN)
    assert counts(seen(ledger, key)) == (0, 0, 0, 1)


def test_no_target_no_claim(ledger: Ledger, key: LedgerKey) -> None:
    assert take(ledger, fresh(key), target=0).reason == "quota"
    assert ledger.read(key) is None


def test_the_cooldown_ends_on_time(ledger: Ledger, key: LedgerKey) -> None:
    held(ledger, key)
    assert take(ledger, fresh(key, 1), now=NOON + COOLDOWN).outcome == "held"


@pytest.mark.parametrize("outcome", ["sent", "sent_reply", "failed", "unknown"])
def test_a_finished_round_is_never_claimed_again(ledger: Ledger, key: LedgerKey, outcome: str) -> None:
    claim = begun(ledger, key)
    assert ledger.finish(claim, outcome)  # type: ignore[arg-type]  # the parameters are outcomes
    assert ledger.finish(claim, outcome)  # type: ignore[arg-type]  # likewise
    answer = take(ledger, fresh(key), now=NOON + 2 * CLAIM_TTL_MS)
    assert (answer.outcome, answer.reason) == ("refused", "done")
    expected = {"sent": (1, 0, 0, 0), "sent_reply": (1, 0, 0, 0), "failed": (0, 1, 0, 0), "unknown": (0, 0, 1, 0)}
    assert counts(seen(ledger, key)) == expected[outcome]


def test_a_failed_round_leaves_room_below_the_target(ledger: Ledger, key: LedgerKey) -> None:
    claim, _ = held(ledger, key, target=1)
    assert ledger.finish(claim, "failed")
    assert take(ledger, fresh(key, 1), now=NOON + COOLDOWN, target=1).outcome == "held"


def test_sending_cannot_become_sent_or_unknown(ledger: Ledger, key: LedgerKey) -> None:
    claim, _ = held(ledger, key)
    assert not ledger.finish(claim, "sent")
    assert not ledger.finish(claim, "unknown")
    assert seen(ledger, key).state(0) == RoundState.SENDING


def test_an_expired_claim_is_taken_over(ledger: Ledger, key: LedgerKey) -> None:
    first, _ = held(ledger, key, target=1)
    now = NOON + CLAIM_TTL_MS
    assert take(ledger, fresh(key), now=now - 1, target=1).reason == "busy"
    second = fresh(key)
    answer = take(ledger, second, now=now, target=1)
    assert (answer.outcome, answer.taken_over, answer.next_ok_ms) == ("held", True, NOON + COOLDOWN)
    view = seen(ledger, key)
    assert (counts(view), view.next_ok_ms) == ((0, 0, 0, 1), NOON + COOLDOWN)
    assert view.expires_ms == {0: now + CLAIM_TTL_MS}
    assert not ledger.begin_data(first, now_ms=now, next_ok_ms=now + COOLDOWN)
    assert not ledger.finish(first, "failed")
    assert not ledger.give_back(first, answer, refused=False)
    assert ledger.begin_data(second, now_ms=now, next_ok_ms=now + COOLDOWN)


def test_data_is_never_taken_over(ledger: Ledger, key: LedgerKey) -> None:
    begun(ledger, key)
    answer = take(ledger, fresh(key), now=NOON + 10 * CLAIM_TTL_MS)
    assert (answer.outcome, answer.reason) == ("refused", "busy")


def test_begin_data_renews_expiry_and_cooldown_once(ledger: Ledger, key: LedgerKey) -> None:
    claim, _ = held(ledger, key)
    later = NOON + 200_000
    assert ledger.begin_data(claim, now_ms=later, next_ok_ms=later + COOLDOWN)
    assert ledger.begin_data(claim, now_ms=later + 5_000, next_ok_ms=later + 5_000 + COOLDOWN)
    view = seen(ledger, key)
    assert (view.states, view.next_ok_ms) == ("d", later + COOLDOWN)
    assert view.expires_ms == {0: later + CLAIM_TTL_MS}


def test_begin_data_never_lowers_the_cooldown(ledger: Ledger, key: LedgerKey) -> None:
    claim = fresh(key)
    take(ledger, claim, cooldown=300_000)
    assert ledger.begin_data(claim, now_ms=NOON + 1_000, next_ok_ms=NOON + 1_000 + COOLDOWN)
    assert seen(ledger, key).next_ok_ms == NOON + 300_000


def test_a_slow_claim_yields_to_the_cooldown_of_a_later_one(ledger: Ledger, key: LedgerKey) -> None:
    slow, answer = held(ledger, key, 0)
    later = NOON + COOLDOWN
    quick = begun(ledger, key, 1, now=later)
    assert not ledger.begin_data(slow, now_ms=later + 5_000, next_ok_ms=later + 5_000 + COOLDOWN)
    assert ledger.give_back(slow, answer, refused=False)
    view = seen(ledger, key)
    assert (view.states, view.next_ok_ms) == (".d", later + 1_000 + COOLDOWN)
    assert ledger.finish(quick, "sent")


def test_give_back_restores_what_was(ledger: Ledger, key: LedgerKey) -> None:
    claim, answer = held(ledger, key)
    assert ledger.give_back(claim, answer, refused=False)
    assert ledger.give_back(claim, answer, refused=False)
    view = seen(ledger, key)
    assert (view.states.strip("."), counts(view), view.tries) == ("", (0, 0, 0, 0), {})
    assert take(ledger, fresh(key), now=NOON + 1).outcome == "held"


def test_give_back_leaves_the_cooldown_of_another_claim(ledger: Ledger, key: LedgerKey) -> None:
    claim, answer = held(ledger, key, 0)
    held(ledger, key, 1, now=NOON + COOLDOWN)
    assert ledger.give_back(claim, answer, refused=False, next_ok_ms=NOON)
    assert seen(ledger, key).next_ok_ms == NOON + 2 * COOLDOWN


def test_a_refused_try_is_counted_and_may_back_off(ledger: Ledger, key: LedgerKey) -> None:
    claim, answer = held(ledger, key)
    assert ledger.give_back(claim, answer, refused=True, next_ok_ms=NOON + 5_000)
    view = seen(ledger, key)
    assert (view.tries, view.next_ok_ms, counts(view)) == ({0: 1}, NOON + 5_000, (0, 0, 0, 0))
    again, answer = held(ledger, key, now=NOON + 5_000)
    assert answer.tries == 1
    assert ledger.begin_data(again, now_ms=NOON + 6_000, next_ok_ms=NOON + 6_000 + COOLDOWN)
    assert not ledger.give_back(again, answer, refused=False)
    assert ledger.give_back(again, answer, refused=True)
    view = seen(ledger, key)
    assert (view.tries, view.next_ok_ms) == ({0: 2}, NOON + 6_000 + COOLDOWN)


def test_unknown_may_still_be_settled_by_its_token(ledger: Ledger, key: LedgerKey) -> None:
    claim = begun(ledger, key)
    expired = ledger.expire(seen(ledger, key), now_ms=NOON + 1_000 + CLAIM_TTL_MS)
    assert (expired.states, counts(expired)) == ("u", (0, 0, 1, 0))
    assert not ledger.finish(fresh(key), "sent")
    assert not ledger.give_back(claim, ClaimAnswer("held"), refused=True)
    assert ledger.finish(claim, "sent")
    assert counts(seen(ledger, key)) == (1, 0, 0, 0)


def test_expire_touches_only_expired_data(ledger: Ledger, key: LedgerKey) -> None:
    begun(ledger, key, 0)
    held(ledger, key, 1, now=NOON + 300_000)
    early = ledger.expire(seen(ledger, key), now_ms=NOON + CLAIM_TTL_MS)
    assert early.states == "dc"
    late = ledger.expire(early, now_ms=NOON + 10 * CLAIM_TTL_MS)
    assert (late.states, counts(late)) == ("uc", (0, 0, 1, 1))
    assert ledger.expire(late, now_ms=NOON + 10 * CLAIM_TTL_MS) == late


def test_settle(ledger: Ledger, key: LedgerKey) -> None:
    claim = begun(ledger, key)
    assert not ledger.settle(key, 0, "sent")
    assert ledger.finish(claim, "unknown")
    assert ledger.settle(key, 0, "sent")
    assert not ledger.settle(key, 0, "failed")
    assert counts(seen(ledger, key)) == (1, 0, 0, 0)


def test_close_ends_the_day(ledger: Ledger, key: LedgerKey) -> None:
    claim = begun(ledger, key, 0, target=4)
    assert ledger.finish(claim, "sent")
    now = NOON + 300_000
    held(ledger, key, 1, now=now, target=4)
    waiting = begun(ledger, key, 2, now=now + 300_000, target=4)
    end = START + DAY_MS
    view = ledger.close(seen(ledger, key), target=4, rounds=4, now_ms=end)
    assert (view.states, view.closed, counts(view)) == ("smum", True, (1, 0, 1, 0))
    assert ledger.finish(waiting, "sent")
    assert ledger.close(view, target=4, rounds=4, now_ms=end).states == "smsm"


def test_close_leaves_what_is_in_flight_for_the_next_time(ledger: Ledger, key: LedgerKey) -> None:
    end = START + DAY_MS
    claim, answer = held(ledger, key, 0, now=end - 1_000)
    view = ledger.close(seen(ledger, key), target=3, rounds=2, now_ms=end + 1_000)
    assert (view.states, view.closed) == ("cm", True)
    assert take(ledger, fresh(key, 2), now=end - 1).reason == "closed"
    assert ledger.give_back(claim, answer, refused=False)
    assert ledger.close(view, target=3, rounds=2, now_ms=end + 2_000).states == "mm"


def test_close_creates_what_never_was(ledger: Ledger, key: LedgerKey) -> None:
    view = ledger.close(nothing_yet(key, 3), target=3, rounds=3, now_ms=START + DAY_MS)
    assert (view.states, view.target, counts(view)) == ("mmm", 3, (0, 0, 0, 0))
    assert seen(ledger, key) == view


def test_marks_fill_the_window_and_pass_midnight(ledger: Ledger, key: LedgerKey) -> None:
    for number, mark in enumerate(("accepted", "bounce", "policy")):
        claim = begun(ledger, key, number, now=NOON + number * 300_000, target=9)
        assert ledger.finish(claim, "failed" if number else "sent", mark=mark)  # type: ignore[arg-type]
    view = seen(ledger, key)
    assert (view.recent, view.bounces, view.policy_refusals) == (3, 1, 1)
    tomorrow = replace(key, day=key.day + timedelta(days=2))
    claim = Claim(tomorrow, 0, new_token())
    now = NOON + 2 * DAY_MS
    ledger.claim(claim, target=3, now_ms=now, next_ok_ms=now + COOLDOWN, day_end_ms=START + 3 * DAY_MS)
    assert ledger.finish(claim, "failed", mark="bounce")
    view = seen(ledger, tomorrow)
    assert (view.recent, view.bounces, view.policy_refusals) == (4, 2, 1)


def test_read_shard(ledger: Ledger, key: LedgerKey) -> None:
    shard = 10_000 + next(_numbers)
    keys = [LedgerKey(key.day, shard, f"box-{number}") for number in range(5)]
    for each in keys:
        held(ledger, each)
    held(ledger, replace(keys[0], shard=shard + 50_000))
    views = ledger.read_shard(key.day, shard)
    assert sorted(views) == [each.mailbox_id for each in keys]
    assert views["box-3"] == seen(ledger, keys[3])
