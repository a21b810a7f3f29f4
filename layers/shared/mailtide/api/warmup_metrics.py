"""GET /api/warmup/metrics: today's figures, for operators of the whole system, for users of their own mailboxes."""

from http import HTTPStatus
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from mailtide.api.problems import ProblemError, answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.planning import measure_now, placement_now, planning
from mailtide.serving import readers
from mailtide.warmup.contracts import day_of
from mailtide.warmup.metrics import WarmupMetrics, prometheus_text
from mailtide.warmup.objects import RosterHeader
from mailtide.warmup.placement_metrics import placement_text
from mailtide.warmup.quota_pages import UserDay, user_day

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

router = ApiRouter()


def todays_roster() -> RosterHeader:
    """Today's. ProblemError 404 while there is none."""
    own = planning()
    header = own.rosters.header(day_of(own.clock.now_ms()))
    if header is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "Today has no roster yet: no tick has come by.")
    return header


@router.get(
    "/api/warmup/metrics",
    summary="Today's figures",
    operation_id="warmupMetrics",
    tags=["warmup"],
    responses=documented(
        WarmupMetrics,
        UserDay,
        description="The whole system (operators) or one user's mailboxes (users).",
        text="text/plain",
        refusals={403: "The Prometheus text is for operators.", 404: "Today has no roster yet."},
    ),
)
def metrics(
    as_format: Annotated[
        Literal["json", "prometheus"], Query(alias="format", description="JSON, or Prometheus' text format.")
    ] = "json",
) -> Response[str]:
    """As of each shard's last tick. No label of the Prometheus text holds an address or an id."""
    if as_format == "prometheus":
        router.require_operator("The Prometheus text")
        found = measure_now()
        # Before the first tick there is nothing to export, and that is no failure of the scrape.
        text = (prometheus_text(found) + placement_text(placement_now(0))).decode() if found else ""
        return Response(status_code=HTTPStatus.OK, content_type=PROMETHEUS, body=text)
    if router.caller.user_id is not None:
        return answer(user_day(planning().bucket, todays_roster(), readers(), router.caller.user_id))
    router.require_operator("This")
    found = measure_now()
    if found is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "Today has no roster yet: no tick has come by.")
    return answer(found)
