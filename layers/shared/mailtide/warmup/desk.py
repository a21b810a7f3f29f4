"""Limit tokens for the sends that start now: one wave after another, each one request to the limits (spec §5.2)."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from mailtide.warmup.ports import Grant, Limits, UserDemand, WarmupClock

type RunBlocking = Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]]
"""Carries out a call that blocks, on a thread."""
GATHER_S = 0.1
"""How long a wave waits for others that start at the same moment."""


@dataclass(frozen=True, slots=True)
class Token:
    """Permission for one send to start within a span of this process's monotonic clock."""

    from_monotonic_ms: int
    until_monotonic_ms: int


@dataclass(frozen=True, slots=True)
class NoToken:
    """A limit is reached."""

    retry_ms: int
    """When asking again may help."""


@dataclass(slots=True)
class _Request:
    user_id: str
    day_limit: int
    answer: asyncio.Future[Token | NoToken]


class TokenDesk:
    """Gathers requests into waves; one wave is under way at a time, and whoever comes meanwhile is in the next."""

    def __init__(self, limits: Limits, clock: WarmupClock, run_blocking: RunBlocking) -> None:
        self._limits = limits
        self._clock = clock
        self._run_blocking = run_blocking
        self._waiting: list[_Request] = []
        self._serving: asyncio.Task[None] | None = None
        self._refused_until: dict[str, int] = {}
        self.waves = 0
        self.granted = 0
        self.forfeited = 0

    def refused_until_ms(self, user_id: str) -> int:
        """Until when this user has been refused; 0 when not."""
        return self._refused_until.get(user_id, 0)

    async def take(self, user_id: str, day_limit: int) -> Token | NoToken:
        """A token of the next wave. TransientError when the limits cannot be asked."""
        request = _Request(user_id, day_limit, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        return await request.answer

    def may_start(self, token: Token) -> bool:
        """The last check before MAIL FROM. A token that is out of date is forfeited."""
        now_ms = self._clock.monotonic_ms()
        if token.from_monotonic_ms <= now_ms < token.until_monotonic_ms:
            return True
        self.forfeited += 1
        return False

    async def _serve(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_S)
            wave, self._waiting = self._waiting, []
            demand = _demand(wave)
            try:
                grant: Grant = await self._run_blocking(lambda demand=demand: self._limits.take(demand))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            except Exception as error:  # noqa: BLE001 - each request of the wave is told; none is left waiting
                for request in wave:
                    if not request.answer.done():
                        request.answer.set_exception(error)
                continue
            self.waves += 1
            self._hand_out(wave, grant)

    def _hand_out(self, wave: list[_Request], grant: Grant) -> None:
        offset_ms = self._clock.monotonic_ms() - self._clock.now_ms()
        token = Token(grant.valid_from_ms + offset_ms, grant.valid_until_ms + offset_ms)
        left = dict(grant.counts)
        for request in wave:
            answer: Token | NoToken = token
            if left.get(request.user_id, 0) > 0:
                left[request.user_id] -= 1
                self.granted += 1
            else:
                retry_ms = grant.retry_ms.get(request.user_id, grant.valid_until_ms)
                self._refused_until[request.user_id] = retry_ms
                answer = NoToken(retry_ms)
            if not request.answer.done():
                request.answer.set_result(answer)
            elif answer is token:
                self.forfeited += 1


def _demand(wave: list[_Request]) -> dict[str, UserDemand]:
    demand: dict[str, UserDemand] = {}
    for request in wave:
        earlier = demand.get(request.user_id)
        count = earlier.count + 1 if earlier else 1
        day_limit = min(earlier.day_limit, request.day_limit) if earlier else request.day_limit
        demand[request.user_id] = UserDemand(count, day_limit)
    return demand
