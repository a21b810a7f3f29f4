"""POST /v1/…: run now, cancel, retry, approve, reject: the use cases of the command line."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header
from pydantic import BaseModel, Field

from mailtide.api.problems import ProblemError, answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.api.runs import OrgPath, RunPath, facts_of
from mailtide.bootstrap import bucket, queues
from mailtide.errors import InputError
from mailtide.runs import verdicts
from mailtide.runs.cancel import cancel as end_unpublished
from mailtide.runs.demand import retry, run_now
from mailtide.serving import run_reader
from mailtide.warmup.ids import ID_PATTERN

router = ApiRouter()

_REFUSALS = {404: "No such run, or another's.", 409: "It is not in a state for that; the sentence says why."}


class Ordered(BaseModel):
    """What was done."""

    org: str
    request_id: str | None = Field(default=None, description="Of the run that was queued.")
    note: str = Field(description="One sentence for a person.")


@router.post(
    "/v1/orgs/<org>/runs",
    summary="Run now",
    operation_id="runNow",
    tags=["runs"],
    responses=documented(Ordered, description="A run is queued.", refusals=_REFUSALS),
)
def start(
    org: OrgPath,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="idempotency-key",
            pattern=ID_PATTERN,
            description="A name of your own for this request: sent again, it makes no second run.",
        ),
    ] = None,
) -> Response[str]:
    """A run for today without an upload, whatever the cadence."""
    router.require_org(org)
    named = f"{router.caller.token_name}/{org}/{idempotency_key}"
    request_id = f"api-{sha256(named.encode()).hexdigest()[:24]}" if idempotency_key else f"api-{secrets.token_hex(12)}"
    _carried_out(lambda: run_now(bucket(), queues(), org, request_id=request_id))
    return answer(Ordered(org=org, request_id=request_id, note=f"A run of {org} is queued."))


class Why(BaseModel):
    """What a person gives with an order."""

    reason: str | None = Field(default=None, max_length=300, description="One line, kept with the run.")


@router.post(
    "/v1/runs/<org>/<run>/cancel",
    summary="Cancel an open run",
    operation_id="cancelRun",
    tags=["runs"],
    responses=documented(Ordered, description="It ends without being published.", refusals=_REFUSALS),
)
def cancel(
    org: OrgPath, run: RunPath, why: Annotated[Why | None, Body(description="Why; may be left out.")] = None
) -> Response[str]:
    """Its machines are destroyed, its database stays as it is. A run whose outcome is decided goes on. The first word counts."""
    facts_of(router, org, run)
    reason = " ".join((why.reason or "").split()) if why else ""
    by = router.caller.token_name
    now = datetime.now(UTC)
    _carried_out(lambda: end_unpublished(bucket(), queues(), org, run, by=by, reason=reason or None, now=now))
    return answer(Ordered(org=org, note=f"Run {run} is cancelled: it ends in a moment, and nothing is published."))


@router.post(
    "/v1/runs/<org>/<run>/retry",
    summary="Retry a failed run",
    operation_id="retryRun",
    tags=["runs"],
    responses=documented(Ordered, description="A run in its place is queued.", refusals=_REFUSALS),
)
def make_again(org: OrgPath, run: RunPath) -> Response[str]:
    """For today. Of several calls one counts."""
    _known(org, run)
    request_id = _carried_out(lambda: retry(bucket(), queues(), org, run))
    return answer(Ordered(org=org, request_id=request_id, note=f"A run of {org} in the place of {run} is queued."))


@router.post(
    "/v1/runs/<org>/<run>/approve",
    summary="Approve a held run",
    operation_id="approveRun",
    tags=["runs"],
    responses=documented(Ordered, description="A run that publishes the same is queued.", refusals=_REFUSALS),
)
def approve(org: OrgPath, run: RunPath) -> Response[str]:
    """It is made again, for the same day, and published. Of several calls one counts."""
    _known(org, run)
    request_id = _carried_out(lambda: verdicts.approve(bucket(), queues(), org, run, now=datetime.now(UTC)))
    note = f"Run {run} is approved; a run of {org} that publishes it is queued."
    return answer(Ordered(org=org, request_id=request_id, note=note))


@router.post(
    "/v1/runs/<org>/<run>/reject",
    summary="Reject a held run",
    operation_id="rejectRun",
    tags=["runs"],
    responses=documented(Ordered, description="It will never be published.", refusals=_REFUSALS),
)
def reject(org: OrgPath, run: RunPath) -> Response[str]:
    """The database stays as it is. Of several calls one counts."""
    _known(org, run)
    _carried_out(lambda: verdicts.reject(bucket(), org, run, now=datetime.now(UTC)))
    return answer(Ordered(org=org, note=f"Run {run} is rejected; nothing was published."))


def _known(org: str, run: str) -> None:
    """ProblemError 404 for a run that has not ended or does not exist, and for another's."""
    router.require_org(org)
    if run_reader().done(org, run) is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no ended run {run} of {org}.")


def _carried_out[T](order: Callable[[], T]) -> T:
    """What the order gives. ProblemError 409 for what it refuses."""
    try:
        return order()
    except InputError as error:
        raise ProblemError(HTTPStatus.CONFLICT, str(error)) from None
