"""From the folded mailboxes of a shard to the object that is left of them in the bucket."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailtide.warmup.contracts import Mailbox, MailboxStatus
from mailtide.warmup.days import ShardDay
from mailtide.warmup.reading.health import ONE_DAY, ROSTER_LAG, held_back, is_spared, why_quarantined
from mailtide.warmup.reading.record import HISTORY_DAYS, DayTally, MailboxHealth, ScorePoint, add_days
from mailtide.warmup.reading.sheet import HeldBack, PlacementSheet, Unread
from mailtide.warmup.settings import WarmupSettings


@dataclass(frozen=True, slots=True)
class Folded:
    """A mailbox as it was read, its record after the fold, and its day; without a day it stood in no roster of it."""

    box: Mailbox
    health: MailboxHealth | None
    tally: DayTally | None

    @property
    def status(self) -> MailboxStatus:
        """With the quarantine that the fold has spoken."""
        is_new = self.health is not None and self.health.state == "quarantined" and self.box.status == "active"
        return "quarantined" if is_new and self.tally is not None else self.box.status


def make_sheet(
    shard: ShardDay,
    folded: Sequence[Folded],
    *,
    before: PlacementSheet | None,
    settings: WarmupSettings,
    withheld: int,
    now_ms: int,
) -> PlacementSheet:
    """The object of a day, from the mailboxes that stood in its roster or were held back before."""
    day = shard.day.header.day
    of_day = add_days((each.tally for each in folded if each.tally), day)
    healths = [each.health for each in folded if each.health]
    weeks = [health.week(day) for health in healths]
    week = add_days(weeks, day)
    total = week.total
    history = (*(before.history if before else ()), ScorePoint(day, total.inbox, total.seen))
    return PlacementSheet(
        day=day,
        shard=shard.number,
        written_ms=now_ms,
        mailboxes=len(shard.members),
        measured=sum(1 for each in weeks if each.total.seen >= settings.placement_min_mails),
        landed=of_day.landed,
        week=week.landed,
        bounces=week.bounces,
        complaints=week.complaints,
        slowed=_count(health.state == "slowed" and health.since == day + ROSTER_LAG for health in healths),
        quarantined=_count(health.state == "quarantined" and health.since == day + ONE_DAY for health in healths),
        resumed=_count(health.state == "full" and health.since == day + ROSTER_LAG for health in healths),
        graduated=_count(health.graduated_on == day for health in healths),
        withheld=withheld,
        spared=_count(is_spared(health, settings) for health in healths),
        slowed_now=_count(health.state == "slowed" for health in healths),
        quarantined_now=_count(each.status == "quarantined" for each in folded),
        graduated_now=_count(health.graduated_on is not None for health in healths),
        held=tuple(_held(folded, settings)),
        unread=tuple(
            Unread(each.box.mailbox_id, each.box.user_id, each.health.unread)
            for each in folded
            if each.health is not None and each.health.unread and each.tally is not None
        ),
        history=history[-HISTORY_DAYS:],
    )


def _count(truths: Iterable[bool]) -> int:
    return sum(truths)


def _held(folded: Iterable[Folded], settings: WarmupSettings) -> Iterable[HeldBack]:
    for each in folded:
        box, health = each.box, each.health
        is_ours = health is not None and health.state != "full"
        if each.status != "active":
            why = why_quarantined(health) if health is not None and each.status != box.status else box.status_reason
            since = health.since if health is not None and health.state == "quarantined" else None
            yield HeldBack(box.mailbox_id, box.user_id, each.status, since, why)
        elif health is not None and is_ours and held_back(health, settings):
            yield HeldBack(box.mailbox_id, box.user_id, "active", health.since, held_back(health, settings))
