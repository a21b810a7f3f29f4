"""GET /api/warmup/mailbox: one mailbox today, its ledger read now, and where its mails landed of late."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from mailtide.api.problems import ProblemError, answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.planning import mailboxes, planning
from mailtide.warmup.ids import ID_PATTERN
from mailtide.warmup.queries import MailboxDay, mailbox_day
from mailtide.warmup.reading.shown import of_mailbox

router = ApiRouter()


@router.get(
    "/api/warmup/mailbox",
    summary="One mailbox today",
    operation_id="warmupMailbox",
    tags=["warmup"],
    responses=documented(
        MailboxDay,
        description="The mailbox; no address.",
        refusals={404: "No such mailbox today, or not this token's."},
    ),
)
def mailbox(
    mailbox_id: Annotated[str, Query(alias="id", pattern=ID_PATTERN, description="Id of the mailbox.")],
) -> Response[str]:
    """Whose mailbox it is decides first: another user's is answered like one that does not exist."""
    own = planning()
    found = mailbox_day(own.bucket, own.rosters, own.ledger, own.clock.now_ms(), mailbox_id)
    if found is None or not router.caller.may_see(found.user_id):
        raise ProblemError(
            HTTPStatus.NOT_FOUND, "This mailbox stands in no roster of today, or no tick has seen it yet."
        )
    box = mailboxes().get_many([mailbox_id]).get(mailbox_id)
    return answer(found.model_copy(update={"placement": of_mailbox(box)}) if box else found)
