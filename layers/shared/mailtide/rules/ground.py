"""What every step of the rules works with: the people, the sources of candidates and the windows of one run."""

from dataclasses import dataclass

from mailtide.rules.columns import Related
from mailtide.rules.config import Rules
from mailtide.rules.dates import FIRST_DAY, LAST_DAY
from mailtide.rules.people import People
from mailtide.rules.sources import Codes, Names, Source, SourceTable, list_sources, tabulate
from mailtide.rules.volume import Limits, check_mails, mails_without_campaigns
from mailtide.rules.windows import StateWindows


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One run's day, rules, contacts and tables, and what follows from them."""

    rules: Rules
    as_of: int
    related: Related
    people: People
    names: Names
    table: SourceTable
    windows: StateWindows
    instances_without_start: int
    """Instances left out because they target everybody but have no start."""


def lay_ground(related: Related, people: People, rules: Rules, as_of: int) -> Ground:
    """The ground of a run. as_of: days since 1970-01-01; ValueError outside of years 1..9999."""
    if not FIRST_DAY <= as_of <= LAST_DAY:
        raise ValueError(f"as_of {as_of} is outside years 1..9999")
    names = Names(types=Codes(related.types))
    sources, without_start = list_sources(related, rules, as_of)
    table = tabulate(sources, names, rules)
    return Ground(
        rules=rules,
        as_of=as_of,
        related=related,
        people=people,
        names=names,
        table=table,
        windows=StateWindows(rules, people, names.reasons),
        instances_without_start=without_start,
    )


def check_volume(ground: Ground, limits: Limits) -> None:
    """Raise DatabaseError where more could come of the ground than the limits allow; follow-ups aside, which only follow
    from mails that were sent."""
    for_everybody = sum(source.everybody_on is not None for source in ground.table.sources)
    contacts, each = len(ground.people.eligible), mails_without_campaigns(ground.rules) + for_everybody
    check_mails(contacts * each + len(ground.related.targets.contact), contacts, limits)


def digest_of(sources: list[Source]) -> str:
    """SHA-256 of what candidates come from, in hexadecimal: equal on two machines that read the same campaigns."""
    import hashlib

    return hashlib.sha256(repr(sources).encode("utf-8", "surrogatepass")).hexdigest()
