"""When and how requests to Fly are tried again: 408, 429, 5xx and lost connections, with jittered back-off."""

from collections.abc import Callable
from dataclasses import dataclass

import stamina

from mailtide.adapters.fly.errors import FlyHiddenError, FlyRateLimitedError, FlyUnansweredError, FlyUnavailableError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts in all, and seconds: no new try begins after timeout_s, though one under way may outlast it.

    The wait before try n + 1 is wait_initial_s * 2 ** (n - 1) plus a random 0 to wait_jitter_s, at most wait_max_s.
    """

    attempts: int = 6
    timeout_s: float = 20.0
    wait_initial_s: float = 0.5
    wait_max_s: float = 8.0
    wait_jitter_s: float = 1.0

    def call[T](self, action: Callable[[], T], *, unclear: bool = True) -> T:
        """Run the action until it works; its last error passes through.

        unclear: also after errors that leave open whether the request took effect (for idempotent requests only).
        """
        return stamina.RetryingCaller(
            attempts=self.attempts,
            timeout=self.timeout_s,
            wait_initial=self.wait_initial_s,
            wait_max=self.wait_max_s,
            wait_jitter=self.wait_jitter_s,
        )(lambda error: self._again(error, unclear=unclear), action)

    def _again(self, error: Exception, *, unclear: bool) -> bool | float:
        if isinstance(error, FlyRateLimitedError):
            return True if error.retry_after_s is None else min(error.retry_after_s, self.wait_max_s)
        return unclear and isinstance(error, FlyUnavailableError | FlyUnansweredError | FlyHiddenError)
