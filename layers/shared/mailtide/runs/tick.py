"""The timer: which organisations are due for a run?"""

from mailtide.contracts import PlanMessage
from mailtide.runs import keys, store
from mailtide.runs.cadence import due_date
from mailtide.runs.draw_up import read_rules_or_packaged
from mailtide.runs.rounds import for_each
from mailtide.runs.services import Services, StepReport


def queue_due_runs(services: Services) -> StepReport:
    """Queue a plan for every organisation whose local time is past its hour and that has no run yet in its period."""
    due = for_each(list(store.organisations(services.bucket)), lambda org: _queue_if_due(services, org))
    return StepReport("ticked", details={"due": len(due)})


def _queue_if_due(services: Services, org: str) -> StepReport | None:
    if services.bucket.head(keys.source(org)) is None:
        return None
    rules = read_rules_or_packaged(services.bucket, org)
    day = due_date(
        services.clock.now(),
        timezone=rules.timezone,
        cadence=rules.cadence,
        run_at_hour=rules.run_at_hour,
        last_as_of=store.read_latest(services.bucket, org).value.as_of,
    )
    if day is None:
        return None
    services.queues.send(PlanMessage(org=org, trigger="timer", as_of=day))
    return StepReport("queued_timer", org)
