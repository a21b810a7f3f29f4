"""The windows of the system-wide limits, and which starts a token of them allows (spec §5.2).

A token counts in the hour, the minute and the half minute that its send starts in. It is good only for starts that are at least
EDGE_MS away from both edges of its half minute (the edges of minutes and hours are edges of half minutes too): so clocks that
differ by less cannot put a start into a window that does not count it.
"""

from dataclasses import dataclass

HALF_MINUTE_MS = 30_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
EDGE_MS = 5_000
MIN_USEFUL_MS = 1_000
"""With less than this left of a window, tokens of the next one are taken."""


@dataclass(frozen=True, slots=True)
class Window:
    """One half minute, with the minute and the hour that it is in."""

    start_ms: int

    @property
    def valid_from_ms(self) -> int:
        """First start that its tokens allow."""
        return self.start_ms + EDGE_MS

    @property
    def valid_until_ms(self) -> int:
        """No start at or after this."""
        return self.start_ms + HALF_MINUTE_MS - EDGE_MS

    @property
    def half(self) -> int:
        """0 or 1: which half of its minute."""
        return self.start_ms // HALF_MINUTE_MS % 2

    @property
    def minute(self) -> int:
        """Of the hour, 0 to 59."""
        return self.start_ms // MINUTE_MS % 60

    @property
    def hour_start_ms(self) -> int:
        """When its hour began."""
        return self.start_ms - self.start_ms % HOUR_MS

    def after(self) -> "Window":
        """The next half minute."""
        return Window(self.start_ms + HALF_MINUTE_MS)


def window_at(now_ms: int) -> Window:
    """The window of a send that is ready now: the present one, or the next when that is nearly over."""
    window = Window(now_ms - now_ms % HALF_MINUTE_MS)
    return window if now_ms < window.valid_until_ms - MIN_USEFUL_MS else window.after()


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalLimits:
    """Starts that the whole system may have."""

    hour: int
    minute: int

    @property
    def half_minute(self) -> int:
        """Half of the minute's: any 60 s hold at most 1.5 × the minute's limit (at least 1)."""
        return max(1, self.minute // 2)

    def room(self, used_hour: int, used_minute: int, used_half: int) -> int:
        """How many more starts a window has room for."""
        return max(0, min(self.hour - used_hour, self.minute - used_minute, self.half_minute - used_half))

    def next_chance_ms(self, window: Window, used_hour: int, used_minute: int) -> int:
        """When asking again may help: in the next hour, minute or half minute, at its first valid start."""
        if used_hour >= self.hour:
            return window.hour_start_ms + HOUR_MS + EDGE_MS
        if used_minute >= self.minute:
            return window.start_ms - window.start_ms % MINUTE_MS + MINUTE_MS + EDGE_MS
        return window.after().valid_from_ms


def block_size(wanted: int, used_this_hour: int, *, room_hour: int, room_day: int) -> int:
    """How many of a user's tokens to take when `wanted` are needed: some in store for later sends of this hour.

    Otherwise each wave would cost one write a user, most of them for a single mail. Put in store are at most half of what this
    process used for the user within the hour, at most 7, and none when the user comes near a limit.
    """
    store = min(7, used_this_hour // 2, room_hour // 4 - wanted, room_day // 4 - wanted)
    return wanted + max(0, store)
