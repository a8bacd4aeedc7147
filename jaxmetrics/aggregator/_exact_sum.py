"""Sums that do not lose digits, however many values there are and however large."""

from __future__ import annotations

import math

import numpy as np

from jaxmetrics.record import states

_MAX_BITS = 1000  # beyond all sums of integers of 64 bits; floats have 1024


class ExactSum:
    """Exact sum of integers, plus a compensated float64 sum of floats.

    Args:
      integer: Sum of the integers, a Python int of any size.
      high: Sum of the floats, rounded.
      low: Rounding error of `high`.
    """

    def __init__(self, integer: int = 0, high: float = 0.0, low: float = 0.0) -> None:
        self._parts = integer, high, low

    def add(self, values: np.ndarray) -> None:
        """Add int64 or finite float64 values."""
        integer, high, low = self._parts
        if values.dtype == np.int64:
            self._parts = integer + _integer_sum(values), high, low
        else:
            with np.errstate(over="ignore"):
                total = float(np.add.reduce(values))
            self._parts = integer, *_pair_add(high, low, total)

    def add_integer(self, value: int) -> None:
        """Add one integer."""
        integer, high, low = self._parts
        self._parts = integer + value, high, low

    def merge(self, other: ExactSum) -> None:
        """Add another sum; to an empty one, without rounding it anew."""
        if not any(self._parts):
            self._parts = other._parts
            return
        integer, high, low = self._parts
        other_integer, other_high, other_low = other._parts
        high, low = _pair_add(high, low, other_high)
        self._parts = integer + other_integer, *_pair_add(high, low, other_low)

    def parts(self) -> list[float | str]:
        """Return the parts of the sum as strict JSON, for `from_parts`."""
        return [states.strict(part) for part in self._parts]

    @classmethod
    def from_parts(cls, parts: object) -> ExactSum:
        """Return the sum of what `parts` returned.

        Raises:
          TypeError: A part is not a number.
          ValueError: There are not three parts.
        """
        first, high, low = states.list_of(states.number)(parts)
        integer = states.integer(first)
        if integer.bit_length() > _MAX_BITS:
            raise ValueError(f"a sum has more than {_MAX_BITS} bits")
        return cls(integer, float(high), float(low))

    @property
    def value(self) -> float:
        """Sum as a float64, at most one unit in the last place from the exact one."""
        integer, high, low = self._parts
        return float(integer) + (high + low)


def _integer_sum(values: np.ndarray) -> int:
    """Return the sum of int64 values, beyond 64 bits if need be."""
    if not values.size:
        return 0
    smallest, largest = np.minimum.reduce(values), np.maximum.reduce(values)
    if max(-int(smallest), int(largest)) * values.size < 2**63:
        return int(np.add.reduce(values))
    # The halves of up to 2^31 values add up within 64 bits.
    low = int((values & 0xFFFFFFFF).sum())
    return (int((values >> 32).sum()) << 32) + low


def _pair_add(high: float, low: float, value: float) -> tuple[float, float]:
    """Return `high + low + value` as a pair, by Knuth's two-sum."""
    total = high + value
    if not math.isfinite(total):
        return total, 0.0
    part = total - high
    return total, low + ((high - (total - part)) + (value - part))
