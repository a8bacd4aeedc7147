"""The course of a series as one line of text, in bounded memory."""

from __future__ import annotations

import numpy as np

BARS = "▁▂▃▄▅▆▇█"
NOT_FINITE = "×"

_CELLS = 128  # even, since they are joined in pairs


class Course:
    """The means of consecutive stretches of a series that goes on.

    All stretches have as many values, but the last; there are at most 128. A value that
    is not finite marks its stretch.
    """

    def __init__(self) -> None:
        """Begin without values."""
        self._size = 1
        self._taken = 0
        self._sums = np.zeros(_CELLS)
        self._finite = np.zeros(_CELLS, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Take the next values, float64 `[n]`."""
        while len(values):
            room = _CELLS * self._size - self._taken
            part, values = values[:room], values[room:]
            at = (self._taken + np.arange(len(part))) // self._size
            finite = np.isfinite(part)
            with np.errstate(over="ignore"):  # infinite, it is shown as not finite
                self._sums += np.bincount(at, np.where(finite, part, 0.0), _CELLS)
            self._finite += np.bincount(at[finite], minlength=_CELLS)
            self._taken += len(part)
            if self._taken == _CELLS * self._size:
                self._join_pairs()

    def means(self, cells: int) -> np.ndarray:
        """The course in at most `cells` parts: nan where something is not finite."""
        used = -(-self._taken // self._size)
        wide = -(-used // cells) if used else 1
        starts = np.arange(0, used, wide)
        if not used:
            return np.zeros(0)
        taken = np.diff(np.append(starts * self._size, self._taken))
        finite = np.add.reduceat(self._finite[:used], starts)
        with np.errstate(all="ignore"):  # of large values, or of none
            means = np.add.reduceat(self._sums[:used], starts) / finite
        return np.where((finite == taken) & np.isfinite(means), means, np.nan)

    def _join_pairs(self) -> None:
        for cells in (self._sums, self._finite):
            half = _CELLS // 2
            with np.errstate(over="ignore"):
                cells[:half] = cells[::2] + cells[1::2]
            cells[half:] = 0
        self._size *= 2


def sparkline(means: np.ndarray) -> str:
    """A bar for each value, from the least to the greatest; a cross where one is nan.

    >>> sparkline(np.array([1.0, 2.0, np.nan, 8.0])), sparkline(np.array([3.0, 3.0]))
    ('▁▂×█', '▄▄')
    """
    known = np.isfinite(means)
    if not known.any():
        return NOT_FINITE * len(means)
    low, high = means[known].min(), means[known].max()
    scale = high / 2 - low / 2  # the difference itself may be too large for a float
    if scale > 0:
        share = np.where(known, (means / 2 - low / 2) / scale, 0.0)
    else:
        share = np.full(len(means), 0.45)
    heights = np.rint(share * (len(BARS) - 1)).astype(int)
    return "".join(BARS[h] if k else NOT_FINITE for h, k in zip(heights, known))
