"""What the resources share: their router with the caller in it, and how their answers are documented."""

from http import HTTPStatus
from typing import Any, cast

from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from aws_lambda_powertools.event_handler.router import LambdaFunctionUrlRouter
from pydantic import BaseModel

from mailtide.access import Principal
from mailtide.api.problems import ErrorAnswer, ProblemError

CALLER = "principal"
_COMMON = {400: "The request is not understood.", 401: "No token, or one that is not known."}


class ApiRouter(LambdaFunctionUrlRouter):
    """A router whose routes can ask who calls."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Powertools leaves it without types

    @property
    def caller(self) -> Principal:
        """Whoever the gate let in."""
        return cast("Principal", self.context[CALLER])

    def require_org(self, org: str) -> None:
        """ProblemError 404 for whoever has no business with this organisation, as if there were none."""
        if not self.caller.may_see_org(org):
            raise no_org(org)

    def require_operator(self, what: str) -> None:
        """ProblemError 403 for everybody else."""
        if not self.caller.is_operator:
            raise ProblemError(HTTPStatus.FORBIDDEN, f"{what} needs an operator's token.")

    def visible_user(self, user: str | None) -> str | None:
        """Whose mailboxes an answer is about: the user asked for, or the caller's own; None is everybody's, for operators alone.

        ProblemError 403 for another user's.
        """
        caller = self.caller
        if not caller.is_operator:
            user = user or caller.user_id
        if user is None:
            self.require_operator("This")
        elif not caller.may_see(user):
            raise ProblemError(HTTPStatus.FORBIDDEN, "This token is for another user's mailboxes.")
        return user


def no_org(org: str) -> ProblemError:
    """What is said of an organisation that does not exist, and of another's."""
    return ProblemError(HTTPStatus.NOT_FOUND, f"There is no organisation {org}.")


def documented(
    *models: type[BaseModel], description: str, text: str | None = None, refusals: dict[int, str] | None = None
) -> dict[int, OpenAPIResponse]:
    """`responses` of a route: its answer (one of the models as JSON; `text`: another content type), and its refusals."""
    union: Any = models[0]
    for model in models[1:]:
        union |= model
    content: dict[str, Any] = {"application/json": {"model": union}}
    if text is not None:
        content[text] = {"schema": {"type": "string"}}
    found: dict[int, Any] = {200: {"description": description, "content": content}}
    for status, meaning in ((refusals or {}) | _COMMON).items():
        found[status] = {"description": meaning, "content": {"application/json": {"model": ErrorAnswer}}}
    return dict(sorted(found.items()))


def redirecting(*, refusals: dict[int, str]) -> dict[int, OpenAPIResponse]:
    """`responses` of a route that leads to an object in the bucket."""
    found: dict[int, Any] = {
        303: {
            "description": "The address is in Location; it holds for five minutes, for whoever has it.",
            "headers": {"Location": {"description": "A presigned address.", "schema": {"type": "string"}}},
            "content": {"text/plain": {"schema": {"type": "string", "maxLength": 0}}},
        }
    }
    for status, meaning in (refusals | _COMMON).items():
        found[status] = {"description": meaning, "content": {"application/json": {"model": ErrorAnswer}}}
    return dict(sorted(found.items()))
