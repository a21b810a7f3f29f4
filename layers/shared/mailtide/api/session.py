"""/v1/session: sign in to the page with a token, ask who is signed in, sign out."""

import time
from datetime import UTC, datetime
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel, Field

from mailtide.access import Principal, ScopeKind
from mailtide.api import sessions
from mailtide.api.problems import ProblemError, answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.serving import kept_tokens, today

router = ApiRouter()


class WhoAsks(BaseModel):
    """Whose token this is."""

    token: str = Field(description="Name of the token.")
    scope: ScopeKind = Field(description="What it is for.")
    org: str | None = Field(description="The organisation whose runs it may see, of a token for one.")
    user: str | None = Field(description="The user whose mailboxes it may see, of a token for one.")
    ends_at: datetime | None = Field(default=None, description="When the new session ends, unless the page is used.")


@router.post(
    "/v1/session",
    summary="Sign in",
    operation_id="signIn",
    tags=["session"],
    responses=documented(WhoAsks, description="A session begins: it is in a cookie that scripts cannot read."),
)
def sign_in() -> Response[str]:
    """For the page. The token is in the Authorization header, as always; the cookie lasts half an hour after its last use, and
    twelve hours at most."""
    caller = router.caller
    row = kept_tokens().book().named(caller.token_name, today())
    if row is None or caller.scope == "webhook":
        raise ProblemError(HTTPStatus.FORBIDDEN, "This token is for a bucket's events; it shows no page.")
    now_s = int(time.time())
    session = sessions.begin(caller.token_name, now_s)
    found = answer(_described(caller, datetime.fromtimestamp(session.ends_s, UTC)))
    found.cookies.append(session.to_cookie(row, now_s))
    return found


@router.get(
    "/v1/session",
    summary="Whose token is this?",
    operation_id="whoAsks",
    tags=["session"],
    responses=documented(WhoAsks, description="What the token or session may see."),
)
def who() -> Response[str]:
    """Whoever asks."""
    return answer(_described(router.caller))


@router.delete(
    "/v1/session",
    summary="Sign out",
    operation_id="signOut",
    tags=["session"],
    responses=documented(WhoAsks, description="The browser forgets the session."),
)
def sign_out() -> Response[str]:
    """The cookie goes. To end every session of a token at once, revoke the token."""
    found = answer(_described(router.caller))
    found.cookies.append(sessions.ended_cookie())
    return found


def _described(caller: Principal, ends_at: datetime | None = None) -> WhoAsks:
    return WhoAsks(token=caller.token_name, scope=caller.scope, org=caller.org, user=caller.user_id, ends_at=ends_at)
