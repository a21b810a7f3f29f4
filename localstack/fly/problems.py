"""Refusals in the words of the real API: a code before the colon, or in `status`."""

from typing import Any


class ApiError(Exception):
    """An answer of 400 or more; `code` fills the body's `status` field, which few errors have."""

    def __init__(
        self, http_status: int, text: str, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.http_status = http_status
        self.headers = headers or {}
        self.body: dict[str, Any] = {"error": text} | ({"status": code} if code else {})


def no_such_machine() -> ApiError:
    return ApiError(404, "not_found: machine not found")


def invalid(text: str) -> ApiError:
    return ApiError(400, f"invalid_argument: {text}")


def not_now(text: str) -> ApiError:
    return ApiError(412, f"failed_precondition: {text}")
