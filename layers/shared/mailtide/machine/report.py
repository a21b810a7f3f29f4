"""What a pass did, as the command line, the machine and the functions show it. No numpy."""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal

type Profile = Literal["highperf", "reliable"]

DAYS = 400
"""Days that the daily volume counts: a year, and what catching up and smoothing put behind it."""


@dataclass(frozen=True, kw_only=True)
class DailyVolume:
    """Planned mails by day, for a chart."""

    first_day: date
    counts: dict[str, list[int]]
    """Email type -> mails of each day from `first_day` on; zeros at the end are left out."""
    later: int
    """Mails of days beyond the last of DAYS."""


@dataclass(frozen=True, kw_only=True)
class PassReport:
    """The counts of one pass. Every number is of rows or contacts, but `seconds`."""

    as_of: date
    run_id: str
    rules_sha256: str
    profile: Profile
    threads: int
    contacts: int
    """Rows of the table contacts."""
    eligible: int
    skipped_contacts: dict[str, int]
    """Contacts that get no mail at all, by the first reason that applies."""
    rows: dict[str, dict[str, int]]
    """Desired rows: email type -> status -> count."""
    skips: dict[str, int]
    """Desired rows that are skipped, by skip reason."""
    daily: DailyVolume | None = None
    """None in reports of before it was counted."""
    inserted: int
    updated: int
    deleted: int
    unchanged: int
    changed: bool
    """Whether anything was written."""
    notes: dict[str, int]
    """Counts worth a look: what the rules moved or could not place, and values that could not be read."""
    warnings: list[str]
    seconds: dict[str, float]
    """By step, and `total`."""

    def plain(self) -> dict[str, Any]:
        """As values of JSON: days are texts in ISO 8601."""
        values = asdict(self) | {"as_of": self.as_of.isoformat()}
        if self.daily is not None:
            values["daily"]["first_day"] = self.daily.first_day.isoformat()
        return values
