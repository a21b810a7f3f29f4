"""GET /api/warmup/placement: where mails landed in the seven days to the last that was folded, and who is held back."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from mailtide.api.problems import ProblemError, answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.planning import mailboxes, placement_now
from mailtide.warmup.ids import ID_PATTERN
from mailtide.warmup.reading.shown import MailboxPlacement, PlacementReport, of_mailbox, of_user

MOST_ROWS = 5_000

router = ApiRouter()


@router.get(
    "/api/warmup/placement",
    summary="Where mails landed",
    operation_id="warmupPlacement",
    tags=["warmup"],
    responses=documented(
        PlacementReport,
        MailboxPlacement,
        description="The pool (operators), one user's mailboxes, or one mailbox; no address.",
        refusals={403: "Another user's mailboxes.", 404: "No such mailbox, or not this token's."},
    ),
)
def placement(
    user: Annotated[
        str | None, Query(pattern=ID_PATTERN, description="Only this user's mailboxes; users see only their own.")
    ] = None,
    mailbox: Annotated[str | None, Query(pattern=ID_PATTERN, description="This mailbox alone.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="Mailboxes that are held back, at most.")] = 100,
) -> Response[str]:
    """The pool as of the last night, from one object a shard; a user's mailboxes and a single one as they are now."""
    if mailbox is not None:
        return answer(_one(mailbox, user))
    caller = router.caller
    if not caller.is_operator:
        user = user or caller.user_id
    if user is None:
        router.require_operator("This")
        return answer(placement_now(limit))
    if not caller.may_see(user):
        raise ProblemError(HTTPStatus.FORBIDDEN, "This token is for another user's mailboxes.")
    return answer(of_user(user, list(mailboxes().of_user(user)), limit=limit))


def _one(mailbox_id: str, user: str | None) -> MailboxPlacement:
    """Whose mailbox it is decides first: another user's is answered like one that does not exist."""
    box = mailboxes().get_many([mailbox_id]).get(mailbox_id)
    if box is None or user not in {None, box.user_id} or not router.caller.may_see(box.user_id):
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no mailbox {mailbox_id}.")
    return of_mailbox(box)
