"""Refusals of the API: a status and one sentence, as `{"error": "…"}`.

ProblemError
├── with a sentence of its own, raised by the resources and the gate
└── made from the errors of mailtide: bad input 400, stale write 409, out of order for the moment 503
"""

import json
from collections.abc import Mapping
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel, Field

from mailtide.errors import InputError, MailtideError, SettingsError, StaleWriteError, TransientError

JSON = "application/json"
RETRY_AFTER_S = 5


class ErrorAnswer(BaseModel):
    """What every refusal looks like."""

    error: str = Field(description="One sentence for a person.")


class ProblemError(MailtideError):
    """A request that is not carried out. `str(problem)` is the sentence that the caller gets."""

    def __init__(self, status: HTTPStatus, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})


def answer(model: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response[str]:
    """A JSON answer."""
    return Response(status_code=int(status), content_type=JSON, body=model.model_dump_json())


def refusal(problem: ProblemError) -> Response[str]:
    """The answer that a problem gets."""
    body = json.dumps({"error": str(problem)})
    return Response(status_code=int(problem.status), content_type=JSON, body=body, headers=dict(problem.headers))


def problem_of(error: Exception) -> ProblemError:
    """What to tell a caller of an error: never the text of one that nobody foresaw."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, StaleWriteError):
        return ProblemError(HTTPStatus.CONFLICT, "Others are changing this just now; try again.")
    if isinstance(error, TransientError):
        sentence = "A part of the system does not answer for the moment; try again in a few seconds."
        return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, sentence, {"Retry-After": str(RETRY_AFTER_S)})
    if isinstance(error, SettingsError):
        return ProblemError(
            HTTPStatus.INTERNAL_SERVER_ERROR, "The API is not set up properly; its log says what is wrong."
        )
    if isinstance(error, InputError):
        return ProblemError(HTTPStatus.BAD_REQUEST, str(error))
    if isinstance(error, UnicodeDecodeError):
        return ProblemError(HTTPStatus.BAD_REQUEST, "The body is not text in UTF-8.")
    return ProblemError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; the log has it by this request's id."
    )
