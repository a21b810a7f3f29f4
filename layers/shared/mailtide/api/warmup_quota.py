"""GET /api/warmup/quota: how each mailbox stands against its target, by the page."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from mailtide.api.problems import ProblemError, answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.api.warmup_metrics import todays_roster
from mailtide.planning import planning
from mailtide.serving import readers
from mailtide.warmup.ids import ID_PATTERN
from mailtide.warmup.objects import QuotaStatus
from mailtide.warmup.quota_pages import QuotaPage, parse_cursor, quota_page

MOST_ROWS = 5_000

router = ApiRouter()


@router.get(
    "/api/warmup/quota",
    summary="Mailboxes against their targets",
    operation_id="warmupQuota",
    tags=["warmup"],
    responses=documented(
        QuotaPage,
        description="One page of mailboxes.",
        refusals={403: "Another user's mailboxes.", 404: "Today has no roster yet."},
    ),
)
def quota(
    status: Annotated[QuotaStatus | None, Query(description="Only mailboxes of this status.")] = None,
    user: Annotated[
        str | None, Query(pattern=ID_PATTERN, description="Only mailboxes of this user; users see only their own.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="Mailboxes on a page.")] = 1_000,
    cursor: Annotated[
        str | None, Query(max_length=16, description="`next_cursor` of the page before; the first page without it.")
    ] = None,
) -> Response[str]:
    """As of each shard's last tick."""
    user = router.visible_user(user)
    try:
        start = parse_cursor(cursor) if cursor else (0, 0)
    except ValueError:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "cursor: not one that this API gave.") from None
    page = quota_page(
        planning().bucket, todays_roster(), readers(), status=status, user_id=user, start=start, limit=limit
    )
    return answer(page)
