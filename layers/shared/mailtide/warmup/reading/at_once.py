"""What follows from a day for the mailboxes of a shard together: what too many share at once is the fault of none of them."""

from collections.abc import Mapping
from datetime import date
from math import ceil
from typing import NamedTuple

from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.reading.health import ONE_DAY, after_day, is_withheld, rests_on_missing
from mailtide.warmup.reading.record import DayTally, MailboxHealth
from mailtide.warmup.settings import WarmupSettings

AT_ONCE_SHARE = 0.25
AT_ONCE_LEAST = 5
"""When more mailboxes of a shard than these would be quarantined in one night, or slowed for missing mails alone, they have
something else in common: a provider that had a bad day, or a fault of ours. Then they are slowed, or left as they are, and
people are told. AT_ONCE_LEAST: of the whole pool; of a shard its part of them, at least one."""


class Allowed(NamedTuple):
    """What a night may do to the mailboxes of a shard."""

    quarantine: bool = True
    missing: bool = True
    """Whether mails that are missing may speak against a mailbox."""


class Night(NamedTuple):
    """The records of a shard after a day, of those that have any."""

    healths: dict[str, MailboxHealth]
    allowed: Allowed
    withheld: int
    """Mailboxes that are slowed instead of quarantined."""


def at_once(members: int, mailboxes: int) -> int:
    """How many mailboxes of a shard may always be hit in one night: its part of AT_ONCE_LEAST, at least one."""
    return max(1, ceil(AT_ONCE_LEAST * members / max(1, mailboxes)))


def after_shard(
    boxes: Mapping[str, Mailbox],
    tallies: Mapping[str, DayTally],
    settings: WarmupSettings,
    *,
    late: Mapping[str, DayTally],
    least: int,
) -> Night:
    """What the day does to them. least: so many are slowed or quarantined whatever the others do."""
    allowed = Allowed()
    healths = _all_after(boxes, tallies, settings, late, allowed)
    measured = sum(1 for health in healths.values() if health.week().total.seen >= settings.placement_min_mails)
    most = max(least, AT_ONCE_SHARE * measured)
    if _are_many_missing(boxes, tallies, settings, late, most):
        allowed = Allowed(missing=False)
        healths = _all_after(boxes, tallies, settings, late, allowed)
    condemned = [name for name, tally in tallies.items() if name in healths and _is_condemned(healths[name], tally.day)]
    if len(condemned) <= most:
        return Night(healths, allowed, 0)
    allowed = allowed._replace(quarantine=False)
    healths |= _all_after({name: boxes[name] for name in condemned}, tallies, settings, late, allowed)
    return Night(healths, allowed, sum(1 for name in condemned if healths[name].state != "quarantined"))


def after_night(
    box: Mailbox, tally: DayTally | None, settings: WarmupSettings, late: DayTally | None, allowed: Allowed
) -> MailboxHealth | None:
    """One mailbox's record; None while there is nothing to remember of it."""
    old = MailboxHealth.from_text(box.health)
    if tally is None or (old is None and _says_nothing(tally, late)):
        return old
    return after_day(
        old, tally, box, settings, late=late, may_quarantine=allowed.quarantine, missing_counts=allowed.missing
    )


def _says_nothing(tally: DayTally, late: DayTally | None) -> bool:
    return tally.is_silent and (late is None or late.is_silent)


def _all_after(
    boxes: Mapping[str, Mailbox],
    tallies: Mapping[str, DayTally],
    settings: WarmupSettings,
    late: Mapping[str, DayTally],
    allowed: Allowed,
) -> dict[str, MailboxHealth]:
    found = {
        name: after_night(box, tallies.get(name), settings, late.get(name), allowed) for name, box in boxes.items()
    }
    return {name: health for name, health in found.items() if health is not None}


def _are_many_missing(
    boxes: Mapping[str, Mailbox],
    tallies: Mapping[str, DayTally],
    settings: WarmupSettings,
    late: Mapping[str, DayTally],
    most: float,
) -> bool:
    """Whether more than `most` would be slowed or worse for missing mails alone, or an earlier try of the night found so."""
    count = 0
    for name, tally in tallies.items():
        old = MailboxHealth.from_text(boxes[name].health) if name in boxes else None
        if old is not None and old.through == tally.day and old.missing_from == tally.day + ONE_DAY:
            return True
        count += name in boxes and rests_on_missing(old, tally, settings, late=late.get(name))
    return count > most


def _is_condemned(health: MailboxHealth, day: date) -> bool:
    """Also of those whose record an earlier try has kept, spared or not: each try counts the same ones."""
    is_new = health.state == "quarantined" and health.since == day + ONE_DAY
    return health.through == day and (is_new or is_withheld(health))
