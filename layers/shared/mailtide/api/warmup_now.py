"""GET /v1/warmup: whether the warm-up is paused, and its last 24 hours against the limit."""

from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel, Field

from mailtide.access import Principal
from mailtide.api.problems import answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.planning import planning
from mailtide.serving import begun_by_hour
from mailtide.warmup.control import read_control

HOURS = 24
HOUR_MS = 3_600_000

router = ApiRouter()


class Hour(BaseModel):
    """One hour, of UTC."""

    start_ms: int = Field(description="Unix time in ms.")
    begun: int = Field(description="Sends that were begun: mails, and those that failed.")


class WarmupNow(BaseModel):
    """What stands beside the metrics."""

    paused: bool = Field(description="Whether everything is paused, by an operator.")
    user_paused: bool = Field(description="Whether the mails of this token's user are paused.")
    paused_users: int | None = Field(description="Users who are paused; for operators.")
    limit_per_hour: int = Field(description="Mails that the global limits let through in an hour.")
    hours: tuple[Hour, ...] = Field(
        description="Oldest first; the last one is still going on. Empty but for operators."
    )


@router.get(
    "/v1/warmup",
    summary="Paused? And the last 24 hours",
    operation_id="warmupNow",
    tags=["warmup"],
    responses=documented(WarmupNow, description="As it is now.", refusals={403: "For operators and users alone."}),
)
def now() -> Response[str]:
    """The hours come from the counters of the limits, so they are exact and cost 24 small reads."""
    caller, own = router.caller, planning()
    if caller.user_id is None:
        router.require_operator("This")
    flags = read_control(own.bucket)
    return answer(
        WarmupNow(
            paused=flags.paused,
            user_paused=caller.user_id is not None and flags.stops(caller.user_id),
            paused_users=len(flags.paused_users | flags.held_users) if caller.is_operator else None,
            limit_per_hour=min(own.settings.global_minute_limit * 60, own.settings.global_hourly_limit),
            hours=_hours(caller, own.clock.now_ms()),
        )
    )


def _hours(caller: Principal, now_ms: int) -> tuple[Hour, ...]:
    if not caller.is_operator:
        return ()
    last = now_ms // HOUR_MS
    wanted = range(last - HOURS + 1, last + 1)
    begun = begun_by_hour(wanted)
    return tuple(Hour(start_ms=hour * HOUR_MS, begun=begun.get(hour, 0)) for hour in wanted)
