"""The fold of a day: onto mailboxes and into an object a shard, once, whatever happens on the way."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import get_args

import pytest

from mailtide.warmup.contracts import (
    DAY_MS,
    LedgerKey,
    MailServer,
    Ramp,
    ShardTick,
    day_start_ms,
)
from mailtide.warmup.reading.contracts import Failure, Placement, PlacementDay, ReportKind
from mailtide.warmup.reading.fold import FAILURES, FOLD_AFTER_MS, fold_days, tally_of
from mailtide.warmup.reading.fold_ports import KeptHealth
from mailtide.warmup.reading.memory import MemoryPlacements, MemoryReadQueue
from mailtide.warmup.reading.record import Landed, MailboxHealth, ScorePoint
from mailtide.warmup.reading.sheet import HeldBack
from mailtide.warmup.reading.shown import of_mailbox, of_pool, of_user
from mailtide.warmup.roster import make_roster, shard_of
from mailtide.warmup.services import PlanningServices, ReadingPorts
from tests.support.fold_pool import AWFUL, GOOD, ONE, POOR, CrashError, Pool, a_day_of_everything, pool
from tests.support.memory_health import MemoryHealth
from tests.support.placements import mailbox
from tests.support.warmup_pools import DAY, MADE_AT, settings


def test_a_day_is_folded_once_it_is_three_hours_over() -> None:
    made = a_day_of_everything()
    assert made.fold(after_ms=FOLD_AFTER_MS - 1) == []
    assert made.sheet() is None
    assert made.fold() == ["placements_folded"]
    sheet = made.sheet()
    assert made.fold(after_ms=FOLD_AFTER_MS + 600_000) == []
    assert made.sheet() == sheet
    assert made.health.kept == 5, "of those that nobody has looked for nothing is kept"


def test_what_is_left_of_a_day_in_the_bucket() -> None:
    made = a_day_of_everything()
    made.fold()
    sheet = made.sheet()
    assert sheet is not None
    by_provider = {"": Landed(10), "google": Landed(120, 30, 8), "microsoft": Landed(20, 40, 10)}
    assert sheet.landed == sheet.week == by_provider
    assert (sheet.mailboxes, sheet.measured, sheet.bounces, sheet.complaints) == (10, 3, 3, 4)
    assert (sheet.slowed, sheet.quarantined, sheet.graduated, sheet.resumed, sheet.withheld) == (2, 2, 1, 0, 0)
    assert (sheet.slowed_now, sheet.quarantined_now, sheet.graduated_now) == (2, 2, 1)
    assert sheet.history == (ScorePoint(DAY, 150, 238),)
    later = DAY + 2 * ONE
    assert {row.mailbox_id: row for row in sheet.held} == {
        "box-0": HeldBack(
            "box-0", "user-0", "active", later, "slowed from 2026-11-23 on: 57 % of 140 mails in the inbox"
        ),
        "box-1": HeldBack(
            "box-1", "user-1", "quarantined", DAY + ONE, "7 % of 30 mails in the inbox (seven days to 2026-11-21)"
        ),
        "box-3": HeldBack("box-3", "user-3", "active", later, "slowed from 2026-11-23 on: 1 complaint"),
        "box-4": HeldBack("box-4", "user-4", "quarantined", DAY + ONE, "3 complaints (seven days to 2026-11-21)"),
    }
    assert b"@" not in sheet.to_bytes()


def test_what_is_kept_of_a_mailbox_reaches_its_next_roster_and_its_owner() -> None:
    made = a_day_of_everything(40)
    made.fold()
    slowed, quarantined, graduate = (made.health.boxes[f"box-{number}"] for number in (0, 1, 2))
    assert (slowed.status, slowed.pace) == ("active", 0.5)
    assert slowed.held_back == "slowed from 2026-11-23 on: 57 % of 140 mails in the inbox"
    assert quarantined.status == "quarantined"
    assert quarantined.status_reason == "7 % of 30 mails in the inbox (seven days to 2026-11-21)"
    assert (graduate.graduated_on, graduate.pace) == (DAY, 1.0)
    record = made.record(1)
    assert record is not None
    assert (record.week().sent, record.week().bounces) == (30, 3)
    made.plan(DAY + 2 * ONE)
    shard = made.services.rosters.shard(DAY + 2 * ONE, 0)
    assert shard is not None
    targets = {member.mailbox_id: member.target for member in shard.members}
    assert targets == {"box-0": 15, "box-3": 15} | {
        f"box-{number}": 30 for number in range(2, 40) if number not in {3, 4}
    }
    (reduction,) = [one for one in shard.day.header.reductions if one.reason == "placement"]
    assert (reduction.mailboxes, reduction.mails) == (2, 30)


def test_a_graduates_quota_is_a_setting() -> None:
    made = pool(graduated_quota=4)
    made.find(DAY, 0, {"google": (60, 0, 0)})
    made.fold()
    assert made.health.boxes["box-0"].held_back == "graduated on 2026-11-21: at most 4 mails a day"
    made.plan(DAY + 2 * ONE)
    shard = made.services.rosters.shard(DAY + 2 * ONE, 0)
    assert shard is not None
    assert {member.target for member in shard.members if member.mailbox_id == "box-0"} == {4}


@pytest.mark.parametrize(("pace", "mails"), [(0.05, 1), (0.5, 2), (1.0, 3)])
def test_whoever_writes_less_writes_at_least_one(pace: float, mails: int) -> None:
    box = mailbox(1, ramp=Ramp(start_count=3, increase_by=3, max_daily=30), first_day=DAY)
    boxes = [box.model_copy(update={"pace": pace}), *(mailbox(number) for number in range(2, 9))]
    roster = make_roster(boxes, day=DAY, settings=settings(), made_at=MADE_AT)
    targets = dict(zip(roster.pool.mailbox_ids, roster.pool.targets, strict=True))
    assert targets["box-1"] == mails


def test_a_crash_at_any_write_leads_to_the_same_end() -> None:
    whole = a_day_of_everything()
    whole.fold()
    for steps in range(8):
        made = a_day_of_everything()
        made.health.left = steps
        try:
            made.fold()
            assert steps >= 7, "two quarantines and five records are seven writes"
        except CrashError:
            assert made.sheet() is None
            made.health.left = None
            assert made.fold() == ["placements_folded"]
        assert made.sheet() == whole.sheet()
        assert made.health.boxes == whole.health.boxes


def test_two_dispatchers_at_once_come_to_one_end() -> None:
    made, other = a_day_of_everything(), a_day_of_everything()
    other.fold()

    class Late(MemoryPlacements):
        """While the first looks at what was found, the second folds."""

        def read_shard(self, day: date, shard: int) -> dict[str, PlacementDay]:
            found = made.placements.read_shard(day, shard)
            if day != DAY:
                return found
            boxes = dict(made.health.boxes)
            made.fold()
            assert boxes != made.health.boxes
            return found

    slow = PlanningServices(
        bucket=made.services.bucket,
        rosters=made.services.rosters,
        mailboxes=made.services.mailboxes,
        ledger=made.services.ledger,
        queue=made.services.queue,
        clock=made.clock,
        settings=made.services.settings,
        reading=ReadingPorts(placements=Late(), queue=MemoryReadQueue()),
        health=made.health,
    )
    now_ms = day_start_ms(DAY) + DAY_MS + FOLD_AFTER_MS
    fold_days(slow, ShardTick(day=DAY + ONE, start_ms=now_ms, end_ms=now_ms + 1, shard=0), now_ms)
    assert made.sheet() == other.sheet()
    assert made.health.boxes == other.health.boxes


def test_a_record_that_changes_meanwhile_is_folded_anew() -> None:
    made = pool()
    made.find(DAY, 0, POOR)
    made.find(DAY, 1, GOOD)

    class Changed(MemoryHealth):
        """An import of another machine comes between the look and the write, `times` times."""

        def __init__(self, times: int) -> None:
            super().__init__(made.health.boxes.values())
            self.times = times

        def keep_health(self, kept: Sequence[KeptHealth]) -> list[str]:
            if self.times:
                self.times -= 1
                box = self.boxes["box-0"]
                record = MailboxHealth(through=DAY - 9 * ONE, reason=str(self.times)).to_text()
                self.boxes["box-0"] = box.model_copy(update={"health": record})
            return super().keep_health(kept)

    now_ms = day_start_ms(DAY) + DAY_MS + FOLD_AFTER_MS
    tick = ShardTick(day=DAY + ONE, start_ms=now_ms, end_ms=now_ms + 1, shard=0)
    fields = {name: getattr(made.services, name) for name in PlanningServices.__slots__}
    (left,) = fold_days(PlanningServices(**(fields | {"health": Changed(9)})), tick, now_ms)
    assert (left.action, made.sheet()) == ("fold_left", None), "the tick itself does not fail"
    assert "change too often" in str(left.details["warnings"])
    patient = Changed(1)
    fold_days(PlanningServices(**(fields | {"health": patient})), tick, now_ms)
    assert (patient.boxes["box-0"].pace, patient.boxes["box-1"].pace) == (0.5, 1.0)
    assert made.sheet() is not None


def test_days_that_no_tick_has_folded_are_caught_up_in_order() -> None:
    made = pool()
    for number in range(4):
        day = DAY + number * ONE
        if number:
            made.plan(day)
        made.find(day, 0, {"google": (5 + number, 0, 0)})
    folded = [made.fold(DAY + 3 * ONE) for _ in range(5)]
    assert folded == [*[["placements_folded"]] * 4, []], "one a tick, so that a tick has its time"
    record = made.record(0)
    assert record is not None
    assert [(point.inbox, point.seen) for point in record.history] == [(5, 5), (11, 11), (18, 18), (26, 26)]
    sheet = made.sheet(DAY + 3 * ONE)
    assert sheet is not None
    assert [point.inbox for point in sheet.history] == [5, 11, 18, 26]


def test_whoever_is_held_back_stays_in_the_list_until_it_goes_on() -> None:
    made = pool()
    made.find(DAY, 1, AWFUL)
    made.fold()
    made.plan(DAY + ONE)
    made.fold(DAY + ONE)
    sheet = made.sheet(DAY + ONE)
    assert sheet is not None
    assert [(row.mailbox_id, row.status, row.since) for row in sheet.held] == [("box-1", "quarantined", DAY + ONE)]
    assert (sheet.quarantined, sheet.quarantined_now, sheet.mailboxes) == (0, 1, 9)
    made.health.set_status("box-1", "active", "")
    made.plan(DAY + 2 * ONE)
    made.find(DAY + 2 * ONE, 1, {"google": (1, 0, 0)})
    made.fold(DAY + 2 * ONE)
    sheet = made.sheet(DAY + 2 * ONE)
    assert sheet is not None
    why = "slowed from 2026-11-23 on: resumed after a quarantine"
    assert [(row.mailbox_id, row.status, row.why) for row in sheet.held] == [("box-1", "active", why)]


def test_what_was_found_has_not_come_back() -> None:
    reports: dict[int, ReportKind] = {0: "bounce", 1: "bounce", 2: "bounce", 3: "bounce"}
    placements = {0: Placement("inbox"), 1: Placement("junk"), 2: Placement("missing")}
    assert tally_of(DAY, PlacementDay(placements, reports), 4).bounces == 2


def test_what_is_told_after_the_fold_counts_a_night_later() -> None:
    """People complain in the morning; a mail server gives up after hours."""
    made = pool()
    made.find(DAY, 0, {"google": (27, 1, 2)})
    made.fold()
    key = LedgerKey(DAY, 0, "box-0")
    made.placements.report(key, {3: "complaint", 28: "bounce"})
    for number, user in ((3, "user-7"), (5, "user-8")):
        made.placements.report(LedgerKey(DAY, 0, "box-1"), {number: "complaint"}, complainer=user)
        made.placements.report(LedgerKey(DAY, 0, "box-2"), {number: "complaint"}, complainer="user-7")
    made.placements.record(key, {29: Placement("inbox", "google")})
    for later in range(1, 4):
        made.plan(DAY + later * ONE)
        made.fold(DAY + later * ONE)
        record = made.record(0)
        assert record is not None
        assert (record.week().complaints, record.week().bounces) == (1, 1)
        assert record.week().total == Landed(28, 1, 1)
    assert made.health.boxes["box-0"].pace == 0.5
    assert made.health.boxes["box-1"].status == "quarantined", "nothing was known of it before"
    assert (made.health.boxes["box-2"].status, made.health.boxes["box-2"].pace) == ("active", 0.5), "one user's word"


def test_a_demand_folds_nothing_nor_does_a_pool_that_nothing_follows_for() -> None:
    made = a_day_of_everything()
    now_ms = day_start_ms(DAY) + DAY_MS + FOLD_AFTER_MS
    tick = ShardTick(day=DAY + ONE, start_ms=now_ms, end_ms=now_ms + 1, shard=0)
    assert fold_days(made.services, tick.model_copy(update={"request_id": "demand"}), now_ms) == []
    fields = {name: getattr(made.services, name) for name in PlanningServices.__slots__}
    for missing in ("reading", "health"):
        assert fold_days(PlanningServices(**(fields | {missing: None})), tick, now_ms) == []
    assert fold_days(made.services, tick.model_copy(update={"day": DAY + 2 * ONE}), now_ms + DAY_MS) == []
    assert made.sheet() is None


def test_a_mailbox_that_is_gone_and_a_spoiled_record_stop_nobody() -> None:
    made = a_day_of_everything()
    del made.health.boxes["box-0"]
    spoiled = made.health.boxes["box-3"]
    made.health.boxes["box-3"] = spoiled.model_copy(update={"health": "{"})
    assert made.fold() == ["placements_folded"]
    assert made.health.boxes["box-3"].pace == 0.5
    assert shard_of("box-0", 1) == 0


def visited(made: Pool, number: int, failures: int, failure: Failure | None = None) -> None:
    """A visit that ended with so many failures in a row, itself among them."""
    name = f"box-{number}"
    state = made.visits.begin(name, "token", now_ms=0)
    assert state is not None
    assert made.visits.end(replace(state, failures=failures, failure=failure), "token")


def test_owners_are_told_whose_mail_cannot_be_looked_for_and_why_until_it_can() -> None:
    server = MailServer(host="imap.example", port=993, security="tls")
    boxes = [mailbox(number).model_copy(update={"imap": server if number else None}) for number in range(10)]
    made = Pool(boxes)
    made.plan(DAY)
    for number, failures in ((0, 9), (1, 5), (2, 2), (3, 0)):
        visited(made, number, failures, "login" if failures else None)
    made.find(DAY, 1, GOOD)
    made.find(DAY, 3, GOOD)
    made.fold()
    sheet, why = made.sheet(), "the last 5 visits failed: the IMAP server refuses the login"
    assert sheet is not None
    assert [tuple(row) for row in sheet.unread] == [("box-1", "user-1", why)]
    assert of_pool([sheet], limit=0).unread_total == 1
    own = of_user("user-1", [made.health.boxes["box-1"]], limit=10)
    assert [row.why for row in own.unread] == [why]
    assert of_mailbox(made.health.boxes["box-1"]).unread == why
    assert made.health.boxes["box-1"].pace == 1.0
    made.plan(DAY + ONE)
    visited(made, 1, 0)
    visited(made, 2, 3, "timeout")
    made.fold(DAY + ONE)
    sheet = made.sheet(DAY + ONE)
    assert sheet is not None
    late = "the last 3 visits failed: the IMAP server does not answer in time"
    assert [tuple(row) for row in sheet.unread] == [("box-2", "user-2", late)]
    assert of_mailbox(made.health.boxes["box-1"]).unread == ""


def test_every_failure_of_a_visit_has_words() -> None:
    assert set(FAILURES) == set(get_args(Failure.__value__))
