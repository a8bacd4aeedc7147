"""Counts of numbers by magnitude: float64 without its last 45 bits of mantissa.

An octave has 128 bins of one width, so that the middle of a bin is within 1/256 of
every number in it. No logarithm is taken: every machine finds the same bins.
"""

from __future__ import annotations

import numpy as np

RELATIVE_ERROR = 2.0**-8
"""How far the middle of a bin may lie from a number in it, as a part of the number."""

_CUT = 45  # of the 52 bits of a mantissa, 7 stay

Bins = tuple[np.ndarray, np.ndarray]
"""Bins in ascending order of the numbers in them, and how many there are; int64."""


def no_bins() -> Bins:
    """Of nothing."""
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def counted(values: np.ndarray) -> Bins:
    """The bins of finite float64 values; those below zero have negative numbers."""
    bins = np.abs(values).view(np.int64) >> _CUT
    np.negative(bins, out=bins, where=values < 0)
    if not bins.size:
        return no_bins()
    lowest = int(bins.min())
    if int(bins.max()) - lowest > 4 * bins.size + 4096:
        found, counts = np.unique(bins, return_counts=True)
        return found, counts.astype(np.int64)
    counts = np.bincount(bins - lowest)
    found = np.flatnonzero(counts)
    return found + lowest, counts[found].astype(np.int64)


def added(a: Bins, b: Bins) -> Bins:
    """The counts of both."""
    if not a[0].size or not b[0].size:
        return a if a[0].size else b
    bins, where = np.unique(np.concatenate([a[0], b[0]]), return_inverse=True)
    counts = np.zeros(bins.size, np.int64)
    np.add.at(counts, where, np.concatenate([a[1], b[1]]))
    return bins, counts


def ranked(bins: Bins, ranks: np.ndarray) -> np.ndarray:
    """The middle of the bin that holds the number of each rank, 1 for the least."""
    at = np.searchsorted(np.cumsum(bins[1]), ranks)
    chosen = bins[0][at]
    half = np.where(chosen == 0, 0, 1 << (_CUT - 1))
    magnitude = (np.abs(chosen) << _CUT) + half
    return np.sign(chosen) * magnitude.view(np.float64)
