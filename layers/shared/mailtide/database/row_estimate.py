"""Rows of a level's unread pages, foretold by the read ones around them, and how far that may be wrong. Plain numbers, no numpy.

Two things foretell the rows of an unread page: how many the read pages around it hold, and how many ids lie between its
bounds, times the rows for each id around. Ids without holes make the second exact, equally full pages the first. Each read
page is foretold from its neighbours in both ways too; the way that errs less there weighs more.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple, Protocol

_MOST_BESIDE = 16
"""Read pages on each side that foretell what is in a gap; fewer where they are further away than the gap is wide."""
_NOISE_BESIDE = 8
_NEIGHBOURS = 2
_RARE = 0.3
"""Of the whole level's noise: what is found nowhere near may still be near."""
_MOST_TIMES = 3.0
"""As many rows as pages around: what its bounds promise beyond that are ids that nobody has."""
_FLOORS = (0.02**2, 0.01**2)
"""Relative variances: neither by count nor by ids is a page foretold better than that."""
_STEP = 0.4
"""Relative: two sides of a gap that differ by more lie in stretches of different rows."""
_CLEAR = 2.0
_HIDDEN = 48.0
"""24 for stretches of all lengths; they are seldom so short that one lies between two read pages."""


class Subtree(Protocol):
    """A page with all below it. rows: as counted when `known`, else to be estimated; span: ids between its bounds."""

    rows: float
    known: bool

    @property
    def span(self) -> int:
        """At least 1."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Unread pages between two read ones. variance: of their rows together; share: of the level's rows, before its middle."""

    variance: float
    first: int
    last: int
    share: float


class _Foretold(NamedTuple):
    variance: float
    size: int
    trust: float
    """Weight of the ids, 0 to 1; the count has the rest."""
    count_step: float
    span_step: float
    """Rows a page by which the two sides differ clearly, else 0."""


class _Way(NamedTuple):
    """One way of foretelling a gap. noise: variance of a page; step: rows a page between both sides; total: rows of the gap."""

    noise: float
    step: float
    total: float

    @property
    def doubt(self) -> float:
        return self.noise + self.step**2 / 4


def estimate_rows(level: Sequence[Subtree]) -> list[Gap]:
    """Give every unread subtree its rows; the gaps between read ones. The first subtree and the last one must be known."""
    read = [index for index, node in enumerate(level) if node.known]
    around = _Around(read, [level[index].rows for index in read], [level[index].span for index in read])
    bounds, middles, foretold, before = [], [], [], 0.0
    for place, (first, last) in enumerate(pairwise(read)):
        before += level[first].rows
        if last - first > 1:
            unread = level[first + 1 : last]
            foretold.append(around.foretell(place, unread))
            rows = sum(node.rows for node in unread)
            bounds.append((first, last))
            middles.append(before + rows / 2)
            before += rows
    total = before + level[read[-1]].rows or 1.0
    hidden = _hidden(foretold)
    return [
        Gap(told.variance + more, first, last, middle / total)
        for told, more, (first, last), middle in zip(foretold, hidden, bounds, middles, strict=True)
    ]


def _hidden(foretold: Sequence[_Foretold]) -> list[float]:
    """Variances of what may lie in gaps whose sides are alike: by how often sides differ on this level, and how much."""
    size = sum(told.size for told in foretold)
    found = []
    for steps in ([told.count_step for told in foretold], [told.span_step for told in foretold]):
        clear = [step**2 for step in steps if step]
        found.append((sum(clear) / max(1, len(clear)), len(clear) / max(1, size)))
    (count_square, count_rate), (span_square, span_rate) = found
    return [
        (
            (1 - told.trust) ** 2 * count_square * min(1.0, told.size * count_rate) ** 2
            + told.trust**2 * span_square * min(1.0, told.size * span_rate) ** 2
        )
        * told.size**2
        / _HIDDEN
        for told in foretold
    ]


