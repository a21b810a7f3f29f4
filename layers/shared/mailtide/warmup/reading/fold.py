"""Once a day's last visits are over, its placements are folded: onto each mailbox, and into one object a shard.

Fine to repeat after a crash at any point: a mailbox's record says which day it holds, a quarantine comes before the record that
says so, and the object, written once and last, ends it. A day that no tick has folded is caught up by a later one.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from mailtide.errors import TransientError
from mailtide.runs.services import StepReport
from mailtide.warmup import keys
from mailtide.warmup.contracts import Mailbox, ShardTick, day_start_ms
from mailtide.warmup.days import ShardDay
from mailtide.warmup.objects import QuotaSheet
from mailtide.warmup.reading.at_once import after_night, after_shard, at_once
from mailtide.warmup.reading.contracts import Failure, PlacementDay
from mailtide.warmup.reading.fold_ports import HealthStore, KeptHealth
from mailtide.warmup.reading.health import ONE_DAY, held_back, pace_of, why_quarantined
from mailtide.warmup.reading.ports import Placements, Visits
from mailtide.warmup.reading.record import KEPT_COMPLAINERS, DayTally, Landed, MailboxHealth
from mailtide.warmup.reading.sheet import PlacementSheet
from mailtide.warmup.reading.sheet_of import Folded, make_sheet
from mailtide.warmup.roster import shard_of
from mailtide.warmup.services import PlanningServices
from mailtide.warmup.store import put, read

FOLD_AFTER_MS = 3 * 3_600_000
"""After the day's end: its last mails have been looked for, and what was not found an hour later is missing."""
WAVES = 6
WAVE_MS = 600_000
"""So many groups of shards are folded at so much distance: 100,000 updates within a minute are more than a table takes."""
CATCH_UP_DAYS = 7
"""As many as count for the score."""
_TRIES = 3
UNREAD_AFTER = 3
"""Visits that fail in a row before anybody is told: pauses grow from minutes, and the first failures may pass by themselves."""
FAILURES: Mapping[Failure, str] = {
    "login": "the IMAP server refuses the login",
    "unreachable": "the IMAP server cannot be reached",
    "certificate": "the IMAP server's certificate does not prove its name",
    "timeout": "the IMAP server does not answer in time",
    "answer": "the server does not speak IMAP",
    "too_much": "the IMAP server says more than a visit takes in",
    "folder": "the inbox cannot be opened",
    "tables": "our tables were away",
    "error": "it could not be read",
}


def fold_days(services: PlanningServices, message: ShardTick, now_ms: int) -> list[StepReport]:
    """Fold one day of the shard: the day before or, if that has not been, the oldest one before it; the next tick goes on from
    there. At most of ticks there is nothing to do, and a fold that finds table or bucket away is left to the next one.

    Costs one read of a small object a tick; once a day some 15 reads and one write a mailbox, for a shard of 1,000.
    """
    try:
        sheet = _fold_next(services, message, now_ms)
    except TransientError as error:
        # The tick's mails are on their way: failing it would offer them again, and tell people of a dead letter.
        return [StepReport("fold_left", details={"shard": message.shard, "warnings": [str(error)]})]
    return [] if sheet is None else [_report(sheet)]


def _fold_next(services: PlanningServices, message: ShardTick, now_ms: int) -> PlacementSheet | None:
    reading, store = services.reading, services.health
    if reading is None or store is None or message.request_id is not None:
        return None
    if now_ms < day_start_ms(message.day) + FOLD_AFTER_MS + message.shard % WAVES * WAVE_MS:
        return None
    yesterday = services.rosters.header(message.day - ONE_DAY)
    if yesterday is None or message.shard >= yesterday.shards:
        return None
    days, before = _due(services, message)
    for day in reversed(days):
        shard = services.rosters.shard(day, message.shard)
        if shard is not None:
            return _Fold(services, reading.placements, reading.visits, store, shard, before, now_ms).run()
    return None


def _due(services: PlanningServices, message: ShardTick) -> tuple[list[date], PlacementSheet | None]:
    """The days that are to be folded, the latest first, and the object of the last one that was."""
    days: list[date] = []
    for back in range(1, CATCH_UP_DAYS + 1):
        day = message.day - back * ONE_DAY
        sheet = read(services.bucket, keys.placements(day, message.shard), PlacementSheet)
        if sheet is not None:
            return days, sheet
        days.append(day)
    return days, None


def _report(sheet: PlacementSheet) -> StepReport:
    warnings = []
    if sheet.withheld:
        warnings.append(
            f"{sheet.withheld} mailboxes of shard {sheet.shard} would have been quarantined at once; they are slowed instead."
        )
    if sheet.spared:
        warnings.append(
            f"{sheet.spared} mailboxes of shard {sheet.shard} would be slowed for missing mails, too many for a fault of "
            "theirs; they are not."
        )
    return StepReport(
        "placements_folded",
        details={
            "day": sheet.day.isoformat(),
            "shard": sheet.shard,
            "slowed": sheet.slowed,
            "quarantined": sheet.quarantined,
            "resumed": sheet.resumed,
            "graduated": sheet.graduated,
            **({"warnings": warnings} if warnings else {}),
        },
    )


