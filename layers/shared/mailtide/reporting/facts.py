"""What a report says, as plain values: no arrays, no markup, and no contact's address, name or telephone number."""

from dataclasses import dataclass

from mailtide.database.run_history import Runs

DAYS = 366
"""The days that a report looks ahead, its own day included."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Mails a day: the cap, and the number above which a day is brought down to it (spec §6)."""

    cap: int
    limit: int


@dataclass(frozen=True, slots=True)
class Volume:
    """Mails by day, from the report's day on; every list has DAYS entries."""

    by_type: dict[str, list[int]]
    """Email type -> mails that go out; the largest type first."""
    later: int
    """Mails that go out after the last day."""


@dataclass(frozen=True, slots=True)
class Skips:
    """Mails that the rules skip."""

    by_state: dict[str, dict[str, int]]
    """State -> kind of reason -> mails; the state with most first."""
    kinds: list[str]
    """All kinds of reason, the most frequent first."""
    details: dict[str, int]
    """Same-day reasons by the type of the mail that goes out instead -> mails."""


@dataclass(frozen=True, slots=True)
class TypeMoves:
    """What smoothing did to the mails of one type."""

    mails: int
    spread: int
    """Moved because too many effective date mails fell on one day."""
    capped: int
    """Moved because a day was full."""
    longest: int
    """The longest move, in days."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What smoothing moved: mails that no window keeps back, before same-day and frequency rules skip some."""

    by_type: dict[str, TypeMoves]
    before: list[int]
    """Mails by day before smoothing; DAYS entries."""
    after: list[int]
    reach: dict[str, int]
    """How far -> mails, from near to far; unmoved mails left out."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the data that costs mails or hides a date."""

    reason: str
    count: int
    meaning: str
    example_of: str
    """What the examples are: contact id, campaign instance id, or row number."""
    examples: list[int]


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign instance that has mails in the plan."""

    id: int
    email_type: str
    name: str
    planned: int
    skipped: int


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """All of it, for one day and one set of rules."""

    database: str
    """The file's name."""
    as_of: str
    timezone: str
    rules_sha256: str
    contacts: int
    eligible: int
    planned: int
    skipped: int
    would_insert: int
    """Rows by which the schedule in the file differs from this plan."""
    would_update: int
    would_delete: int
    caps: Caps | None
    volume: Volume
    skips: Skips
    moves: Moves
    findings: list[Finding]
    campaigns: list[Campaign]
    more_campaigns: int
    runs: Runs
    warnings: list[str]
