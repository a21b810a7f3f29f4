"""The end of a run whose database was replaced or handled before it was planned.

plan.json decides: it is created once, either by whoever draws up the plan or here, as one that launches nothing. So no
machine is ever launched for a run that ends like this, and its bill is whole.
"""

from mailtide.contracts import Failure, Latest, OpenMarker, Plan, Result
from mailtide.runs import store
from mailtide.runs.collect import decide
from mailtide.runs.conclude import close
from mailtide.runs.draw_up import give_up
from mailtide.runs.services import Services, StepReport
from mailtide.runs.story import done_of

_TOO_LATE = Failure(kind="source_changed", message="The database was replaced or handled before this run was planned.")


def supersede_unplanned(services: Services, marker: OpenMarker, before: store.Versioned[Latest]) -> StepReport:
    """End an opened run whose source is no longer the present one: only while it has no plan, and latest.json is the
    one read `before` the source was looked at."""
    if store.read_latest(services.bucket, marker.org).etag != before.etag:
        return StepReport("changed_while_planning", marker.org, marker.run)
    plan = give_up(services, marker, _TOO_LATE)
    if plan.rejected is None or plan.rejected.kind != _TOO_LATE.kind:
        return StepReport("changed_while_planning", marker.org, marker.run)
    result = decide(services, plan, _TOO_LATE, None, 0)
    if not is_unplanned(plan, result):
        return StepReport("decided_while_planning", marker.org, marker.run)
    return end_unplanned(services, plan, result)


def is_unplanned(plan: Plan, result: Result) -> bool:
    """Whether the run came too late to be planned, and nobody cancelled it before that was decided."""
    return not plan.tasks and result.failure is not None and result.failure.kind == _TOO_LATE.kind


def end_unplanned(services: Services, plan: Plan, result: Result) -> StepReport:
    """Close the run. It has touched nothing, so neither latest.json nor the database has to be looked at again."""
    return close(services, done_of(services, plan, result, "superseded", _TOO_LATE.message, None))
