"""POST /api/warmup/control: pause, resume or trigger everything, one user or one mailbox."""

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header

from mailtide.access import Principal
from mailtide.api.once import once
from mailtide.api.problems import ProblemError, answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.errors import NotFoundError
from mailtide.serving import steering
from mailtide.warmup.ids import ID_PATTERN
from mailtide.warmup.steering import NotAllowedError, Order, Steered

router = ApiRouter()


@router.post(
    "/api/warmup/control",
    summary="Pause, resume or trigger",
    operation_id="warmupControl",
    tags=["warmup"],
    responses=documented(
        Steered,
        description="It is done.",
        refusals={
            403: "Only an operator may do this.",
            404: "No such user or mailbox, or not this token's.",
            409: "The same request is under way, or others change the same thing.",
            422: "The Idempotency-Key belongs to another request.",
        },
    ),
)
def control(
    order: Annotated[Order, Body(description="What is to be done.")],
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="idempotency-key",
            pattern=ID_PATTERN,
            description="A name of your own for this request: sent again within an hour it gets the same answer, and "
            "nothing is done twice.",
        ),
    ] = None,
) -> Response[str]:
    """Senders notice a pause within 15 seconds; mails whose DATA has begun are finished."""
    caller = router.caller
    _check(caller, order)

    def carry_out() -> dict[str, Any]:
        try:
            done = steering().carry_out(order, by_operator=caller.is_operator)
        except NotFoundError as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, str(error)) from None
        except NotAllowedError as error:
            raise ProblemError(HTTPStatus.FORBIDDEN, str(error)) from None
        return done.model_dump(mode="json")

    if idempotency_key is None:
        return answer(Steered.model_validate(carry_out()))
    name = f"control/{caller.token_name}/{idempotency_key}"
    done = once(name, order.model_dump_json(), carry_out, router.lambda_context)
    return answer(Steered.model_validate(done))


def _check(caller: Principal, order: Order) -> None:
    """ProblemError 403 or 404 for what is not the caller's to order."""
    if caller.is_operator:
        return
    if order.mailbox is not None:
        owner = steering().owner(order.mailbox)
        if owner is None or not caller.may_see(owner):
            raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no mailbox {order.mailbox}.")
    elif order.user is None or not caller.may_see(order.user):
        raise ProblemError(HTTPStatus.FORBIDDEN, "This token is for one user's mailboxes: name that user or a mailbox.")
