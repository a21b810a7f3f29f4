"""The time of this machine."""

from datetime import UTC, datetime


class SystemClock:
    """Implements mailtide.ports.Clock."""

    def now(self) -> datetime:
        """See mailtide.ports.Clock."""
        return datetime.now(UTC)
