"""Histograms of arrays."""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

import numpy as np

_MAX_SAMPLE = 2**22


class Bins(NamedTuple):
    """Histogram of the finite values of an array, with a count of the others.

    Attributes:
      counts: Number of values in each bin, `[bins]`; empty without finite values.
      edges: Edges of the bins, ascending, `[bins + 1]`.
      minimum: Smallest finite value.
      maximum: Largest finite value.
      total: Sum of the finite values.
      squares: Sum of their squares.
      nonfinite: Number of values that are NaN or infinite.
    """

    counts: np.ndarray
    edges: np.ndarray
    minimum: float
    maximum: float
    total: float
    squares: float
    nonfinite: int


def binned(values: Any, bins: int = 64) -> Bins:
    """Return the histogram of an array.

    Writers call it on the values of a `Media` record of kind `"histogram"`.

    Args:
      values: Array of real numbers of any shape; or the pair (counts, edges) that
        `np.histogram` returns, whose sums are taken from the centers of its bins; or
        `Bins`, which are returned unchanged.
      bins: Number of bins. Default 64.

    Returns:
      The histogram. For more than 2**22 finite values it counts a random sample of
      that size.

    Raises:
      TypeError: The values are not real numbers.
      ValueError: A pair is not a histogram.

    >>> binned([1.0, 2.0, float("nan")], bins=2).counts
    array([1, 1])
    """
    if isinstance(values, Bins):
        return values
    if isinstance(values, tuple):
        return _from_counts(*(np.asarray(part, np.float64) for part in values))
    array = np.asarray(values).ravel()
    if array.dtype.kind not in "biuf" and "float" not in array.dtype.name:
        raise TypeError(
            f"A histogram got an array of {array.dtype}, expected real numbers. "
            f"Convert it first."
        )
    finite = array[np.isfinite(array)]
    nonfinite = array.size - finite.size
    if not finite.size:
        return Bins(np.zeros(0), np.zeros(0), 0.0, 0.0, 0.0, 0.0, nonfinite)
    if finite.size > _MAX_SAMPLE:
        indices = np.random.default_rng(0).integers(0, finite.size, _MAX_SAMPLE)
        finite = finite[indices]
    finite = finite.astype(np.float64)
    low, high = float(finite.min()), float(finite.max())
    counts, edges = _counts(finite, low, high, bins)
    with np.errstate(over="ignore", invalid="ignore"):
        total, squares = float(finite.sum()), float(np.square(finite).sum())
    return Bins(counts, edges, low, high, total, squares, nonfinite)


def _counts(
    finite: np.ndarray, low: float, high: float, bins: int
) -> tuple[np.ndarray, np.ndarray]:
    if math.isinf(high - low):
        counts, edges = np.histogram(finite / 4, bins)  # exact, for values so large
        return counts, edges * 4
    try:
        return np.histogram(finite, bins)
    except ValueError:  # the range is too narrow for distinct edges
        margin = max(abs(low), abs(high), 1.0) / 2
        largest = sys.float_info.max
        ends = max(low - margin, -largest), min(high + margin, largest)
        return np.histogram(finite, bins, ends)


def _from_counts(counts: np.ndarray, edges: np.ndarray) -> Bins:
    if counts.ndim != 1 or edges.shape != (counts.size + 1,):
        raise ValueError(
            f"A histogram got counts of shape {counts.shape} and edges of shape "
            f"{edges.shape}; expected one edge more than counts. Pass what "
            f"np.histogram returns."
        )
    centers = edges[:-1] / 2 + edges[1:] / 2
    used = np.flatnonzero(counts)
    low = float(edges[used[0]]) if used.size else float(edges[0])
    high = float(edges[used[-1] + 1]) if used.size else float(edges[-1])
    # Not products of BLAS, which depend on where in memory an array begins.
    with np.errstate(over="ignore", invalid="ignore"):
        total = float((counts * centers).sum())
        squares = float((counts * np.square(centers)).sum())
    return Bins(counts, edges, low, high, total, squares, 0)
