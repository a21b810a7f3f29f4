"""Collecting the facts of a report: the rules of one day, run on a private copy of the database."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np

from mailtide.database.bulk import Source
from mailtide.database.compare import compare
from mailtide.database.private_copy import PrivateCopy, private_copy
from mailtide.database.read import InputsRead, read_inputs
from mailtide.database.run_history import read_campaign_names, read_runs
from mailtide.reporting.counts import count_moves, count_skips, count_volume
from mailtide.reporting.facts import Campaign, Caps, ReportFacts
from mailtide.reporting.quality import list_findings
from mailtide.rules.columns import NO_CODE, Desired, Int32, Outcome
from mailtide.rules.config import Rules
from mailtide.rules.decide import decide
from mailtide.rules.people import judge
from mailtide.rules.smoothing import limits_of

_EPOCH = date(1970, 1, 1)
_NO_OVERFLOW = Decimal(1_000_000)
_MAX_CAMPAIGNS = 100


def collect_facts(path: Path, as_of: date, rules: Rules, threads: int = 2) -> ReportFacts:
    """The facts of a database on a day; the file is not changed. Raises DatabaseError.

    The plan is what a pass of that day makes. What smoothing moved is the difference between it and the plans of the
    same rules without the daily cap, and without any smoothing.
    """
    day = (as_of - _EPOCH).days
    tables = ("contacts", "email_schedules", "scheduler_runs")
    with private_copy(path, tables) as copy:
        source = Source(copy.path, copy.header)
        read = read_inputs(source, copy.schema, threads)
        outcome = decide(read.inputs, rules, day, threads)
        without_cap = replace(rules, overage_threshold=_NO_OVERFLOW)
        spread = _send_days(read, without_cap, day, threads, outcome)
        plain = _send_days(read, replace(rules, daily_cap_fraction=None), day, threads, outcome)
        return _facts(path.name, copy, source, read, outcome, rules, as_of, (plain, spread), threads)


def _send_days(read: InputsRead, rules: Rules, day: int, threads: int, outcome: Outcome) -> Int32:
    """The send days under other smoothing; smoothing makes and removes no row, so the rows are the same."""
    send = decide(read.inputs, rules, day, threads).desired.send
    if len(send) != len(outcome.desired):
        raise AssertionError("smoothing changed the number of rows")
    return send


def _facts(
    name: str,
    copy: PrivateCopy,
    source: Source,
    read: InputsRead,
    outcome: Outcome,
    rules: Rules,
    as_of: date,
    unsmoothed: tuple[Int32, Int32],
    threads: int,
) -> ReportFacts:
    desired, day = outcome.desired, (as_of - _EPOCH).days
    skipped = int(np.count_nonzero(desired.skip_reason != NO_CODE))
    found = compare(source, copy.schema, read.inputs.contacts.id, desired, rules.send_time, threads)
    limits = limits_of(rules, outcome.eligible)
    campaigns = _campaigns(desired, read_campaign_names(source, copy.schema))
    return ReportFacts(
        database=name,
        as_of=as_of.isoformat(),
        timezone=rules.timezone,
        rules_sha256=rules.sha256,
        contacts=read.contact_rows,
        eligible=outcome.eligible,
        planned=len(desired) - skipped,
        skipped=skipped,
        would_insert=len(found.insert),
        would_update=len(found.update_row),
        would_delete=len(found.delete),
        caps=None if limits is None else Caps(limits.cap, limits.limit),
        volume=count_volume(desired, day),
        skips=count_skips(desired, judge(read.inputs.contacts)[0]),
        moves=count_moves(desired, *unsmoothed, day),
        findings=list_findings(source, copy.schema, read, outcome),
        campaigns=campaigns[:_MAX_CAMPAIGNS],
        more_campaigns=max(0, len(campaigns) - _MAX_CAMPAIGNS),
        runs=read_runs(source, copy.schema),
        warnings=list(copy.schema.warnings),
    )


def _campaigns(desired: Desired, names: dict[int, str]) -> list[Campaign]:
    """The campaign instances of the plan, those with most mails first."""
    rows = np.flatnonzero(desired.campaign != 0)
    pairs = np.column_stack((desired.campaign[rows], desired.email_type[rows].astype(np.int64)))
    distinct, place = np.unique(pairs, axis=0, return_inverse=True)
    skipped = np.bincount(place.ravel(), weights=desired.skip_reason[rows] != NO_CODE, minlength=len(distinct))
    total = np.bincount(place.ravel(), minlength=len(distinct))
    found = [
        Campaign(int(number), desired.types[int(code)], names.get(int(number), "–"), int(all_ - left), int(left))
        for (number, code), all_, left in zip(distinct.tolist(), total, skipped, strict=True)
    ]
    return sorted(found, key=lambda one: (-(one.planned + one.skipped), one.id, one.email_type))
