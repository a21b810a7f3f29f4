"""The publish brake: a run that would change far more than runs do ends as held, and a person decides.

It compares with the last published schedule. First runs and runs under other rules change much by right, so they pass.
"""

from mailtide.contracts import Baseline, Part, Plan, Verdict
from mailtide.runs import keys, store
from mailtide.runs.services import Services
from mailtide.settings import Settings


def brake_reasons(services: Services, plan: Plan, part: Part) -> list[str]:
    """Why what was delivered should not be published without a person's word; empty when it may."""
    before = store.read_latest(services.bucket, plan.org).value.baseline
    now = baseline_of(plan, part)
    if before is None or now is None or before.rules_sha256 != now.rules_sha256:
        return []
    found = [*_fewer_contacts(services.settings, before, now), *_changed_rows(services.settings, before, now, part)]
    return [] if found and _is_approved(services, plan) else found


def held_sentence(reasons: list[str]) -> str:
    """The reasons as the one sentence of done.json."""
    return f"The run is held, because {' and '.join(reasons)}; approve or reject it."


def baseline_of(plan: Plan, part: Part) -> Baseline | None:
    """What the delivered schedule amounts to; None when its report does not say."""
    report = part.manifest.report
    contacts, rows = report.get("contacts"), report.get("rows")
    if not isinstance(contacts, int) or not isinstance(rows, dict):
        return None
    total = sum(_sum(counts) for counts in rows.values())
    return Baseline(run=plan.run, rules_sha256=plan.rules_sha256, contacts=contacts, rows=total)


def _sum(counts: object) -> int:
    return sum(count for count in counts.values() if isinstance(count, int)) if isinstance(counts, dict) else 0


def _fewer_contacts(settings: Settings, before: Baseline, now: Baseline) -> list[str]:
    lost = before.contacts - now.contacts
    if lost <= settings.brake_min or lost <= settings.brake_share * before.contacts:
        return []
    return [f"it finds {now.contacts:,} contacts where the last published run found {before.contacts:,}"]


def _changed_rows(settings: Settings, before: Baseline, now: Baseline, part: Part) -> list[str]:
    """Rows against those that stand in the database; against the last count when it came without a schedule."""
    inserted, updated, deleted, unchanged = (
        _count(part, name) for name in ("inserted", "updated", "deleted", "unchanged")
    )
    standing = updated + deleted + unchanged
    if not standing:
        changed, of = abs(now.rows - before.rows), before.rows
        sentence = f"it plans {now.rows:,} mails where the last published run planned {before.rows:,}"
    else:
        changed, of = inserted + updated + deleted, standing
        sentence = f"it would add {inserted:,}, change {updated:,} and delete {deleted:,} planned mails where {standing:,} stand"
    return [sentence] if changed > settings.brake_min and changed > settings.brake_share * of else []


def _count(part: Part, name: str) -> int:
    value = part.manifest.report.get(name)
    return value if isinstance(value, int) else 0


def _is_approved(services: Services, plan: Plan) -> bool:
    """Whether a person has approved just this: the same database, day and rules as those of the held run."""
    if plan.approved is None:
        return False
    verdict = store.read(services.bucket, keys.verdict(plan.org, plan.approved), Verdict)
    held = store.read_plan(services.bucket, plan.org, plan.approved)
    return (
        verdict is not None
        and verdict.approved
        and held is not None
        and store.same_source(held.source, plan.source)
        and (held.as_of, held.rules_sha256) == (plan.as_of, plan.rules_sha256)
    )
