"""Refusals become errors by status and code."""

import pytest

from mailtide.adapters.fly import errors
from mailtide.adapters.fly.errors import Refusal, error_of
from mailtide.errors import FlyError, NotFoundError, TransientError

TAKEN = 'already_exists: unique machine name violation, machine ID 148e21b1a2c3d4 already exists with name "task-1"'
QUOTA = 'organization "acme" is using 1970176 MB of memory in dfw which is over the allowed quota'
NO_ROOM = {"error": "insufficient resources to create new machine", "status": "volume_placement_capacity"}

CASES: list[tuple[str, int, object, type[FlyError]]] = [
    ("get", 401, {"error": "unauthenticated"}, errors.FlyAuthError),
    ("create", 403, {"error": "unauthorized"}, errors.FlyAuthError),
    ("create", 403, {"error": QUOTA}, errors.FlyQuotaError),
    ("get", 404, {"error": "not_found: machine not found"}, errors.FlyNotFoundError),
    ("get", 408, {"error": "deadline_exceeded"}, errors.FlyUnavailableError),
    ("create", 409, {"error": TAKEN}, errors.FlyNameTakenError),
    ("create", 409, {"error": "aborted: no capacity"}, errors.FlyNoCapacityError),
    ("start", 409, {"error": "aborted: machine update failed due to concurrent update"}, errors.FlyConflictError),
    ("lease", 409, {"error": "machine 148e lease currently held by a@b.c"}, errors.FlyLeaseHeldError),
    ("stop", 409, {"error": "machine 148e lease currently held by a@b.c"}, errors.FlyConflictError),
    ("create", 412, NO_ROOM, errors.FlyNoCapacityError),
    ("destroy", 412, {"error": "failed_precondition: machine is started"}, errors.FlyConflictError),
    ("create", 422, {"error": "no room", "status": "insufficient_capacity"}, errors.FlyNoCapacityError),
    ("create", 422, {"error": "insufficient_capacity: no room", "status": "unknown"}, errors.FlyNoCapacityError),
    ("create", 422, {"error": "invalid_argument: memory"}, errors.FlyInvalidRequestError),
    ("create", 400, {"error": "invalid_argument: insufficient_capacity is no region"}, errors.FlyInvalidRequestError),
    ("create", 429, {"error": "resource_exhausted: rate limit exceeded"}, errors.FlyRateLimitedError),
    ("create", 500, {"error": TAKEN}, errors.FlyUnavailableError),
    ("create", 502, None, errors.FlyUnavailableError),
    ("create", 400, ["not", "an", "object"], errors.FlyInvalidRequestError),
    ("create", 400, {"error": {"nested": 1}, "status": 7}, errors.FlyInvalidRequestError),
]

TRANSIENT = {
    errors.FlyLeaseHeldError,
    errors.FlyNoCapacityError,
    errors.FlyQuotaError,
    errors.FlyRateLimitedError,
    errors.FlyUnavailableError,
}


@pytest.mark.parametrize(("action", "status", "body", "expected"), CASES)
def test_status_and_code_decide(action: str, status: int, body: object, expected: type[FlyError]) -> None:
    error = error_of(Refusal(action, status, body), "token")
    assert type(error) is expected
    assert isinstance(error, TransientError) == (expected in TRANSIENT)
    assert isinstance(error, NotFoundError) == (status == 404)
    assert str(error).startswith(f"Fly {action}: HTTP {status}, ")


def test_a_taken_name_tells_whose_it_is() -> None:
    error = error_of(Refusal("create", 409, {"error": TAKEN}), "token")
    assert isinstance(error, errors.FlyNameTakenError)
    assert error.machine_id == "148e21b1a2c3d4"
    nameless = error_of(Refusal("create", 409, {"error": "already_exists"}), "token")
    assert isinstance(nameless, errors.FlyNameTakenError)
    assert nameless.machine_id is None


def test_texts_are_one_short_line_without_the_token() -> None:
    said = "invalid_argument: Bearer FlyV1-secret\n" + "x" * 1000
    error = error_of(Refusal("create", 400, {"error": said}), "FlyV1-secret")
    assert "FlyV1-secret" not in str(error)
    assert "[token]" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 400


def test_a_token_at_the_cut_leaves_no_half_behind() -> None:
    for padding in range(270, 310):
        error = error_of(Refusal("create", 400, {"error": "x" * padding + "FlyV1-secret"}), "FlyV1-secret")
        assert "FlyV1" not in str(error)
