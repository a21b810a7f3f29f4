"""The organisations: runs that failed, wait or are overdue, what was left behind, and windows that nobody has checked lately."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from mailtide.contracts import Latest, Lock, OpenMarker, SourceRef, Verdict
from mailtide.doctor.finding import Finding, broken, warning
from mailtide.errors import BudgetExceededError, RulesError
from mailtide.ports import Bucket
from mailtide.rules.config import Rules, load_rules
from mailtide.runs import keys, store
from mailtide.runs.cadence import last_opened

GRACE_S = 3_600
"""How late a run may be: the timer looks every 15 minutes, and a run before it may still be at work."""
UPLOAD_GRACE_S = 600
SOURCES_MONTHS = 12
_DAYS_A_MONTH = 30.44


@dataclass(frozen=True, slots=True)
class OrgFacts:
    """What stands for one organisation. rules: the packaged ones where its own are not usable."""

    org: str
    rules: Rules
    rules_problem: str | None
    latest: Latest
    reason: str | None
    """Why the last run was not published."""
    decided: bool
    """Whether a person said something about a held run, or cancelled it."""
    source: SourceRef | None
    lock: Lock | None
    open_runs: tuple[OpenMarker, ...]
    ended: frozenset[str]
    """Of the runs that lock and markers name: those that have ended."""


def read_or_say(bucket: Bucket, org: str) -> OrgFacts | Finding:
    """One organisation, or that what stands there is not what it should be."""
    try:
        return read_org(bucket, org)
    except ValidationError as error:
        what = f"An object of {org} cannot be read as {error.title}: its runs stand still."
        todo = f"look at {keys.ORGS}{org}/ and {keys.OPEN}{org}/; put an older version back, or delete what is none of mailtide's"
        return broken("organisations", org, what, todo)


def read_org(bucket: Bucket, org: str) -> OrgFacts:
    """One organisation: about eight small requests."""
    rules, problem = _rules(bucket, org)
    latest = store.read_latest(bucket, org).value
    done = store.read_done(bucket, org, latest.run) if latest.run and latest.status != "published" else None
    said = (
        store.read(bucket, keys.verdict(org, latest.run), Verdict) if latest.run and latest.status == "held" else None
    )
    lock = store.read(bucket, keys.lock(org), Lock)
    named = (keys.parse_marker(info.key) for info in bucket.list(f"{keys.OPEN}{org}/"))
    markers = tuple(marker for name in named if name and (marker := store.read_marker(bucket, *name)))
    runs = {marker.run for marker in markers} | ({lock.owner} if lock and lock.owner else set())
    ended = frozenset(run for run in runs if bucket.head(keys.done(org, run)) is not None)
    source = store.read_source(bucket, org)
    decided = said is not None or (done is not None and done.cancelled is not None)
    return OrgFacts(org, rules, problem, latest, done.reason if done else None, decided, source, lock, markers, ended)


def _rules(bucket: Bucket, org: str) -> tuple[Rules, str | None]:
    try:
        stored = bucket.get(keys.rules(org))
        return load_rules(stored.body.decode("utf-8") if stored else None), None
    except BudgetExceededError:
        return load_rules(None), "The rules file is far too large."
    except UnicodeDecodeError:
        return load_rules(None), "The rules file is not UTF-8 text."
    except RulesError as error:
        return load_rules(None), str(error)


def org_checks(facts: OrgFacts, now: datetime) -> Iterator[Finding]:
    """How an organisation's runs stand."""
    org, latest = facts.org, facts.latest
    if facts.rules_problem is not None:
        todo = f"put a rules file that can be used at {keys.rules(org)} (mailtide rules --rules FILE checks one)"
        yield broken("organisations", org, f"The rules of {org} cannot be used: {facts.rules_problem}", todo)
    if latest.status == "failed" and not facts.decided:
        todo = f"mailtide logs {org} {latest.run}; mend the cause, then mailtide runs retry {org} {latest.run}"
        yield warning(
            "organisations", org, f"The last run of {org} failed: {facts.reason or 'no reason is kept.'}", todo
        )
    if latest.status == "held" and not facts.decided:
        todo = f"mailtide runs show {org} {latest.run}, then mailtide runs approve or reject"
        yield warning("organisations", org, f"The last run of {org} is held and waits for a person.", todo)
    if facts.source is not None and not facts.open_runs:
        yield from _stale(facts, facts.source, now)


def _stale(facts: OrgFacts, source: SourceRef, now: datetime) -> Iterator[Finding]:
    org, rules, latest = facts.org, facts.rules, facts.latest
    todo = f"look at schedules, event sources and dead letters above; mailtide run {org} makes one now"
    if not store.is_handled(latest, source):
        if store.age_s(now, source.last_modified) > UPLOAD_GRACE_S:
            what = f"The database of {org} was uploaded at {source.last_modified:%Y-%m-%d %H:%M} UTC, and no run took it up."
            yield broken("organisations", org, what, todo)
        return
    before = now - timedelta(seconds=GRACE_S)
    due = last_opened(before, timezone=rules.timezone, cadence=rules.cadence, run_at_hour=rules.run_at_hour)
    if latest.as_of is not None and latest.as_of < due:
        what = f"A {rules.cadence} run of {org} is overdue: the last was for {latest.as_of}, and one for {due} was to follow."
        yield broken("organisations", org, what, todo)


def leftover_checks(facts: OrgFacts, now: datetime, run_timeout_s: int) -> Iterator[Finding]:
    """Open runs that should have ended, and a lock that nobody frees."""
    org = facts.org
    for marker in facts.open_runs:
        age_s = store.age_s(now, marker.opened_at)
        if age_s > 2 * run_timeout_s:
            what = (
                f"Run {marker.run} of {org} is open for {age_s / 3600:.1f} hours; a run ends within {run_timeout_s} s."
            )
            todo = f"mailtide logs {org} {marker.run}; is watch_runs called every minute?"
            yield broken("open runs", org, what, todo)
    lock = facts.lock
    if lock is None or lock.owner is None or lock.owner in {marker.run for marker in facts.open_runs}:
        return
    if lock.expires_at < now or lock.owner in facts.ended:
        what = f"The lock of {org} names run {lock.owner}, which is not under way any more."
        yield warning("locks", org, what, "nothing at once: the next run takes it; is watch_runs called every minute?")


def source_checks(all_facts: Iterable[OrgFacts], now: datetime) -> Iterator[Finding]:
    """Windows of states whose source nobody has looked at for a year: said once for the packaged ones."""
    packaged = load_rules(None)
    sets = {"the packaged rules": packaged}
    sets |= {f"the rules of {facts.org}": facts.rules for facts in all_facts if facts.rules.states != packaged.states}
    for name, rules in sets.items():
        checked = [
            (state, window.verified_on)
            for state, windows in rules.states.items()
            for window in windows
            if window.verified_on is not None
        ]
        old = sorted({state for state, day in checked if (now.date() - day).days > SOURCES_MONTHS * _DAYS_A_MONTH})
        if old:
            what = f"The windows of {', '.join(old)} in {name} were last checked against the law over a year ago."
            todo = "read their sources (mailtide rules --state CODE), mend the windows, and set verified_on"
            yield warning("window sources", name, what, todo)
