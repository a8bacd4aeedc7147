"""Sums that do not depend on how many values there are, nor how large they are."""

from __future__ import annotations

import math

import numpy as np


class ExactSum:
    """A sum of integers without bound, and of floats in a compensated pair."""

    def __init__(self, whole: int = 0, high: float = 0.0, low: float = 0.0) -> None:
        self._parts = whole, high, low

    def add(self, values: np.ndarray) -> None:
        """Add int64 or finite float64 values."""
        whole, high, low = self._parts
        if values.dtype == np.int64:
            self._parts = whole + _integer_sum(values), high, low
        else:
            with np.errstate(over="ignore"):
                total = float(np.add.reduce(values))
            self._parts = whole, *_pair_add(high, low, total)

    def count(self, more: int) -> None:
        """Add one integer."""
        whole, high, low = self._parts
        self._parts = whole + more, high, low

    def merge(self, other: ExactSum) -> None:
        """Add another sum."""
        (whole, high, low), (more, its_high, its_low) = self._parts, other._parts
        high, low = _pair_add(high, low, its_high)
        self._parts = whole + more, *_pair_add(high, low, its_low)

    def parts(self) -> list[float]:
        """What makes the sum again: `ExactSum(*parts)`."""
        return list(self._parts)

    @property
    def value(self) -> float:
        """The sum, to the nearest float64 or the one beside it."""
        whole, high, low = self._parts
        return float(whole) + (high + low)


def _integer_sum(values: np.ndarray) -> int:
    """The sum of int64 values, whatever its size."""
    if not values.size:
        return 0
    lowest, highest = np.minimum.reduce(values), np.maximum.reduce(values)
    if max(-int(lowest), int(highest)) * values.size < 2**63:
        return int(np.add.reduce(values))
    low = int((values & 0xFFFFFFFF).sum())
    return (int((values >> 32).sum()) << 32) + low


def _pair_add(high: float, low: float, more: float) -> tuple[float, float]:
    """`high + low + more` as a pair, by Knuth's two-sum."""
    total = high + more
    if not math.isfinite(total):
        return total, 0.0
    part = total - high
    return total, low + ((high - (total - part)) + (more - part))
