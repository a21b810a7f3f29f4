"""A request to the function URL -> its answer: through the gate, to the resource, out with safe headers and one log line."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from traceback import extract_tb
from typing import Any, cast

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import Route
from aws_lambda_powertools.event_handler.exceptions import NotFoundError, ServiceError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from mailtide.api import (
    health,
    orgs,
    page,
    runs,
    runs_control,
    session,
    settings_in_force,
    warmup_control,
    warmup_domains,
    warmup_mailbox,
    warmup_metrics,
    warmup_now,
    warmup_placement,
    warmup_quota,
    webhook,
)
from mailtide.api.gate import Gate, TooManyFailures
from mailtide.api.problems import ProblemError, problem_of, refusal
from mailtide.api.resolver import CALLER
from mailtide.errors import SettingsError
from mailtide.planning import forget_time
from mailtide.serving import kept_tokens, today

logger = Logger()
metrics = Metrics(namespace="Mailtide")
tracer = Tracer()

RESOURCES = (
    page,
    health,
    session,
    runs,
    runs_control,
    orgs,
    settings_in_force,
    warmup_metrics,
    warmup_now,
    warmup_quota,
    warmup_placement,
    warmup_mailbox,
    warmup_domains,
    warmup_control,
    webhook,
)
SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def make_app() -> LambdaFunctionUrlResolver:
    """All resources behind one resolver."""
    app = LambdaFunctionUrlResolver(enable_validation=True)
    for resource in RESOURCES:
        app.include_router(resource.router)

    @app.not_found
    def not_found(_error: NotFoundError) -> Response[str]:
        methods = _methods_of(app, app.current_event.path)
        if methods:
            sentence = f"This takes {' and '.join(methods)} only."
            return refusal(ProblemError(HTTPStatus.METHOD_NOT_ALLOWED, sentence, {"Allow": ", ".join(methods)}))
        return refusal(
            ProblemError(HTTPStatus.NOT_FOUND, "There is nothing of this name; docs/http-api.md lists what is.")
        )

    app.exception_handler(RequestValidationError)(_not_understood)
    app.exception_handler(ServiceError)(_refused)
    app.exception_handler(Exception)(_failed)
    return app


def _not_understood(error: RequestValidationError) -> Response[str]:
    return refusal(_first_fault(error))


def _refused(error: ServiceError) -> Response[str]:
    return refusal(ProblemError(HTTPStatus(error.status_code), str(error.msg)))


def _failed(error: Exception) -> Response[str]:
    _write_down(error)
    return refusal(problem_of(error))


def _methods_of(app: LambdaFunctionUrlResolver, path: str) -> list[str]:
    return sorted({route.method for route in _routes(app) if route.rule.match(path)})


def _routes(app: LambdaFunctionUrlResolver) -> list[Route]:
    return [*app._static_routes, *app._dynamic_routes]


def _first_fault(error: RequestValidationError) -> ProblemError:
    fault = error.errors()[0]
    name = ".".join(str(part) for part in fault["loc"] if part not in {"body", "query", "header"})
    said = str(fault.get("msg") or fault["type"].replace("_", " ")).removeprefix("Value error, ").rstrip(".")
    return ProblemError(HTTPStatus.BAD_REQUEST, f"{name}: {said}." if name else f"{said}.")


def _write_down(error: Exception) -> None:
    """What failed and where; never its text, which may quote what was stored or sent (that of a SettingsError does not)."""
    if isinstance(error, ProblemError):
        return
    where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in extract_tb(error.__traceback__)[-4:]]
    facts: dict[str, object] = {"error": type(error).__name__, "where": where}
    if isinstance(error, SettingsError):
        facts["said"] = str(error)
    refused_by_aws = getattr(error, "response", None)
    if isinstance(refused_by_aws, dict):
        facts["code"] = refused_by_aws.get("Error", {}).get("Code")
    logger.error("failed", extra=facts)
    metrics.add_metric(name="api_failed", unit=MetricUnit.Count, value=1)


def _count_refused() -> None:
    metrics.add_metric(name="api_token_refused", unit=MetricUnit.Count, value=1)


APP = make_app()
GATE = Gate(book=lambda: kept_tokens().book(), today=today, failures=TooManyFailures(), refused=_count_refused)


# Never the event: it carries the token.
@logger.inject_lambda_context(clear_state=True, log_event=False)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A function URL's event (payload 2.0) -> its answer."""
    began_s = time.monotonic()
    forget_time()
    caller = None
    try:
        caller = GATE.admit(event)
    except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets one sentence
        answer = _as_dict(_failed(error))
    else:
        APP.context[CALLER] = caller
        answer = APP.resolve(event, context)
    answer["headers"] = {**SAFE_HEADERS, **answer["headers"]}
    longer = GATE.renewed(event) if caller and not answer.get("cookies") else None
    if longer:
        answer["cookies"] = [longer]
    metrics.add_metric(name=f"api_{int(answer['statusCode']) // 100}xx", unit=MetricUnit.Count, value=1)
    logger.info(
        "answered",
        extra={
            "method": event["requestContext"]["http"]["method"],
            "path": _known_path(event),
            "status": int(answer["statusCode"]),
            "token": caller.token_name if caller else None,
            "took_ms": round((time.monotonic() - began_s) * 1000),
        },
    )
    return answer


def _known_path(event: Mapping[str, Any]) -> str:
    """The route, if it is one of ours, with the names of what it leads to left out: they may be whatever a stranger likes."""
    path = str(event["rawPath"])
    return next((route.openapi_path for route in _routes(APP) if route.rule.match(path)), "unknown")


def _as_dict(response: Response[str]) -> dict[str, Any]:
    headers = {**response.headers, "Content-Type": response.headers.get("Content-Type", "application/json")}
    return {
        "statusCode": response.status_code,
        "headers": cast("dict[str, Any]", headers),
        "body": response.body,
        "isBase64Encoded": False,
        "cookies": [],
    }
