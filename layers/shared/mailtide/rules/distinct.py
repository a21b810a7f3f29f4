"""The different values of an array."""

import numpy as np

from mailtide.rules.columns import Int32, Int64


def distinct[T: (Int32, Int64)](values: T) -> T:
    """Each value once, ascending; shape (n,) -> (d,). Sorting them, which numpy's `unique` is slower than."""
    ordered = np.sort(values)
    keep = np.ones(len(ordered), np.bool_)
    keep[1:] = ordered[1:] != ordered[:-1]
    return ordered[keep]
