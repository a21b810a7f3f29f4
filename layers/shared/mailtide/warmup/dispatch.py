"""dispatch_shard: at each tick, from the ledger of one shard to the mails that are queued, and a summary.

Repeated at any point it queues the same send ids, which the ledger lets through once each; a tick that was missed is
caught up by the next one, since whatever is due and untaken is offered.
"""

from collections.abc import Set
from math import ceil

from mailtide.runs.services import StepReport
from mailtide.warmup.closing import close_yesterday, cooling_until
from mailtide.warmup.contracts import LedgerKey, LedgerView, RoundState, SendMessage, ShardTick, Standing
from mailtide.warmup.control import read_control
from mailtide.warmup.days import Member, ShardDay
from mailtide.warmup.ids import SendId
from mailtide.warmup.objects import QuotaRow, QuotaStatus, ShardSummary
from mailtide.warmup.offers import NONE, Offer, Rules, Tick, member_offers, overdue_offer
from mailtide.warmup.pool import user_day_limit
from mailtide.warmup.ports import MAX_DELAY_S, nothing_yet
from mailtide.warmup.quota import day_progress, quota_status
from mailtide.warmup.reading.at_tick import ReadingTick
from mailtide.warmup.replies import planned_replies
from mailtide.warmup.roster import shard_of
from mailtide.warmup.services import PlanningServices
from mailtide.warmup.share import shard_share, tick_budget
from mailtide.warmup.summaries import count_quota, read_summary, sent_history, write_summary

GONE = Standing(status="disconnected")
"""A mailbox of the roster that is not in the table any more."""


def dispatch_shard(services: PlanningServices, message: ShardTick) -> StepReport:
    """Queue what one shard is to send in one tick."""
    now_ms = services.clock.now_ms()
    if now_ms >= message.end_ms:
        return StepReport("tick_over", details={"shard": message.shard})
    yesterday = close_yesterday(services, message, now_ms)
    shard = services.rosters.shard(message.day, message.shard)
    if shard is None:
        return StepReport("no_roster", details={"day": message.day.isoformat(), "shard": message.shard})
    if message.request_id is not None:
        return _on_demand(services, shard, message, yesterday, now_ms)
    before = read_summary(services.bucket, message.day, message.shard)
    if before is not None and before.value.tick_ms >= message.start_ms:
        return StepReport("already_dispatched", details={"shard": message.shard})
    work = _Dispatch(services, shard, message, now_ms)
    work.look(yesterday)
    chosen = work.choose()
    services.queue.send_mails([(work.mail(offer), work.delay_s(offer)) for offer in chosen])
    asked = work.reading.ask(now_ms)
    summary = work.summary(chosen, before.value if before else None)
    write_summary(services.bucket, summary, work.rows, expected_etag=before.etag if before else None)
    return StepReport(
        "dispatched",
        details={
            "day": message.day.isoformat(),
            "shard": message.shard,
            "offered": len(chosen),
            "held_back": summary.held_back,
            "extra": summary.extra,
            "sent": summary.sent,
            "planned": summary.planned,
            "visits": asked,
            **({"warnings": work.reading.warnings} if work.reading.warnings else {}),
        },
    )


def _on_demand(
    services: PlanningServices, shard: ShardDay, message: ShardTick, yesterday: dict[str, LedgerView], now_ms: int
) -> StepReport:
    """Offer the mailboxes of a demand one overdue mail each, as soon as they may send; the ledger sees to the rest."""
    work = _Dispatch(services, shard, message, now_ms)
    work.look(yesterday)
    services.queue.send_mails([(work.mail(offer), work.delay_s(offer)) for offer in work.offers])
    return StepReport("demanded", details={"shard": message.shard, "offered": len(work.offers)})


