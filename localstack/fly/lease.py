"""The lease of one machine: an exclusive right to change it, for a time."""

import secrets
import time
from collections.abc import Callable
from typing import Any

from localstack.fly.problems import ApiError

DEFAULT_TTL_S = 20


class LeaseBook:
    """Who may change a machine; `clock` gives seconds since 1970."""

    def __init__(self, machine_id: str, clock: Callable[[], float] = time.time) -> None:
        self._machine_id = machine_id
        self._clock = clock
        self._held: dict[str, Any] | None = None

    @property
    def current(self) -> dict[str, Any] | None:
        """The lease that holds now, or None."""
        if self._held and self._held["expires_at"] <= self._clock():
            self._held = None
        return self._held

    def acquire(self, body: dict[str, Any], nonce: str | None, version: str) -> dict[str, Any]:
        """Take the lease, or refresh it with its nonce; 409 when somebody else holds it."""
        self.check(nonce)
        ttl_s = body.get("ttl") or DEFAULT_TTL_S
        self._held = {
            "nonce": nonce if self.current and nonce else secrets.token_hex(6),
            "expires_at": int(self._clock()) + ttl_s,
            "owner": "local@tokens.fly.io",
            "description": body.get("description", ""),
            "version": version,
        }
        return self._held

    def check(self, nonce: str | None) -> None:
        """Raise 409 unless the machine is free or the nonce is the lease's."""
        held = self.current
        if held and held["nonce"] != nonce:
            raise ApiError(
                409,
                f"machine {self._machine_id} lease currently held by {held['owner']}, expires at {held['expires_at']}",
            )

    def release(self, nonce: str | None) -> None:
        """Give it back; 404 when nobody holds one, 409 with a wrong nonce."""
        if self.current is None:
            raise ApiError(404, "not_found: lease not found")
        self.check(nonce)
        self._held = None
