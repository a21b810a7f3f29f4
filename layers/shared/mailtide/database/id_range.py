"""A range of contact ids: the share of one machine."""

from dataclasses import dataclass

from mailtide.rules.columns import Bool, Int64

SMALLEST_ID, LARGEST_ID = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class IdRange:
    """All ids from `first` to `last`, both included; None is an open end."""

    first: int | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        if not SMALLEST_ID <= self.low <= self.high <= LARGEST_ID:
            raise ValueError(f"{self.first} to {self.last} is no range of ids")

    @property
    def low(self) -> int:
        """The smallest id."""
        return SMALLEST_ID if self.first is None else self.first

    @property
    def high(self) -> int:
        """The largest id."""
        return LARGEST_ID if self.last is None else self.last

    @property
    def is_everything(self) -> bool:
        """Whether every id is in it."""
        return self.first is None and self.last is None

    def holds(self, number: int | None) -> bool:
        """Whether an id is in it; a row without an id belongs to the range that has no first."""
        return self.first is None if number is None else self.low <= number <= self.high

    def holds_each(self, ids: Int64) -> Bool:
        """Which ids are in it; shape (n,)."""
        inside: Bool = (ids >= self.low) & (ids <= self.high)
        return inside


EVERY_ID = IdRange()
