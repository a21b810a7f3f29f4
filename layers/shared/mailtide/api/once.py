"""Powertools' Idempotency around what a caller may send twice: the second time gets the first one's answer."""

from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any, cast

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyPersistenceLayerError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from mailtide.api.problems import ProblemError
from mailtide.errors import TransientError
from mailtide.warmup.settings import load_warmup_resources

KEPT_S = 3_600
"""How long a request is remembered."""


@cache
def _seen() -> DynamoDBPersistenceLayer:
    return DynamoDBPersistenceLayer(table_name=load_warmup_resources().idempotency_table)


def once(
    name: str, payload: str, carry_out: Callable[[], dict[str, Any]], context: LambdaContext | None = None
) -> dict[str, Any]:
    """Carry out what is called `name`, or give what it gave before. ProblemError 409 while it is under way, 422 when it was
    another payload; TransientError."""
    config = IdempotencyConfig(
        event_key_jmespath="name",
        payload_validation_jmespath="payload",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=KEPT_S,
    )
    if context is not None:
        config.register_lambda_context(context)

    def carry_out_request(request: dict[str, str]) -> dict[str, Any]:  # noqa: ARG001 - the guard reads it
        return carry_out()

    guarded = idempotent_function(
        carry_out_request, data_keyword_argument="request", persistence_store=_seen(), config=config
    )
    try:
        return cast("dict[str, Any]", guarded(request={"name": name, "payload": payload}))
    except IdempotencyAlreadyInProgressError:
        raise ProblemError(HTTPStatus.CONFLICT, "The same request is being carried out just now.") from None
    except IdempotencyValidationError:
        sentence = "This Idempotency-Key belongs to another request."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, sentence) from None
    except IdempotencyPersistenceLayerError as error:
        raise TransientError("the table of what was carried out does not answer") from error
