"""Sparklines: the shape of a growing series as one line of text, in bounded memory."""

from __future__ import annotations

import numpy as np

BARS = "▁▂▃▄▅▆▇█"
NOT_FINITE = "×"

_EQUAL = 1e-9  # relative difference up to which means are those of equal values
_CELLS = 128  # even, since cells are merged in pairs


class RunningMeans:
    """Means of at most 128 consecutive windows of a growing series.

    All windows but the last have the same number of values. When all cells are full,
    neighbors are merged and the size of the windows doubles.
    """

    def __init__(self) -> None:
        """Begin without values."""
        self._size = 1
        self._count = 0
        self._sums = np.zeros(_CELLS)
        self._finite = np.zeros(_CELLS, np.int64)

    def copy(self) -> RunningMeans:
        """Return a copy, to which values can be added on their own."""
        copy = RunningMeans()
        copy._size, copy._count = self._size, self._count
        copy._sums, copy._finite = self._sums.copy(), self._finite.copy()
        return copy

    def add(self, values: np.ndarray) -> None:
        """Add the next values, float64 `[n]`."""
        while len(values):
            room = _CELLS * self._size - self._count
            part, values = values[:room], values[room:]
            cells = (self._count + np.arange(len(part))) // self._size
            finite = np.isfinite(part)
            with np.errstate(over="ignore"):  # an infinite sum is shown as not finite
                self._sums += np.bincount(cells, np.where(finite, part, 0.0), _CELLS)
            self._finite += np.bincount(cells[finite], minlength=_CELLS)
            self._count += len(part)
            if self._count == _CELLS * self._size:
                self._merge_pairs()

    def means(self, cells: int) -> np.ndarray:
        """Return the means of at most `cells` windows.

        A window with a value that is not finite is nan.
        """
        used = -(-self._count // self._size)
        width = -(-used // cells) if used else 1
        starts = np.arange(0, used, width)
        if not used:
            return np.zeros(0)
        counts = np.diff(np.append(starts * self._size, self._count))
        finite = np.add.reduceat(self._finite[:used], starts)
        with np.errstate(all="ignore"):  # overflow, and windows without a finite value
            means = np.add.reduceat(self._sums[:used], starts) / finite
        return np.where((finite == counts) & np.isfinite(means), means, np.nan)

    def _merge_pairs(self) -> None:
        for cells in (self._sums, self._finite):
            half = _CELLS // 2
            with np.errstate(over="ignore"):
                cells[:half] = cells[::2] + cells[1::2]
            cells[half:] = 0
        self._size *= 2


def sparkline(means: np.ndarray) -> str:
    """Return a bar for each value, scaled from minimum to maximum; a cross for nan.

    >>> sparkline(np.array([1.0, 2.0, np.nan, 8.0])), sparkline(np.array([3.0, 3.0]))
    ('▁▂×█', '▄▄')
    """
    known = np.isfinite(means)
    if not known.any():
        return NOT_FINITE * len(means)
    low, high = means[known].min(), means[known].max()
    scale = high / 2 - low / 2  # halved, as the difference may overflow
    if scale > _EQUAL * max(abs(low), abs(high)):
        share = np.where(known, (means / 2 - low / 2) / scale, 0.0)
    else:
        share = np.full(len(means), 0.45)
    heights = np.rint(share * (len(BARS) - 1)).astype(int)
    return "".join(BARS[h] if k else NOT_FINITE for h, k in zip(heights, known))