@dataclass(frozen=True, slots=True)
class _Fold:
    """One shard's one day."""

    services: PlanningServices
    placements: Placements
    visits: Visits | None
    store: HealthStore
    shard: ShardDay
    before: PlacementSheet | None
    now_ms: int

    def run(self) -> PlacementSheet:
        """The object as it is written. TransientError when others keep changing the mailboxes."""
        day, settings = self.shard.day.header.day, self.services.settings
        tallies, late = self._tallies(day), self._tallies(day - ONE_DAY)
        lasting = [row.mailbox_id for row in self.before.held] if self.before else []
        boxes = self.store.get_many([*tallies, *lasting])
        boxes = {name: box for name, box in boxes.items() if name in tallies or not self._is_elsewhere(box)}
        most = at_once(len(self.shard.members), self.shard.day.header.mailboxes)
        night = after_shard(boxes, tallies, settings, late=late, least=most)
        unread = self._unread(boxes)
        healths = _with_visits(night.healths, boxes, unread, day)
        stale = self._keep(boxes, healths)
        for _ in range(_TRIES):
            if not stale:
                break
            again = self.store.get_many(stale)
            boxes = {name: box for name, box in boxes.items() if name not in stale} | again
            changed = {
                name: after_night(box, tallies.get(name), settings, late.get(name), night.allowed)
                for name, box in again.items()
            }
            fresh = {name: health for name, health in changed.items() if health is not None}
            healths |= _with_visits(fresh, again, unread, day)
            stale = self._keep(again, healths)
        if stale:
            raise TransientError(f"fold {day}: the mailboxes of shard {self.shard.number} change too often")
        folded = [Folded(box, healths.get(name), tallies.get(name)) for name, box in boxes.items()]
        sheet = make_sheet(
            self.shard, folded, before=self.before, settings=settings, withheld=night.withheld, now_ms=self.now_ms
        )
        put(self.services.bucket, keys.placements(day, self.shard.number), sheet, expected_etag=None)
        return sheet

    def _is_elsewhere(self, box: Mailbox) -> bool:
        """Whether another shard folds it, since the number of shards has changed."""
        shards = self.shard.day.header.shards
        return box.status == "active" and shard_of(box.mailbox_id, shards) != self.shard.number

    def _unread(self, boxes: Mapping[str, Mailbox]) -> dict[str, str]:
        """Why those members that have an IMAP server are not read, of whom visits fail again and again."""
        if self.visits is None:
            return {}
        read = [member.mailbox_id for member in self.shard.members if _is_read(boxes.get(member.mailbox_id))]
        return {
            name: f"the last {state.failures} visits failed: {FAILURES[state.failure or 'error']}"
            for name, state in self.visits.read_many(read).items()
            if state.failures >= UNREAD_AFTER
        }

    def _tallies(self, day: date) -> dict[str, DayTally]:
        """A day of the members, as the visits have found it and the ledger's last summary has it.

        Of the day before once more: bounces and complaints may take a day, and a mail that was missing may be found.
        """
        number = self.shard.number
        found = self.placements.read_shard(day, number)
        quotas = read(self.services.bucket, keys.quotas(day, number), QuotaSheet)
        sent = {row.mailbox_id: row.sent for row in quotas.rows} if quotas else {}
        members = (member.mailbox_id for member in self.shard.members)
        return {name: tally_of(day, found.get(name), sent.get(name, 0)) for name in members}

    def _keep(self, boxes: Mapping[str, Mailbox], healths: Mapping[str, MailboxHealth]) -> list[str]:
        """Write what is new; the ids of mailboxes that have changed meanwhile."""
        settings = self.services.settings
        kept = []
        for name, box in boxes.items():
            health = healths.get(name)
            text = health.to_text() if health else ""
            if health is None or text == box.health:
                continue
            if health.state == "quarantined" and box.status == "active":
                self.store.set_status(name, "quarantined", why_quarantined(health))
            kept.append(
                KeptHealth(
                    mailbox_id=name,
                    health=text,
                    pace=pace_of(health, settings),
                    graduated_on=health.graduated_on,
                    held_back=held_back(health, settings),
                    before=box.health,
                )
            )
        return self.store.keep_health(kept)


def tally_of(day: date, found: PlacementDay | None, sent: int) -> DayTally:
    """One mailbox's day in numbers; `found` is None when nobody has looked for any of its mails and none was reported."""
    found = found or PlacementDay()
    counts = Counter((placement.provider, placement.verdict) for placement in found.placements.values())
    arrived = {number for number, placement in found.placements.items() if placement.verdict != "missing"}
    # What lies in the recipient's mailbox has not come back, whoever says so.
    kinds = Counter(kind for number, kind in found.reports.items() if kind != "bounce" or number not in arrived)
    landed = {
        name: Landed(counts[name, "inbox"], counts[name, "junk"], counts[name, "missing"])
        for name in sorted({name for name, _ in counts})
    }
    complaints = kinds["complaint"] + kinds["redacted"]
    complainers = tuple(sorted(set(found.complainers.values()))[:KEPT_COMPLAINERS])
    return DayTally(
        day=day, sent=sent, bounces=kinds["bounce"], complaints=complaints, complainers=complainers, landed=landed
    )


def _is_read(box: Mailbox | None) -> bool:
    return box is not None and box.imap is not None


def _with_visits(
    healths: Mapping[str, MailboxHealth], boxes: Mapping[str, Mailbox], unread: Mapping[str, str], day: date
) -> dict[str, MailboxHealth]:
    """With why visits fail, or no longer; a mailbox of which nothing else is known gets a record for it."""
    found = dict(healths)
    for name in boxes:
        why = unread.get(name, "")
        health = found.get(name) or (MailboxHealth(through=day) if why else None)
        if health is not None and health.unread != why:
            found[name] = health.model_copy(update={"unread": why})
    return found