class _Dispatch:
    """One shard at one tick."""

    def __init__(self, services: PlanningServices, shard: ShardDay, message: ShardTick, now_ms: int) -> None:
        self.services = services
        self.shard = shard
        self.message = message
        self.now_ms = now_ms
        start_ms = shard.day.start_ms
        self.tick = Tick(message.start_ms - start_ms, message.end_ms - start_ms, now_ms - start_ms)
        settings = services.settings
        self.rules = Rules(settings.mailbox_cooldown_max_ms, settings.quota_priority_boost)
        self.reading = ReadingTick(services, shard, message, self.tick)
        self.offers: list[Offer] = []
        self.rows: list[QuotaRow] = []
        self.in_flight = 0
        self.expected = 0.0
        self.progress = [day_progress(line, self.tick.now_ms) for line in shard.day.open_times]
        self.active = 0
        self.share = shard_share(
            tick_budget(settings, message.end_ms - message.start_ms),
            shard.day.header.planned_by_shard,
            shard.number,
            message.start_ms,
        )

    def look(self, yesterday: dict[str, LedgerView]) -> None:
        """Read the ledger and the standings, and collect what could be offered."""
        services, day = self.services, self.message.day
        views = services.ledger.read_shard(day, self.shard.number)
        standings = services.mailboxes.standings([member.mailbox_id for member in self.shard.members])
        control = read_control(services.bucket)
        start_ms = self.shard.day.start_ms
        held: list[tuple[Member, LedgerView, QuotaStatus, int]] = []
        is_read = self.reading.is_on
        for member in self.shard.members:
            view = self._settled(views.get(member.mailbox_id), member)
            standing = standings.get(member.mailbox_id, GONE)
            status = self._count(member, view, standing)
            if standing.status != "active":
                continue
            self.active += 1
            if control.stops(member.user_id):
                continue
            if is_read and standing.is_read:
                self.reading.visited.append(member.mailbox_id)
            if status == "complete" or not self._is_wanted(member):
                continue
            cooling_ms = cooling_until(yesterday.get(member.mailbox_id), self.rules) if yesterday else 0
            earliest_ms = max(standing.not_before_ms, cooling_ms) - start_ms
            if is_read and standing.replies_wait:
                held.append((member, view, status, earliest_ms))
            else:
                self.offers += self._offers(member, view, status, earliest_ms)
        if is_read:
            self._look_at_held(held)

    def _look_at_held(self, held: list[tuple[Member, LedgerView, QuotaStatus, int]]) -> None:
        """Mailboxes whose replies wait: one look at what visits have found serves all of them."""
        for member, view, status, _ in held:
            self.reading.add(member, view, status, self.rules)
        self.reading.look()
        for one in held:
            self.offers += self._offers(*one, waiting=self.reading.waiting(one[0]))

    def _is_wanted(self, member: Member) -> bool:
        """By a demand; a tick of the schedule wants all."""
        return self.message.request_id is None or self.message.concerns(member.mailbox_id, member.user_id)

    def _offers(
        self, member: Member, view: LedgerView, status: QuotaStatus, earliest_ms: int, waiting: Set[int] = NONE
    ) -> list[Offer]:
        if self.message.request_id is not None:
            return overdue_offer(self.shard, member, view, tick=self.tick, earliest_ms=earliest_ms, waiting=waiting)
        return member_offers(
            self.shard,
            member,
            view,
            status=status,
            tick=self.tick,
            earliest_ms=earliest_ms,
            rules=self.rules,
            waiting=waiting,
        )

    def _settled(self, view: LedgerView | None, member: Member) -> LedgerView:
        """The view, after what expired in `data` has become unknown."""
        if view is None:
            return nothing_yet(LedgerKey(self.message.day, self.shard.number, member.mailbox_id), member.target)
        if view.expires_ms and any(
            expires_ms <= self.now_ms and view.state(number) == RoundState.DATA
            for number, expires_ms in view.expires_ms.items()
        ):
            return self.services.ledger.expire(view, now_ms=self.now_ms)
        return view

    def _count(self, member: Member, view: LedgerView, standing: Standing) -> QuotaStatus:
        expected = member.target * self.progress[member.window]
        self.expected += expected
        self.in_flight += view.in_flight
        target, sent = member.target, view.sent
        status = quota_status(sent=sent, target=target, expected=expected, moment_ms=self.tick.now_ms)
        counts = (target, sent, view.failed, view.unknown)
        self.rows.append(QuotaRow(member.mailbox_id, member.user_id, *counts, status, standing.held_back))
        return status

    def choose(self) -> list[Offer]:
        """The offers of the most weight, up to the shard's share of the limits; of equal weight the earlier ones."""
        in_order = sorted(self.offers, key=lambda offer: (-offer.weight, offer.due_ms, offer.member.index))
        return in_order[: self.share]

    def mail(self, offer: Offer) -> SendMessage:
        """The message of a send."""
        member, day = offer.member, self.shard.day
        answered = None
        if not offer.extra and not self.reading.is_ordinary(member, offer.round):
            answered = planned_replies(self.shard, member).get(offer.round)
        original = SendId(self.message.day, day.pool.mailbox_ids[answered[0]], answered[1]) if answered else None
        return SendMessage(
            day=self.message.day,
            shard=self.shard.number,
            mailbox_id=member.mailbox_id,
            user_id=member.user_id,
            round=offer.round,
            target=member.target,
            user_day_limit=user_day_limit(member.user_planned, self.services.settings.user_daily_cap),
            recipient_id=day.pool.mailbox_ids[day.pairing.recipient(member.index, offer.round)],
            due_ms=day.start_ms + offer.due_ms,
            tick_end_ms=self.message.end_ms,
            tick_ms=self.services.settings.tick_ms,
            reply_to=str(original) if original else None,
            reply_to_shard=shard_of(original.mailbox_id, day.header.shards) if original else None,
        )

    def delay_s(self, offer: Offer) -> int:
        """Whole seconds from now until the send is due, never too few."""
        return min(max(0, ceil((offer.due_ms - self.tick.now_ms) / 1000)), MAX_DELAY_S)

    def summary(self, chosen: list[Offer], before: ShardSummary | None) -> ShardSummary:
        """What this tick looked like."""
        sent = sum(row.sent for row in self.rows)
        late = [
            offer.member.due[offer.round]
            for offer in self.offers
            if not (offer.extra or self.reading.may_have_waited(offer.member, offer.round))
        ]
        overdue = [due for due in late if due < self.tick.now_ms]
        return ShardSummary(
            day=self.message.day,
            shard=self.shard.number,
            tick_ms=self.message.start_ms,
            written_ms=self.now_ms,
            mailboxes=len(self.shard.members),
            active=self.active,
            planned=sum(member.target for member in self.shard.members),
            expected=self.expected,
            sent=sent,
            failed=sum(row.failed for row in self.rows),
            unknown=sum(row.unknown for row in self.rows),
            missed=0,
            in_flight=self.in_flight,
            offered=len(chosen),
            held_back=len(self.offers) - len(chosen),
            extra=sum(1 for offer in chosen if offer.extra),
            oldest_due_ms=self.shard.day.start_ms + min(overdue) if overdue else None,
            quota=count_quota(self.rows),
            sent_history=sent_history(before, self.now_ms, sent),
        )
