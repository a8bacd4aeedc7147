"""Level of a noisy series at its end: a median, which one lucky batch does not move."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.record._json import number

_SHARE = 0.05
_MIN_RECORDS, _MAX_RECORDS = 10, 200


class Recent(NamedTuple):
    """Level of a series at its end.

    Attributes:
      median: Median of the finite values of the last records; nan if most of them are
        not finite.
      start: x of the first of these records.
      end: x of the last one.
      steps: Number of steps that they stand for.
    """

    median: float
    start: int
    end: int
    steps: int


def recent_level(x: np.ndarray, y: np.ndarray) -> Recent | None:
    """Return the median of the last 5 % of the steps; None without records.

    At least the last 10 and at most the last 200 records count.

    Args:
      x: Steps of the records, ascending, `[n]`.
      y: Values, `[n]`.

    >>> recent_level(np.arange(1, 301), np.arange(300.0))
    Recent(median=292.0, start=286, end=300, steps=15)
    """
    if not len(y):
        return None
    count = _count(int(np.sum(x > _edge(x[0], x[-1]))))
    x, y = x[-count:], y[-count:]
    finite = y[np.isfinite(y)]
    median = float(np.median(finite)) if 2 * len(finite) >= len(y) else np.nan
    spacing = int(np.median(np.diff(x))) if len(x) > 1 else 1
    start, end = int(x[0]), int(x[-1])
    return Recent(median, start, end, end - start + spacing)


class RecentValues:
    """The last values of a key by step, of which `level` is the `recent_level`.

    Rows may come in any order and more than once; of several values of a step the last
    one counts. Of the steps from `floor` on all values are known. For example, if 200
    values are held and the rows after step 900 are removed, less than 200 are left, and
    the level is unknown until enough rows have followed.
    """

    def __init__(self, floor: int | None = None) -> None:
        """Begin without values.

        Args:
          floor: First step of which all values will be added; None for all steps. With
            a floor the first step of the series is unknown.
        """
        self._floor = -math.inf if floor is None else floor
        self._first = math.inf if floor is None else -math.inf
        self._steps: list[int] = []
        self._values: list[float] = []

    def add(self, step: int, value: float) -> None:
        """Add the value of a step."""
        steps, values = self._steps, self._values
        if step < self._first:
            self._first = step
        if not steps or step > steps[-1]:
            if step < self._floor:
                return
            steps.append(step)
            values.append(value)
        elif step >= self._floor:
            index = bisect_left(steps, step)
            if steps[index] == step:
                values[index] = value
                return
            steps.insert(index, step)
            values.insert(index, value)
        if len(steps) > _MAX_RECORDS:
            self._floor = steps.pop(0) + 1
            del values[0]

    @property
    def is_known(self) -> bool:
        """True if the level is known, also if there are no values."""
        if self._floor <= self._first:
            return True
        if len(self._steps) < _MIN_RECORDS or math.isinf(self._first):
            return False
        is_full = len(self._steps) >= _MAX_RECORDS
        return is_full or _edge(self._first, self._steps[-1]) >= self._floor - 1

    def level(self) -> float | None:
        """Return the median of the last values; None without any, or if unknown."""
        if not (self._steps and self.is_known):
            return None
        # As `recent_level`, but faster for the few values of each of very many runs.
        edge = _edge(self._first, self._steps[-1])
        last = self._values[
            -_count(len(self._steps) - bisect_right(self._steps, edge)) :
        ]
        finite = sorted(filter(math.isfinite, last))
        if 2 * len(finite) < len(last):
            return math.nan
        middle = len(finite) // 2
        return (finite[middle] + finite[-1 - middle]) / 2

    def cut_after(self, step: int) -> None:
        """Forget the values of later steps, which were removed from the record."""
        count = bisect_left(self._steps, step + 1)
        del self._steps[count:], self._values[count:]
        self._floor = min(self._floor, step + 1)
        if self._first > step:  # nothing is left
            self._first, self._floor = math.inf, -math.inf

    def make_unknown(self, high: int) -> None:
        """Forget all values: any up to a step may have been removed from the record."""
        self._steps, self._values, self._floor = [], [], high + 1

    def state(self) -> dict[str, Any]:
        """Return plain values.

        The `floor` is None if all values were added; the `first` step is None without
        values, or, with a `floor`, if it is unknown.
        """
        return {
            "floor": self._floor if math.isfinite(self._floor) else None,
            "first": self._first if math.isfinite(self._first) else None,
            "steps": list(self._steps),
            "values": list(self._values),
        }

    @classmethod
    def from_state(cls, state: object) -> RecentValues | None:
        """Return the values of a state; None if it is not one."""
        if not isinstance(state, Mapping):
            return None
        steps, values = state.get("steps"), state.get("values")
        floor, first = state.get("floor"), state.get("first")
        if not isinstance(steps, list) or not isinstance(values, list):
            return None
        if str in set(map(type, values)):
            values = [number(value) for value in values]
        is_valid = (
            len(steps) == len(values) <= _MAX_RECORDS
            and set(map(type, steps)) <= {int}
            and set(map(type, values)) <= {int, float, bool}
            and {type(floor), type(first)} <= {int, type(None)}
            and steps == sorted(set(steps))
        )
        if not is_valid:
            return None
        recent = cls(floor)
        if first is not None:
            recent._first = first
        recent._steps, recent._values = list(steps), list(values)
        return recent


def _count(inside: int) -> int:
    """Return how many records make a level, if so many are after the edge."""
    return min(max(inside, _MIN_RECORDS), _MAX_RECORDS)


def _edge(first: float, last: float) -> float:
    """Return the step after which the last share of the steps lies."""
    return last - _SHARE * (last - first)
