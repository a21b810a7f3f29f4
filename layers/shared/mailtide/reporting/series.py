"""Which mail types get a colour of their own, and the figures of the charts and tables."""

from dataclasses import dataclass
from datetime import date, timedelta

from mailtide.reporting.facts import DAYS, ReportFacts, Volume
from mailtide.rules.config import CAMPAIGN_PREFIX, FOLLOWUP_PREFIX

MAX_SERIES = 8
_FOLLOWUPS, _OTHERS = "follow-ups", "all others"
_CROWDED = 2.5
_DAYS_NAMED = 6


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart: its name, its place among the colours, and a number for each day."""

    name: str
    slot: int
    counts: list[int]


@dataclass(frozen=True, slots=True)
class Month:
    """One month of the calendar; weeks from Sunday on that hold a day of the report, None for days that are none."""

    name: str
    total: int
    weeks: list[list["Cell | None"]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One day. heat: 0 for no mails, up to 5 for a day at the cap, 6 above the limit."""

    day: int
    date: str
    count: int
    heat: int


def day_of(facts: ReportFacts, offset: int) -> date:
    """The date that lies `offset` days after the report's day."""
    return date.fromisoformat(facts.as_of) + timedelta(days=offset)


def make_series(volume: Volume) -> list[Series]:
    """The types as at most MAX_SERIES series: follow-ups together, and the smallest campaigns together."""
    groups: dict[str, list[int]] = {}
    for name, counts in volume.by_type.items():
        group = _FOLLOWUPS if name.startswith(FOLLOWUP_PREFIX) else name
        groups[group] = _sum(groups.get(group), counts)
    names = sorted(groups, key=lambda name: (name.startswith(CAMPAIGN_PREFIX), -sum(groups[name]), name))
    if len(names) > MAX_SERIES:
        for name in names[MAX_SERIES - 1 :]:
            groups[_OTHERS] = _sum(groups.get(_OTHERS), groups[name])
        names = [*names[: MAX_SERIES - 1], _OTHERS]
    return [Series(name, slot, groups[name]) for slot, name in enumerate(names)]


def _sum(first: list[int] | None, second: list[int]) -> list[int]:
    return second if first is None else [one + other for one, other in zip(first, second, strict=True)]


def totals(volume: Volume) -> list[int]:
    """Mails by day, all types together."""
    return [sum(day) for day in zip(*volume.by_type.values(), strict=True)] if volume.by_type else [0] * DAYS


def ceiling(facts: ReportFacts, counts: list[int]) -> int | None:
    """Where a chart of these days ends so that a few giant days do not flatten all others; None: at the largest day."""
    if facts.caps is None or max(counts, default=0) <= _CROWDED * facts.caps.limit:
        return None
    usual = max((count for count in counts if count <= _CROWDED * facts.caps.limit), default=0)
    return round(1.1 * max(usual, facts.caps.limit))


def above(facts: ReportFacts, counts: list[int], bound: int) -> list[tuple[str, int]]:
    """Days with more mails than `bound`, the fullest first, as date and number; at most _DAYS_NAMED."""
    found = [(day_of(facts, offset).isoformat(), count) for offset, count in enumerate(counts) if count > bound]
    return sorted(found, key=lambda item: (-item[1], item[0]))[:_DAYS_NAMED]


def calendar_of(facts: ReportFacts, counts: list[int]) -> list[Month]:
    """The report's days, month by month."""
    by_day = {day_of(facts, offset): count for offset, count in enumerate(counts)}
    first = date.fromisoformat(facts.as_of).replace(day=1)
    months = []
    while first <= max(by_day):
        months.append(_month(first, by_day, facts))
        first = (first + timedelta(days=31)).replace(day=1)
    return months


def _month(first: date, by_day: dict[date, int], facts: ReportFacts) -> Month:
    # Sunday is the first day of the week where the organisations are.
    day = first - timedelta(days=first.isoweekday() % 7)
    weeks: list[list[Cell | None]] = []
    total = 0
    while day.replace(day=1) <= first:
        week: list[Cell | None] = []
        for _ in range(7):
            inside = day.replace(day=1) == first and day in by_day
            week.append(_cell(day, by_day[day], facts) if inside else None)
            total += by_day[day] if inside else 0
            day += timedelta(days=1)
        weeks += [week] if any(week) else []
    return Month(f"{first:%B %Y}", total, weeks)


def _cell(day: date, count: int, facts: ReportFacts) -> Cell:
    full = facts.caps.cap if facts.caps else max(totals(facts.volume))
    heat = min(5, -(-5 * count // max(1, full)))
    return Cell(day.day, day.isoformat(), count, 6 if facts.caps and count > facts.caps.limit else heat)
