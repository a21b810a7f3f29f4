"""What follows from a mailbox's placement, bounces and complaints (docs/placement.md). Pure: the record of the day before and
one day's tally in, the next record out.

Against a mailbox counts only what is sure: the whole interval of its score must lie on the bad side, and the sample must
be large enough. In its favour likewise. Between the two everything stays as it is, so nobody goes to and fro.
"""

from datetime import date, timedelta
from typing import NamedTuple

from mailtide.warmup.contracts import MailboxProfile
from mailtide.warmup.reading.record import (
    HISTORY_DAYS,
    WINDOW_DAYS,
    DayTally,
    Landed,
    MailboxHealth,
    ScorePoint,
    add_days,
)
from mailtide.warmup.reading.score import score, wilson
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.targets import ramp_end

ONE_DAY = timedelta(days=1)
ROSTER_LAG = timedelta(days=2)
"""Day D is folded on D + 1, whose roster is made already: what follows is in force from D + 2 on."""
RESUMED = "resumed after a quarantine"


class Evidence(NamedTuple):
    """What speaks against a mailbox; both "" when nothing does."""

    to_slow: str = ""
    to_quarantine: str = ""


def after_day(
    old: MailboxHealth | None,
    tally: DayTally,
    box: MailboxProfile,
    settings: WarmupSettings,
    *,
    late: DayTally | None = None,
    may_quarantine: bool = True,
    missing_counts: bool = True,
) -> MailboxHealth:
    """The record after one more day; the old one when it holds the day already.

    late: the day before once more, with what was found and reported since it was folded. may_quarantine=False: whoever would
    be quarantined is slowed instead, and what speaks against it today counts no more (`is_withheld`). missing_counts=False:
    mails that are missing until today speak no more against it (`is_spared`).
    """
    if old is not None and old.through >= tally.day:
        return old
    known = _with_day(old, tally, late)
    known = known if missing_counts else _forgiven(known)
    judged = _judged(known)
    if known.state == "quarantined" and box.status != "active":
        return known
    found = evidence(judged, settings)
    if found.to_quarantine and may_quarantine and box.status in {"active", "quarantined"}:
        return _quarantined(known, found.to_quarantine)
    if found.to_quarantine and not may_quarantine:
        # A bad day of all must not quarantine some of them later, when the others have recovered.
        return _slowed(known, found.to_quarantine, tally.day + ROSTER_LAG).model_copy(
            update={"judged_from": tally.day + ONE_DAY}
        )
    against = found.to_quarantine or found.to_slow
    if against:
        return _slowed(known, against, tally.day + ROSTER_LAG)
    if known.state == "quarantined":
        return _slowed(known, RESUMED, tally.day)
    if known.state == "slowed":
        return _full(known) if _goes_on(known, judged, settings) else known
    return _graduated(known, box, settings)


def is_withheld(health: MailboxHealth) -> bool:
    """Whether its last day would have quarantined it, had not too many others shared that."""
    is_spared = health.state == "slowed" and health.reason != RESUMED
    return is_spared and health.judged_from == health.through + ONE_DAY


def rests_on_missing(
    old: MailboxHealth | None, tally: DayTally, settings: WarmupSettings, *, late: DayTally | None = None
) -> bool:
    """Whether after the day something speaks against a mailbox that would not if no mail were missing.

    Junk is what a provider thinks of the sender. A mail that is nowhere may be lost or late, whoever wrote it.
    """
    known = old if old is not None and old.through >= tally.day else _with_day(old, tally, late)
    return any(evidence(_judged(known), settings)) and not any(evidence(_judged(_forgiven(known)), settings))


def is_spared(health: MailboxHealth, settings: WarmupSettings) -> bool:
    """Whether it would be slowed or quarantined if the missing mails counted that count no more."""
    if health.state != "full" or health.missing_from is None:
        return False
    all_counted = health.model_copy(update={"missing_from": None})
    return any(evidence(_judged(all_counted), settings)) and not any(evidence(_judged(health), settings))


def evidence(week: DayTally, settings: WarmupSettings) -> Evidence:
    """What seven days say against a mailbox."""
    far_too_bad = surely_below(week.total, settings.quarantine_inbox_share, settings)
    # Anybody can write a report that names nobody, and one user can write many: alone they slow at most.
    is_told_by_many = len(week.complainers) >= settings.quarantine_complaints
    quarantine = (_complaints(week, 1) if is_told_by_many else "") or _bounces(week, settings) or far_too_bad
    slow = (
        _complaints(week, max(1, settings.quarantine_complaints - 1))
        or surely_below(week.total, settings.slow_inbox_share, settings)
        or _at_one_provider(week, settings)
    )
    return Evidence(slow, quarantine)


def surely_below(landed: Landed, share: float, settings: WarmupSettings) -> str:
    """The score as words when the whole of its interval is below a share; "" when it is not, or the sample is too small."""
    found = score(landed)
    if found.seen < settings.placement_min_mails or found.high >= share:
        return ""
    return in_words(landed)


