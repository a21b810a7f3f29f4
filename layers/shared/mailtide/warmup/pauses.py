"""Hosts that throttled this process: nobody of it writes to them for a while."""

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_MS = 3_600_000


@dataclass(slots=True)
class _Pause:
    until_ms: int
    length_ms: int


class HostPauses:
    """Each throttling after the end of a pause doubles the next, up to 1 h; a mail that is accepted ends it all.

    Every process learns by itself: a provider that throttles one sender's address need not throttle the others'.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """now_ms: a clock that never steps."""
        self._now_ms = now_ms
        self._pauses: dict[str, _Pause] = {}

    def pause(self, host: str, first_ms: int) -> None:
        """The host throttled one of our mails. Several within one pause count as one."""
        now_ms = self._now_ms()
        old = self._pauses.get(host)
        if old is not None and now_ms < old.until_ms:
            return
        length_ms = min(LONGEST_MS, old.length_ms * 2 if old else first_ms)
        self._pauses[host] = _Pause(now_ms + length_ms, length_ms)

    def worked(self, host: str) -> None:
        """The host accepted a mail."""
        self._pauses.pop(host, None)

    def left_ms(self, host: str) -> int:
        """How much of a pause is left; 0 when there is none."""
        pause = self._pauses.get(host)
        return max(0, pause.until_ms - self._now_ms()) if pause else 0
