"""Histograms of arrays, whatever is in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

_SAMPLE = 2**22


class Bins(NamedTuple):
    """A histogram of finite values, and how many others there were.

    Attributes:
      counts: How many lie in each bin; empty when there were none.
      edges: The ends of the bins, one more than counts.
      minimum: The least value.
      maximum: The greatest value.
      total: The sum of the values.
      squares: The sum of their squares.
      nonfinite: How many values are nan or infinite.
    """

    counts: np.ndarray
    edges: np.ndarray
    minimum: float
    maximum: float
    total: float
    squares: float
    nonfinite: int


def binned(values: Any, bins: int = 64) -> Bins:
    """The histogram of an array, or of a pair (counts, edges) counted before.

    One that is made already is returned.

    Of more than four million values a random sample of as many is binned; of a pair
    the sums are those of the middles of its bins.

    Raises:
      TypeError: The values are not real numbers.
      ValueError: A pair is no histogram.
    """
    if isinstance(values, Bins):
        return values
    if isinstance(values, tuple):
        return _counted(*(np.asarray(part, np.float64) for part in values))
    array = np.asarray(values).ravel()
    if array.dtype.kind not in "biuf" and "float" not in array.dtype.name:
        raise TypeError(
            f"A histogram got an array of {array.dtype}, expected real numbers. "
            f"Convert it first."
        )
    kept = array[np.isfinite(array)]
    nonfinite = array.size - kept.size
    if not kept.size:
        return Bins(np.zeros(0), np.zeros(0), 0.0, 0.0, 0.0, 0.0, nonfinite)
    if kept.size > _SAMPLE:
        kept = kept[np.random.default_rng(0).integers(0, kept.size, _SAMPLE)]
    kept = kept.astype(np.float64)
    low, high = float(kept.min()), float(kept.max())
    try:
        counts, edges = np.histogram(kept, bins)
    except ValueError:  # too near to each other to be told apart
        reach = max(abs(low), abs(high), 1.0) / 2
        counts, edges = np.histogram(kept, bins, (low - reach, high + reach))
    total, squares = float(kept.sum()), float(kept @ kept)
    return Bins(counts, edges, low, high, total, squares, nonfinite)


def _counted(counts: np.ndarray, edges: np.ndarray) -> Bins:
    if counts.ndim != 1 or edges.shape != (counts.size + 1,):
        raise ValueError(
            f"A histogram got counts of shape {counts.shape} and edges of shape "
            f"{edges.shape}; expected one edge more than counts. Pass what "
            f"np.histogram returns."
        )
    middles = (edges[:-1] + edges[1:]) / 2
    used = np.flatnonzero(counts)
    low = float(edges[used[0]]) if used.size else float(edges[0])
    high = float(edges[used[-1] + 1]) if used.size else float(edges[-1])
    total, squares = float(counts @ middles), float(counts @ middles**2)
    return Bins(counts, edges, low, high, total, squares, 0)
