"""Long series made short enough to draw, with their extremes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Windows(NamedTuple):
    """Statistics of consecutive windows of a series, each `[windows]`.

    Attributes:
      x: The mean place of a window.
      mean: Over its finite values, as are the next three; nan without any.
      std: Not corrected.
      low: The least.
      high: The greatest.
      size: How many values a window has; the last one may have fewer.
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
    """The points of a series that a picture of it needs.

    The series is cut into windows of as many points; of each the least and the greatest
    value stay, and the first that is not finite. So every spike and every gap is seen,
    and nothing is drawn that was not there. Both ends stay too.

    Args:
      x: Ascending, `[n]`.
      y: `[n]`.
      points: At most so many stay, at least 5.

    Returns:
      Some of the points, in order; all of them when there are not more than `points`.

    >>> x = np.arange(1_000_000)
    >>> y = np.where(x == 123_456, 9.0, np.sin(x))
    >>> xs, ys = downsample(x, y, points=1000)
    >>> len(xs) <= 1000, float(ys.max()), int(xs[ys.argmax()])
    (True, 9.0, 123456)
    """
    count = len(y)
    if count <= points:
        return x, y
    rows = max((points - 2) // 3, 1)
    size = -(-count // rows)
    finite = np.isfinite(y)
    low = _pick(np.where(finite, y, np.inf), np.inf, size, np.argmin)
    high = _pick(np.where(finite, y, -np.inf), -np.inf, size, np.argmax)
    bad = _pick(~finite, False, size, np.argmax)
    kept = [low[finite[low]], high[finite[high]], bad[~finite[bad]], [0, count - 1]]
    at = np.unique(np.concatenate(kept).astype(np.int64))
    return x[at], y[at]


def windows(x: np.ndarray, y: np.ndarray, most: int = 200) -> Windows:
    """A series as at most `most` windows of as many values each.

    Args:
      x: Ascending, `[n]`.
      y: `[n]`.
      most: How many windows there are at most.
    """
    size = max(-(-len(y) // most), 1)
    starts = np.arange(0, len(y), size)
    if len(y) == 0:
        nothing = np.zeros(0)
        return Windows(nothing, nothing, nothing, nothing, nothing, size)
    finite = np.isfinite(y)
    counts = np.add.reduceat(finite.astype(np.float64), starts)
    lengths = np.diff(np.append(starts, len(y)))
    with np.errstate(all="ignore"):  # a window without a finite value has no mean
        values = np.where(finite, y, 0.0)
        mean = np.add.reduceat(values, starts) / counts
        centred = np.where(finite, y - np.repeat(mean, lengths), 0.0)
        std = np.sqrt(np.add.reduceat(centred**2, starts) / counts)
        place = np.add.reduceat(np.asarray(x, np.float64), starts) / lengths
    low = np.fmin.reduceat(np.where(finite, y, np.nan), starts)
    high = np.fmax.reduceat(np.where(finite, y, np.nan), starts)
    return Windows(place, mean, std, low, high, size)


def _pick(
    values: np.ndarray, fill: float, size: int, pick: Callable[..., np.ndarray]
) -> np.ndarray:
    """The place that `pick` finds in each window of `size` values."""
    rows = -(-len(values) // size)
    padded = np.full(rows * size, fill, values.dtype)
    padded[: len(values)] = values
    found = pick(padded.reshape(rows, size), axis=1)
    return np.minimum(found + np.arange(rows) * size, len(values) - 1)
