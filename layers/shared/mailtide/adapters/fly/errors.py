"""Errors of the Fly Machines API, told apart by status and error code.

FlyError
├── FlyAuthError               401, 403: the token is wrong or may not do this
├── FlyNotFoundError           404: also a NotFoundError
├── FlyInvalidRequestError     400, 422 and other refusals of the request itself
├── FlyConflictError           409, 412: the machine is not in the state for this
│   ├── FlyNameTakenError      409 already_exists: a live machine has the name
│   ├── FlyHiddenError         the same, and the machine cannot be seen yet: also a TransientError
│   └── FlyLeaseHeldError      409 on a lease: somebody else holds it; also a TransientError
├── FlyNoCapacityError         no room in this region for this size: also a TransientError
│   └── FlyQuotaError          403 over quota: the organisation's own limit in this region is reached
├── FlyRateLimitedError        429: nothing was done; also a TransientError
├── FlyUnavailableError        408, 5xx: it may or may not have been done; also a TransientError
└── FlyUnansweredError         no answer, or an unreadable one; likewise

The code is the body's `status` field or, where that says nothing, the word before the first colon of its `error` field;
the sentence after it is shown to people. It decides in one place alone: a 403 over quota has no code, only the word
"quota". Texts never hold the token: `redacted` takes it out.
"""

import re
from dataclasses import dataclass
from typing import Any

from mailtide.errors import FlyError, NotFoundError, TransientError

_MACHINE_ID = re.compile(r"machine ID ([0-9A-Za-z_-]+)")
_CODE = re.compile(r"^([a-z][a-z0-9_]*)(?::|$)")
_MAX_TEXT = 300
_NO_CAPACITY_CODES = frozenset({"insufficient_capacity", "volume_placement_capacity"})


class FlyAuthError(FlyError):
    """The token is missing, wrong, or not allowed to do this."""


class FlyNotFoundError(FlyError, NotFoundError):
    """There is no such machine, app or lease (or, for seconds after its creation, not yet)."""


class FlyInvalidRequestError(FlyError):
    """The request itself was refused; trying again changes nothing."""


class FlyConflictError(FlyError):
    """The machine is not in a state in which this can be done."""


class FlyNameTakenError(FlyConflictError):
    """A live machine has this name already; `machine_id` is its id, where the answer gave it."""

    def __init__(self, text: str, machine_id: str | None) -> None:
        super().__init__(text)
        self.machine_id = machine_id


class FlyHiddenError(FlyConflictError, TransientError):
    """A live machine has this name already, and for seconds after its creation nobody is shown which one."""


class FlyLeaseHeldError(FlyConflictError, TransientError):
    """Somebody else holds the lease of this machine, and gives it back soon."""


class FlyNoCapacityError(FlyError, TransientError):
    """The region has no room for this size now."""


class FlyQuotaError(FlyNoCapacityError):
    """The organisation is at its own limit in this region."""


class FlyRateLimitedError(FlyError, TransientError):
    """Too many requests; nothing was done. `retry_after_s`: what the answer asked for, or None."""

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class FlyUnavailableError(FlyError, TransientError):
    """The API failed (`status` 408 or 5xx); whether the request took effect is unknown."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class FlyUnansweredError(FlyError, TransientError):
    """No answer, or none that can be read; whether the request took effect is unknown."""


_BY_STATUS: dict[int, type[FlyError]] = {
    401: FlyAuthError,
    404: FlyNotFoundError,
    409: FlyConflictError,
    412: FlyConflictError,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of 400 or more. action: what was asked, such as "create" or "lease"; body: its JSON, or None."""

    action: str
    status: int
    body: Any
    retry_after_s: float | None = None

    @property
    def code(self) -> str:
        """The API's error code, "" where the body has none."""
        status = self._field("status")
        if status and status != "unknown":
            return status
        found = _CODE.match(self.said)
        return found.group(1) if found else ""

    @property
    def said(self) -> str:
        """The API's own sentence, "" where the body has none."""
        return self._field("error")

    def text(self, token: str) -> str:
        """One line for people, at most 300 characters of the API's own, and none of the token."""
        said = " ".join(redacted(self.said, token).split()) or "no reason given"
        return f"Fly {self.action}: HTTP {self.status}, {said[:_MAX_TEXT]}"

    def _field(self, name: str) -> str:
        value = self.body.get(name) if isinstance(self.body, dict) else None
        return value if isinstance(value, str) else ""


def error_of(refusal: Refusal, token: str) -> FlyError:
    """The error that stands for a refusal; the token is taken out of its text."""
    text = refusal.text(token)
    if _lacks_capacity(refusal):
        return FlyNoCapacityError(text)
    if refusal.status == 409 and refusal.code == "already_exists":
        found = _MACHINE_ID.search(refusal.said)
        return FlyNameTakenError(text, found.group(1) if found else None)
    if refusal.status == 403:
        return FlyQuotaError(text) if "quota" in refusal.said else FlyAuthError(text)
    if refusal.status == 429:
        return FlyRateLimitedError(text, refusal.retry_after_s)
    if refusal.status == 409 and refusal.action == "lease":
        return FlyLeaseHeldError(text)
    if refusal.status == 408 or refusal.status >= 500:
        return FlyUnavailableError(text, refusal.status)
    return _BY_STATUS.get(refusal.status, FlyInvalidRequestError)(text)


def _lacks_capacity(refusal: Refusal) -> bool:
    """By code; `aborted` also ends lost races on other actions, so there it means a conflict."""
    if refusal.status == 409 and refusal.code == "aborted":
        return refusal.action == "create"
    return refusal.status in (409, 412, 422) and refusal.code in _NO_CAPACITY_CODES


def redacted(text: str, token: str) -> str:
    """The text without the token, in case the other side echoes it."""
    return text.replace(token, "[token]") if token else text
