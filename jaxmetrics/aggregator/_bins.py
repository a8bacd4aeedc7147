"""Counts of numbers by magnitude: float64 without its last 45 bits of mantissa.

An octave has 128 bins of one width, so that the middle of a bin is within 1/256 of
every number in it. No logarithm is taken: every machine finds the same bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

RELATIVE_ERROR = 2.0**-8
"""How far the middle of a bin may lie from a number in it, as a part of the number."""

_CUT = 45  # of the 52 bits of a mantissa, 7 stay


class Bins:
    """How many numbers were below zero, zero and above it, the others by magnitude."""

    def __init__(self) -> None:
        self.zeros = 0
        self._below, self._above = _Side(), _Side()

    def add(self, values: np.ndarray, low: float, high: float) -> None:
        """Count finite float64 values, of which the least and the largest are known."""
        if low > 0:
            self._above.add(values, low, high)
        elif high < 0:
            self._below.add(-values, -high, -low)
        else:
            for side, part in (
                (self._below, -values[values < 0]),
                (self._above, values[values > 0]),
            ):
                self.zeros -= part.size
                if part.size:
                    side.add(part, part.min(), part.max())
            self.zeros += values.size

    def merge(self, other: Bins) -> None:
        """Add the counts of another."""
        self.zeros += other.zeros
        self._below.put(other._below.first, other._below.counts)
        self._above.put(other._above.first, other._above.counts)

    def ranked(self, ranks: np.ndarray) -> np.ndarray:
        """The middle of the bin that holds the number of each rank, 1 for the least."""
        below, above = self._below, self._above
        told = np.concatenate([-below.middles()[::-1], [0.0], above.middles()])
        counts = np.concatenate([below.counts[::-1], [self.zeros], above.counts])
        return told[np.searchsorted(np.cumsum(counts), ranks)]

    def state(self) -> dict[str, Any]:
        """The bins that are not empty, as arrays."""
        below, above = self._below.state(), self._above.state()
        return {"zeros": self.zeros, "below": below, "above": above}

    def load(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.zeros = state["zeros"]
        self._below.load(*state["below"])
        self._above.load(*state["above"])


class _Side:
    """Counts of positive numbers in a row of bins, the first of which has a number."""

    def __init__(self) -> None:
        self.first, self.counts = 0, np.zeros(0, np.int64)

    def add(self, values: np.ndarray, low: float, high: float) -> None:
        first, last = np.array([low, high]).view(np.int64) >> _CUT
        places = (values.view(np.int64) >> _CUT) - first
        self.put(int(first), np.bincount(places, minlength=int(last - first) + 1))

    def put(self, first: int, counts: np.ndarray) -> None:
        if not self.counts.size:
            self.first, self.counts = first, counts.astype(np.int64)
            return
        if not counts.size:
            return
        start = min(self.first, first)
        end = max(self.first + self.counts.size, first + counts.size)
        if end - start > self.counts.size:
            wider = np.zeros(end - start, np.int64)
            wider[self.first - start :][: self.counts.size] = self.counts
            self.first, self.counts = start, wider
        self.counts[first - start :][: counts.size] += counts

    def middles(self) -> np.ndarray:
        bins = np.arange(self.first, self.first + self.counts.size)
        return ((bins << _CUT) + (1 << (_CUT - 1))).view(np.float64)

    def state(self) -> list[np.ndarray]:
        found = np.flatnonzero(self.counts)
        counts = self.counts[found]
        narrow = np.min_scalar_type(int(counts.max(initial=0)))
        gaps = np.diff(found + self.first, prepend=0)  # small ones, for compression
        return [gaps.astype(np.int32), counts.astype(narrow)]

    def load(self, gaps: np.ndarray, counts: np.ndarray) -> None:
        self.first, self.counts = 0, np.zeros(0, np.int64)
        if gaps.size:
            bins = np.cumsum(gaps)
            row = np.zeros(int(bins[-1] - bins[0]) + 1, np.int64)
            row[bins - bins[0]] = counts
            self.first, self.counts = int(bins[0]), row
