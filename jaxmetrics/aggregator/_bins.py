"""Counts of numbers by magnitude, in bins with a relative width of 1/128 or less.

The bin of a positive float64 is its bit pattern without the last 45 bits: exponent and
7 bits of mantissa. Every power of two is divided into 128 bins of equal width, so the
middle of a bin is within 1/256 of every number in it. For example 1.0 to 2.0 has bins
of width 1/128, and 4.0 to 8.0 bins of width 4/128. No logarithm is taken, so every
machine computes the same bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxmetrics.record import states

_DROPPED_BITS = 45  # of the 52 bits of a mantissa
_BINS = 1 << (63 - _DROPPED_BITS)
_MAX_COUNT = (2**63 - 1) // (2 * _BINS)  # whose sum over all bins fits int64


class MagnitudeBins:
    """Counts of negative numbers, zeros and positive numbers, binned by magnitude."""

    def __init__(self) -> None:
        self.zeros = 0
        self._negative, self._positive = _BinRow(), _BinRow()

    def add(self, values: np.ndarray, low: float, high: float) -> None:
        """Count finite float64 values.

        Args:
          values: At least one value.
          low: Smallest of the values.
          high: Largest of the values.
        """
        if low > 0:
            self._positive.add(values, low, high)
        elif high < 0:
            self._negative.add(-values, -high, -low)
        else:
            for row, part in (
                (self._negative, -values[values < 0]),
                (self._positive, values[values > 0]),
            ):
                self.zeros -= part.size
                if part.size:
                    row.add(part, part.min(), part.max())
            self.zeros += values.size

    def merge(self, other: MagnitudeBins) -> None:
        """Add the counts of other bins."""
        self.zeros += other.zeros
        self._negative.add_counts(other._negative.first, other._negative.counts)
        self._positive.add_counts(other._positive.first, other._positive.counts)

    @property
    def total(self) -> int:
        """Number of numbers that were counted."""
        rows = self._negative.counts, self._positive.counts
        return self.zeros + sum(int(counts.sum()) for counts in rows)

    def at_ranks(self, ranks: np.ndarray) -> np.ndarray:
        """Return the middle of the bin of each rank; the smallest number has rank 1."""
        negative, positive = self._negative, self._positive
        middles = [-negative.middles()[::-1], [0.0], positive.middles()]
        counts = [negative.counts[::-1], [self.zeros], positive.counts]
        ends = np.cumsum(np.concatenate(counts))
        return np.concatenate(middles)[np.searchsorted(ends, ranks)]

    def state(self) -> dict[str, Any]:
        """Return the bins that are not empty, as arrays."""
        negative, positive = self._negative.state(), self._positive.state()
        return {"zeros": self.zeros, "below": negative, "above": positive}

    def load_state(self, state: object) -> None:
        """Replace the counts by those that `state` returned.

        Raises:
          TypeError: A field is of a wrong type.
          ValueError: A field is missing or not valid.
        """
        row = states.list_of(states.integers)
        saved = states.fields_of(zeros=states.count, below=row, above=row)(state)
        self.zeros = saved["zeros"]
        self._negative.load_state(*saved["below"])
        self._positive.load_state(*saved["above"])


class _BinRow:
    """Counts of positive numbers in consecutive bins.

    Attributes:
      first: Number of the first bin of the row.
      counts: Count of each bin, int64.
    """

    def __init__(self) -> None:
        self.first, self.counts = 0, np.zeros(0, np.int64)

    def add(self, values: np.ndarray, low: float, high: float) -> None:
        first, last = np.array([low, high]).view(np.int64) >> _DROPPED_BITS
        bins = (values.view(np.int64) >> _DROPPED_BITS) - first
        counts = np.bincount(bins, minlength=int(last - first) + 1)
        self.add_counts(int(first), counts)

    def add_counts(self, first: int, counts: np.ndarray) -> None:
        if not self.counts.size:
            self.first, self.counts = first, counts.astype(np.int64)
            return
        if not counts.size:
            return
        start = min(self.first, first)
        end = max(self.first + self.counts.size, first + counts.size)
        if end - start > self.counts.size:
            longer = np.zeros(end - start, np.int64)
            longer[self.first - start :][: self.counts.size] = self.counts
            self.first, self.counts = start, longer
        self.counts[first - start :][: counts.size] += counts

    def middles(self) -> np.ndarray:
        bins = np.arange(self.first, self.first + self.counts.size)
        half = 1 << (_DROPPED_BITS - 1)
        return ((bins << _DROPPED_BITS) + half).view(np.float64)

    def state(self) -> list[Any]:
        filled = np.flatnonzero(self.counts)
        counts = self.counts[filled]
        dtype = np.min_scalar_type(int(counts.max(initial=0)))
        # Distances between bins compress better than their numbers.
        gaps = np.diff(filled + self.first, prepend=0)
        parts = gaps.astype(np.int32), counts.astype(dtype)
        return [states.storable(part) for part in parts]

    def load_state(self, gaps: np.ndarray, counts: np.ndarray) -> None:
        if gaps.shape != counts.shape:
            raise ValueError(f"{gaps.size} bins have {counts.size} counts")
        if (gaps[1:] <= 0).any() or (gaps < 0).any() or (gaps >= _BINS).any():
            raise ValueError("its bins are not in ascending order")
        if (counts < 0).any() or (counts > _MAX_COUNT).any() or gaps.sum() >= _BINS:
            raise ValueError("a bin or a count is out of range")
        self.first, self.counts = 0, np.zeros(0, np.int64)
        if gaps.size:
            bins = np.cumsum(gaps)
            row = np.zeros(int(bins[-1] - bins[0]) + 1, np.int64)
            row[bins - bins[0]] = counts
            self.first, self.counts = int(bins[0]), row