class _Around:
    """Sums over the read pages of a level. Spans stay whole numbers: floats lose small ones beside those of 2**62."""

    def __init__(self, read: list[int], rows: list[float], spans: list[int]) -> None:
        self._read = read
        self._each = list(zip(rows, spans, strict=True))
        self._rows, self._spans = [0.0, *accumulate(rows)], [0, *accumulate(spans)]
        self._richest = max(rows)
        self._densities = [count / span for count, span in self._each]
        self._counts = [self._by_count(place) for place in range(len(read))]
        self._count_errors = [0.0, *accumulate((rows[place] - count) ** 2 for place, count in enumerate(self._counts))]
        by_spans = [self._by_span(place, span) for place, span in enumerate(spans)]
        self._span_errors = [0.0, *accumulate((count - told) ** 2 for count, told in zip(rows, by_spans, strict=True))]

    def _by_count(self, place: int) -> float:
        """What the neighbours of a read page foretell of it."""
        first, end = max(0, place - _NEIGHBOURS), min(len(self._read), place + _NEIGHBOURS + 1)
        return (self._rows[end] - self._rows[first] - self._each[place][0]) / max(1, end - first - 1)

    def _by_span(self, place: int, span: int) -> float:
        first, end = max(0, place - _NEIGHBOURS), min(len(self._read), place + _NEIGHBOURS + 1)
        rows = span * self._density(first, end, without=place)
        count = self._counts[place]
        return count if rows > self._most(count, place) else rows

    def _most(self, count: float, here: int) -> float:
        """Rows that a page may hold."""
        return _MOST_TIMES * count + math.sqrt(self._noise_of(self._count_errors, here))

    def foretell(self, place: int, unread: Sequence[Subtree]) -> _Foretold:
        """Set the rows of the unread pages after the read one at `place`."""
        size, here = len(unread), place + 1
        start = max(bisect_left(self._read, self._read[place] - size), here - _MOST_BESIDE)
        end = min(bisect_right(self._read, self._read[here] + size), here + _MOST_BESIDE)
        counts, densities = zip(self._mean(start, here), self._mean(here, end), strict=True)
        by_count, by_span, beyond = _ways(unread, counts, densities, self._most(max(counts), here), self._richest)
        mean = sum(by_count) / size
        count_noise, span_noise = self._noise(here, mean)
        count = _Way(count_noise, abs(counts[1] - counts[0]), sum(by_count))
        spread = sum(by_span) / size * (1 - min(densities) / max(densities)) if any(densities) else 0.0
        span = _Way(span_noise, spread, sum(by_span))
        trust = count.doubt / (count.doubt + span.doubt) if count.doubt else 0.5
        for node, one, other in zip(unread, by_count, by_span, strict=True):
            node.rows = one + (other - one) * trust
        ends = 1 / (here - start) + 1 / (end - here)
        return _Foretold(
            _variance(count, span, trust, abs(count.total - span.total), beyond, size, end - start),
            size,
            trust,
            *(
                way.step if way.step > _STEP * mean and way.step**2 > _CLEAR * way.noise * ends else 0.0
                for way in (count, span)
            ),
        )

    def _mean(self, first: int, end: int) -> tuple[float, float]:
        """Rows a page, rows an id."""
        return (self._rows[end] - self._rows[first]) / (end - first), self._density(first, end)

    def _density(self, first: int, end: int, without: int | None = None) -> float:
        """Rows an id, without pages that have a hole in their ids."""
        densities = self._densities[first:end]
        if min(densities) * _MOST_TIMES >= max(densities):
            count, span = (0.0, 0) if without is None else self._each[without]
            return (self._rows[end] - self._rows[first] - count) / max(1, self._spans[end] - self._spans[first] - span)
        if without is not None:
            del densities[without - first]
        least = sorted(densities)[len(densities) // 2] / _MOST_TIMES
        kept = [
            self._each[place] for place in range(first, end) if place != without and self._densities[place] >= least
        ]
        return sum([count for count, _ in kept]) / max(1, sum([span for _, span in kept]))

    def _noise(self, here: int, mean: float) -> tuple[float, float]:
        """Variances of a page around, by count and by span."""
        count, span = (self._noise_of(errors, here) for errors in (self._count_errors, self._span_errors))
        return count + _FLOORS[0] * mean**2, span + _FLOORS[1] * mean**2

    def _noise_of(self, errors: Sequence[float], here: int) -> float:
        first, end = max(0, here - _NOISE_BESIDE), min(len(self._read), here + _NOISE_BESIDE)
        return (errors[end] - errors[first]) / (end - first) + _RARE * errors[-1] / len(self._read)


def _ways(
    unread: Sequence[Subtree], counts: tuple[float, ...], densities: tuple[float, ...], most: float, richest: float
) -> tuple[list[float], list[float], float]:
    """Rows of each page by count, by span, and how many more rows there may be where the span says too many."""
    parts = [number / (len(unread) + 1) for number in range(1, len(unread) + 1)]
    by_count = [counts[0] + (counts[1] - counts[0]) * part for part in parts]
    by_span, beyond = [], 0.0
    for node, part, count in zip(unread, parts, by_count, strict=True):
        rows = node.span * (densities[0] + (densities[1] - densities[0]) * part)
        if rows > most:
            beyond += max(most, min(rows, richest)) - count
            rows = count
        by_span.append(rows)
    return by_count, by_span, beyond


def _variance(count: _Way, span: _Way, trust: float, apart: float, beyond: float, size: int, beside: int) -> float:
    """Of the sum of a gap's rows. apart: rows by which both ways differ in it; beside: read pages that foretold it."""
    times = size * (1 + size / beside)
    noise = (trust**2 * span.noise + (1 - trust) ** 2 * count.noise) * times
    # Where in the gap one side ends and the other begins is not known.
    step = (size * (trust * span.step + (1 - trust) * count.step)) ** 2 / 12
    surprise = apart**2 / 12 if apart**2 > 9 * (count.noise + span.noise) * times else 0.0
    # Where the ids promise rows that are not believed, either they or the pages around mislead.
    return noise + step + max(surprise, trust * (1 - trust) * apart**2, beyond**2 / 12)
