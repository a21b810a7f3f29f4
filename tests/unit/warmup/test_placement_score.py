"""The score of placement: a share, and an interval that is honest about how little a few mails say."""

from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.warmup.reading.record import Landed
from mailtide.warmup.reading.score import score, wilson

SHARES = st.integers(0, 3_000).flatmap(lambda tries: st.tuples(st.integers(0, tries), st.just(tries)))


@pytest.mark.parametrize(
    ("hits", "tries", "low", "high"),
    # Worked out by hand from the formula, z = 1.96: 3/3 gives 3 / (3 + z²).
    [(0, 0, 0.0, 1.0), (3, 3, 0.4385, 1.0), (0, 3, 0.0, 0.5615), (210, 210, 0.9820, 1.0)],
)
def test_the_interval_of_a_share(hits: int, tries: int, low: float, high: float) -> None:
    assert wilson(hits, tries) == pytest.approx((low, high), abs=5e-5)


@given(SHARES)
def test_an_interval_holds_the_share_and_stays_within_its_edges(of: tuple[int, int]) -> None:
    hits, tries = of
    low, high = wilson(hits, tries)
    assert 0.0 <= low <= (hits / tries if tries else 0.5) <= high <= 1.0
    assert wilson(tries - hits, tries) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(SHARES.filter(lambda of: 0 < of[0] < of[1]))
def test_each_bound_is_a_share_of_which_the_sample_is_z_standard_errors_off(of: tuple[int, int]) -> None:
    hits, tries = of
    for bound in wilson(hits, tries):
        assert abs(hits / tries - bound) == pytest.approx(1.96 * sqrt(bound * (1 - bound) / tries), rel=1e-6)


@given(st.integers(0, 20), st.integers(1, 20))
def test_more_mails_make_it_surer(hits: int, more: int) -> None:
    tries = max(hits, 1)
    widths = [high - low for low, high in (wilson(hits * factor, tries * factor) for factor in (1, more, more * 2))]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(widths))


@pytest.mark.parametrize(("hits", "tries"), [(1, 0), (-1, 5), (6, 5)])
def test_what_is_no_share_is_refused(hits: int, tries: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson(hits, tries)


def test_junk_and_missing_count_alike_and_nothing_seen_is_unknown() -> None:
    assert score(Landed(61, 39, 0)) == score(Landed(61, 0, 39))
    assert score(Landed(61, 30, 9)).share == 0.61
    nothing = score(Landed())
    assert (nothing.share, nothing.low, nothing.high) == (None, 0.0, 1.0)
