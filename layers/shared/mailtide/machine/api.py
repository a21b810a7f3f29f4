"""The pass as a function for other programs: `mailtide.schedule`."""

import os
from datetime import UTC, date, datetime
from pathlib import Path

from mailtide.errors import SettingsError
from mailtide.machine.report import PassReport, Profile
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import Rules, load_rules

MAX_THREADS = 32


def schedule(
    path: str | os.PathLike[str],
    as_of: date,
    rules: Rules | str | None = None,
    *,
    threads: int = 2,
    profile: Profile = "highperf",
    run_id: str | None = None,
) -> PassReport:
    """Bring the mail schedule of the SQLite database at `path` up to date, in place, and say what changed.

    as_of: the civil day of the run. rules: the text of a rules file, rules already loaded, or None for the packaged
    ones. threads: 1 to 32; the rows are the same for any number. run_id: stands in the rows; made from the time when
    left out.

    Raises DatabaseError, RulesError or SettingsError (all of them mailtide.errors.InputError): one sentence that names
    what is wrong; the file is untouched then.
    """
    if isinstance(as_of, datetime) or not isinstance(as_of, date) or not 1900 <= as_of.year <= 2100:
        raise SettingsError(f"as_of is {as_of!r}; it must be a datetime.date of the years 1900 to 2100.")
    if not 1 <= threads <= MAX_THREADS:
        raise SettingsError(f"threads is {threads!r}; it must be 1 to {MAX_THREADS}.")
    if profile not in ("highperf", "reliable"):
        raise SettingsError(f"profile is {profile!r}; it must be highperf or reliable.")
    effective = rules if isinstance(rules, Rules) else load_rules(rules)
    started_at = datetime.now(UTC)
    name = run_id if run_id is not None else f"local-{started_at:%Y%m%dT%H%M%S%fZ}"
    return run_pass(Path(path), as_of, effective, name, started_at, threads, profile)