def in_words(landed: Landed) -> str:
    """61 % of 140 mails in the inbox"""
    return (
        f"{100 * landed.inbox / landed.seen:.0f} % of {landed.seen} mails in the inbox" if landed.seen else "no mails"
    )


def pace_of(health: MailboxHealth, settings: WarmupSettings) -> float:
    """Part of its mails that a mailbox writes; one that is quarantined begins with it when it is resumed."""
    return 1.0 if health.state == "full" else settings.slow_pace


def held_back(health: MailboxHealth, settings: WarmupSettings) -> str:
    """Why the mailbox writes less than its ramp says, for a person; "" when it does not."""
    if health.state != "full":
        return f"{health.state} from {health.since} on: {health.reason}" if settings.slow_pace < 1 else ""
    if health.graduated_on is not None and settings.graduated_quota:
        return f"graduated on {health.graduated_on}: at most {settings.graduated_quota} mails a day"
    return ""


def why_quarantined(health: MailboxHealth) -> str:
    """The reason of the mailbox's status."""
    return f"{health.reason} (seven days to {health.through})"


def _with_day(old: MailboxHealth | None, tally: DayTally, late: DayTally | None) -> MailboxHealth:
    old = old or MailboxHealth(through=tally.day)
    oldest = tally.day - timedelta(days=WINDOW_DAYS)
    by_day = {day.day: day for day in old.days}
    if late is not None and not late.is_silent:
        by_day[late.day] = late
    if tally.sent or not tally.is_silent:
        by_day[tally.day] = tally
    days = [by_day[day] for day in sorted(by_day) if day > oldest]
    total = add_days(days, tally.day).total
    history = [*old.history, ScorePoint(tally.day, total.inbox, total.seen)] if total.seen else list(old.history)
    return old.model_copy(update={"through": tally.day, "days": tuple(days), "history": tuple(history[-HISTORY_DAYS:])})


def _judged(health: MailboxHealth) -> DayTally:
    first, missing_from = health.judged_from or date.min, health.missing_from or date.min
    days = (day for day in health.days if day.day >= first)
    return add_days((day if day.day >= missing_from else _without_missing(day) for day in days), health.through)


def _forgiven(health: MailboxHealth) -> MailboxHealth:
    return health.model_copy(update={"missing_from": health.through + ONE_DAY})


def _without_missing(day: DayTally) -> DayTally:
    return day.model_copy(update={"landed": {name: landed._replace(missing=0) for name, landed in day.landed.items()}})


def _complaints(week: DayTally, limit: int) -> str:
    if week.complaints < limit:
        return ""
    return f"{week.complaints} complaint{'' if week.complaints == 1 else 's'}"


def _bounces(week: DayTally, settings: WarmupSettings) -> str:
    # A mail whose outcome was never known can come back too, and is in no count of sent ones.
    sent = max(week.sent, week.bounces)
    if sent < settings.placement_min_mails or wilson(week.bounces, sent)[0] <= settings.quarantine_bounce_share:
        return ""
    return f"{week.bounces} of {sent} mails came back"


def _at_one_provider(week: DayTally, settings: WarmupSettings) -> str:
    """Far too bad at one provider is a reason to write less, however well it goes with the others."""
    for provider, landed in week.landed.items():
        found = surely_below(landed, settings.quarantine_inbox_share, settings)
        if found:
            return f"{found} at {provider or 'providers that are not known'}"
    return ""


def _quarantined(known: MailboxHealth, reason: str) -> MailboxHealth:
    return known.model_copy(
        update={
            "state": "quarantined",
            "since": known.through + ONE_DAY,
            "reason": reason,
            "judged_from": known.through + ROSTER_LAG,
            "graduated_on": None,
        }
    )


def _slowed(known: MailboxHealth, reason: str, since: date) -> MailboxHealth:
    first = known.since if known.state == "slowed" else since
    return known.model_copy(update={"state": "slowed", "since": first, "reason": reason})


def _full(known: MailboxHealth) -> MailboxHealth:
    return known.model_copy(update={"state": "full", "since": known.through + ROSTER_LAG, "reason": ""})


def _goes_on(known: MailboxHealth, judged: DayTally, settings: WarmupSettings) -> bool:
    """Surely good again; or long enough slowed, so that a mailbox of few mails, of which one is never sure, gets out too."""
    found = score(judged.total)
    if found.seen >= settings.placement_min_mails and found.low >= settings.slow_inbox_share:
        return True
    return known.since is not None and (known.through - known.since).days + 1 >= settings.slow_days


def _graduated(known: MailboxHealth, box: MailboxProfile, settings: WarmupSettings) -> MailboxHealth:
    if known.graduated_on is not None or box.status != "active":
        return known
    earliest = ramp_end(box.ramp, first_day=box.first_day) + timedelta(days=settings.graduate_days)
    found = score(known.week().total)
    if known.through < earliest or found.seen < settings.placement_min_mails:
        return known
    return (
        known.model_copy(update={"graduated_on": known.through})
        if found.low >= settings.graduate_inbox_share
        else known
    )
