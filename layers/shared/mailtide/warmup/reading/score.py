"""Placement as a score: the share of mails that reached the inbox, and how sure one may be of it, given their number."""

from dataclasses import dataclass
from math import sqrt

from mailtide.warmup.reading.record import Landed

Z = 1.96
"""Standard errors on each side of a share: 95 % of such intervals hold the true one."""


@dataclass(frozen=True, slots=True)
class Score:
    """inbox of seen; share, low and high in 0 … 1. `share` is None when nothing was seen: unknown is not bad."""

    inbox: int
    seen: int
    share: float | None
    low: float
    """The true share may well be no better …"""
    high: float
    """… and no worse than these two."""


def score(landed: Landed) -> Score:
    """Of mails that somebody looked for; junk and missing count alike: neither is read by anybody."""
    low, high = wilson(landed.inbox, landed.seen)
    return Score(landed.inbox, landed.seen, landed.inbox / landed.seen if landed.seen else None, low, high)


def wilson(hits: int, tries: int, z: float = Z) -> tuple[float, float]:
    """The score interval of a share (E. B. Wilson, 1927), which keeps its promise for small samples too; (0, 1) of none.

    ValueError unless 0 <= hits <= tries.
    """
    if not 0 <= hits <= tries:
        raise ValueError(f"{hits} of {tries} is no share")
    if tries == 0:
        return 0.0, 1.0
    share, square = hits / tries, z * z
    middle = share + square / (2 * tries)
    spread = z * sqrt(share * (1 - share) / tries + square / (4 * tries * tries))
    whole = 1 + square / tries
    # At 0 and 1 the bounds touch the edge exactly; rounding must not carry them over it.
    low = 0.0 if hits == 0 else max(0.0, (middle - spread) / whole)
    high = 1.0 if hits == tries else min(1.0, (middle + spread) / whole)
    return low, high
