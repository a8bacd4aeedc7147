"""Sparklines: the shape of a growing series as one line of text, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BARS = "▁▂▃▄▅▆▇█"
NOT_FINITE = "×"

_EQUAL = 1e-9  # relative difference up to which means are those of equal values
_LOGARITHMIC = 10.0  # ratio of positive values from which they are shown by logarithm
_CELLS = 128  # even, since cells are merged in pairs


class RunningMeans:
    """Means of a growing series over at most 128 windows of equally many steps.

    A window begins at a multiple of its size, so that the windows of several series
    cover the same steps. When a step lies beyond the last window, neighbors are merged
    and the size doubles.
    """

    def __init__(self) -> None:
        """Begin without values."""
        self._size = 1
        self._first = 0  # the first window begins at step `_first * _size`
        self._sums = np.zeros(_CELLS)
        self._counts = np.zeros(_CELLS, np.int64)
        self._finite = np.zeros(_CELLS, np.int64)

    def copy(self) -> RunningMeans:
        """Return a copy, to which values can be added on their own."""
        copy = RunningMeans()
        copy._size, copy._first = self._size, self._first
        copy._sums = self._sums.copy()
        copy._counts, copy._finite = self._counts.copy(), self._finite.copy()
        return copy

    def add(self, steps: np.ndarray, values: np.ndarray) -> None:
        """Add values in any order.

        Args:
          steps: Step of each value, int64 `[n]`.
          values: The values, float64 `[n]`.
        """
        if not len(steps):
            return
        low, high = int(steps.min()), int(steps.max())
        first, last = low // self._size - self._first, high // self._size - self._first
        if not 0 <= first <= last < _CELLS:
            self._make_room(low, high)
        cells, finite = steps // self._size - self._first, np.isfinite(values)
        with np.errstate(over="ignore"):  # an infinite sum is shown as not finite
            self._sums += np.bincount(cells, np.where(finite, values, 0.0), _CELLS)
        self._counts += np.bincount(cells, minlength=_CELLS)
        self._finite += np.bincount(cells[finite], minlength=_CELLS)

    def extent(self) -> tuple[int, int] | None:
        """Return the first step of the first and of the last window that has values."""
        used = np.flatnonzero(self._counts)
        if not len(used):
            return None
        first, last = (self._first + used[[0, -1]]) * self._size
        return int(first), int(last)

    def means(self, parts: int) -> np.ma.MaskedArray:
        """Return the means over at most `parts` equal parts of the steps.

        A part with a value that is not finite is nan, one without values is masked.
        """
        extent = self.extent()
        if extent is None or parts < 1:
            return np.ma.zeros(0)
        return self._means(parts, *extent)

    def _means(self, parts: int, first: int, last: int) -> np.ma.MaskedArray:
        windows = last // self._size - first // self._size + 1
        parts = min(parts, windows)
        used = np.flatnonzero(self._counts)
        places = (self._first - first // self._size + used) * parts // windows
        counts = np.bincount(places, self._counts[used], parts)
        finite = np.bincount(places, self._finite[used], parts)
        with np.errstate(all="ignore"):  # overflow, and parts without a finite value
            means = np.bincount(places, self._sums[used], parts) / finite
        known = (finite == counts) & np.isfinite(means)
        return np.ma.array(np.where(known, means, np.nan), mask=counts == 0)

    def _make_room(self, low: int, high: int, size: int = 1) -> None:
        """Merge and move the windows, so that they cover two steps and all values."""
        if (extent := self.extent()) is not None:
            low, high = min(low, extent[0]), max(high, extent[1])
        size = max(self._size, size)
        while high // size - low // size >= _CELLS:
            size *= 2
        used = np.flatnonzero(self._counts)
        places = (self._first + used) * self._size // size - low // size
        for cells in (self._sums, self._counts, self._finite):
            with np.errstate(over="ignore"):
                merged = np.bincount(places, cells[used], _CELLS)
            cells[:] = merged
        self._size, self._first = size, low // size


def aligned(series: Sequence[RunningMeans], parts: int) -> list[np.ma.MaskedArray]:
    """Return the means of several series over the same parts of their common steps.

    Args:
      series: The series.
      parts: Largest number of parts; it is lowered to the windows that have values.
    """
    extents = [extent for one in series if (extent := one.extent()) is not None]
    if not extents or parts < 1:
        return [np.ma.zeros(0) for _ in series]
    firsts, lasts = zip(*extents)
    first, last = min(firsts), max(lasts)
    copies, size = [one.copy() for one in series], 1
    for one in copies:
        one._make_room(first, last)
        size = max(size, one._size)
    for one in copies:
        one._make_room(first, last, size)
    used = np.any([one._counts for one in copies], axis=0)
    parts = min(parts, int(np.count_nonzero(used)))
    return [one._means(parts, first, last) for one in copies]


def sparkline(means: np.ndarray) -> str:
    """Return a bar for each value, a cross for nan, and a space for a masked one.

    Bars are scaled from minimum to maximum; by logarithm if all are positive and the
    largest is more than ten times the smallest, as in a loss that falls.

    >>> sparkline(np.array([1.0, 2.0, np.nan, 8.0])), sparkline(np.array([3.0, 3.0]))
    ('▁▂×█', '▄▄')
    >>> sparkline(np.ma.array([1.0, 10.0, 100.0, 0.0], mask=[0, 0, 0, 1]))
    '▁▅█ '
    """
    shown = ~np.ma.getmaskarray(means)
    means = np.ma.getdata(means)
    known = shown & np.isfinite(means)
    heights = np.zeros(len(means), int)
    if known.any():
        heights[known] = _heights(means[known])
    bars = (BARS[h] if k else NOT_FINITE for h, k in zip(heights, known))
    return "".join(bar if s else " " for bar, s in zip(bars, shown))


def _heights(values: np.ndarray) -> np.ndarray:
    """Return the index of the bar of each finite value."""
    low, high = values.min(), values.max()
    if 0 < low < high / _LOGARITHMIC:
        values, low, high = np.log(values), np.log(low), np.log(high)
    scale = high / 2 - low / 2  # halved, as the difference may overflow
    if scale > _EQUAL * max(abs(low), abs(high)):
        share = (values / 2 - low / 2) / scale
    else:
        share = np.full(len(values), 0.45)
    return np.rint(share * (len(BARS) - 1)).astype(int)
