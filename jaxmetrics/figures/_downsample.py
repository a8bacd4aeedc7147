"""Reduce long series to few points or windows without losing their extremes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Windows(NamedTuple):
    """Statistics of consecutive windows of a series, each `[windows]`.

    Attributes:
      x: Mean position of the window.
      mean: Mean of the finite values; nan if there are none, as for the next three.
      std: Standard deviation with divisor n.
      low: Minimum.
      high: Maximum.
      size: Number of values per window; the last window may have fewer.
    """

    x: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    size: int


def downsample(
    x: np.ndarray, y: np.ndarray, points: int = 4000
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a series that a picture of it needs.

    The series is cut into windows of equal size. Of each window the minimum, the
    maximum and the first value that is not finite are kept, and so are both ends of
    the series: every spike and every gap stays visible, and no point is made up.

    Args:
      x: Positions, ascending, `[n]`.
      y: Values, `[n]`.
      points: Maximum number of points, at least 5.

    Returns:
      x and y of the kept points in order; all of them if there are at most `points`.

    >>> x = np.arange(1_000_000)
    >>> y = np.where(x == 123_456, 9.0, np.sin(x))
    >>> xs, ys = downsample(x, y, points=1000)
    >>> len(xs) <= 1000, float(ys.max()), int(xs[ys.argmax()])
    (True, 9.0, 123456)
    """
    count = len(y)
    if count <= points:
        return x, y
    indices = window_extremes(y, window_size(count, points))
    indices = np.union1d(indices, [0, count - 1])
    return x[indices], y[indices]


def window_size(count: int, points: int) -> int:
    """Return the number of values of each window of a series of which few are kept.

    Args:
      count: Number of values.
      points: Maximum number of points that are kept, at least 5.

    >>> window_size(100, 100), window_size(1000, 100)
    (1, 32)
    """
    return 1 if count <= points else -(-count // max((points - 2) // 3, 1))


def window_extremes(y: np.ndarray, size: int) -> np.ndarray:
    """Return the indices of the values of each window that a picture needs, ascending.

    These are the minimum, the maximum and the first value that is not finite.

    Args:
      y: Values, `[n]`.
      size: Number of values of a window; the last one may have fewer.

    >>> window_extremes(np.array([1.0, 5.0, 3.0, 2.0, 0.0, 4.0]), 3)
    array([0, 1, 4, 5])
    """
    count = len(y)
    if count == 0 or size == 1:
        return np.arange(count)
    finite = np.isfinite(y)
    low = _pick(np.where(finite, y, np.inf), np.inf, size, np.argmin)
    high = _pick(np.where(finite, y, -np.inf), -np.inf, size, np.argmax)
    bad = _pick(~finite, False, size, np.argmax)
    kept = [low[finite[low]], high[finite[high]], bad[~finite[bad]]]
    return np.unique(np.concatenate(kept).astype(np.int64))


def windows(x: np.ndarray, y: np.ndarray, count: int = 200) -> Windows:
    """Return statistics of at most `count` windows of equal size.

    Args:
      x: Positions, ascending, `[n]`.
      y: Values, `[n]`.
      count: Maximum number of windows.
    """
    size = max(-(-len(y) // count), 1)
    starts = np.arange(0, len(y), size)
    if len(y) == 0:
        empty = np.zeros(0)
        return Windows(empty, empty, empty, empty, empty, size)
    finite = np.isfinite(y)
    counts = np.add.reduceat(finite.astype(np.float64), starts)
    lengths = np.diff(np.append(starts, len(y)))
    with np.errstate(all="ignore"):  # a window without a finite value has no mean
        values = np.where(finite, y, 0.0)
        mean = np.add.reduceat(values, starts) / counts
        centred = np.where(finite, y - np.repeat(mean, lengths), 0.0)
        std = np.sqrt(np.add.reduceat(centred**2, starts) / counts)
        position = np.add.reduceat(np.asarray(x, np.float64), starts) / lengths
    low = np.fmin.reduceat(np.where(finite, y, np.nan), starts)
    high = np.fmax.reduceat(np.where(finite, y, np.nan), starts)
    return Windows(position, mean, std, low, high, size)


def window_means(values: np.ndarray, size: int) -> np.ndarray:
    """Return the mean of the finite values of each window, nan if there are none.

    Args:
      values: Values, `[n]`.
      size: Number of values of a window; the last one may have fewer.

    >>> window_means(np.array([1.0, 3.0, np.nan, 5.0, np.inf]), 2)
    array([ 2.,  5., nan])
    """
    starts = np.arange(0, len(values), size)
    finite = np.isfinite(values)
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts)
    with np.errstate(invalid="ignore"):  # a window without a finite value
        return sums / np.add.reduceat(finite.astype(np.float64), starts)


def _pick(
    values: np.ndarray, padding: float, size: int, pick: Callable[..., np.ndarray]
) -> np.ndarray:
    """Return the index that `pick` (argmin, argmax) selects in each window."""
    rows = -(-len(values) // size)
    padded = np.full(rows * size, padding, values.dtype)
    padded[: len(values)] = values
    picked = pick(padded.reshape(rows, size), axis=1)
    return np.minimum(picked + np.arange(rows) * size, len(values) - 1)
