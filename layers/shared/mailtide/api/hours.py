"""GET /api/warmup/hours: mails of the last 24 hours by the hour, against the limit."""

from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel, Field

from mailtide.api.problems import answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.planning import planning
from mailtide.serving import begun_by_hour

HOURS = 24
HOUR_MS = 3_600_000

router = ApiRouter()


class Hour(BaseModel):
    """One hour, of UTC."""

    start_ms: int = Field(description="Unix time in ms.")
    begun: int = Field(description="Sends that were begun: mails, and those that failed.")


class Hours(BaseModel):
    """The last 24 hours."""

    limit_per_hour: int = Field(description="Mails that the global limits let through in an hour.")
    hours: tuple[Hour, ...] = Field(description="Oldest first; the last one is still going on.")


@router.get(
    "/api/warmup/hours",
    summary="The last 24 hours",
    operation_id="warmupHours",
    tags=["warmup"],
    responses=documented(Hours, description="By the hour.", refusals={403: "For operators alone."}),
)
def hours() -> Response[str]:
    """From the counters of the limits, so it is exact and costs 24 small reads."""
    router.require_operator("This")
    own = planning()
    last = own.clock.now_ms() // HOUR_MS
    wanted = range(last - HOURS + 1, last + 1)
    begun = begun_by_hour(wanted)
    limit = min(own.settings.global_minute_limit * 60, own.settings.global_hourly_limit)
    found = tuple(Hour(start_ms=hour * HOUR_MS, begun=begun.get(hour, 0)) for hour in wanted)
    return answer(Hours(limit_per_hour=limit, hours=found))
