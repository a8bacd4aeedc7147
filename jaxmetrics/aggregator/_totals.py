"""Totals of one metric of one dataset: sums, means and extremes."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from jaxmetrics.aggregator._exact_sum import ExactSum
from jaxmetrics.aggregator._inputs import as_numbers, as_weights, split_finite
from jaxmetrics.record import states


class Total(abc.ABC):
    """Total of one metric of one dataset on one process, updated in place.

    An update calls `read`, which checks the values and changes nothing, and then
    `add`, which does not fail.
    """

    continues: ClassVar[bool] = True
    """True if later values may be added to a restored total itself.

    If not, they get a total of their own, and the two are merged for the results.
    """

    agg_type: str = ""
    """Aggregation type of the total."""

    @property
    def weighted(self) -> bool:
        """True if `add` uses weights."""
        return False

    def read(self, where: str, values: Any, weights: Any) -> tuple[Any, Any]:
        """Return values and weights as `add` takes them.

        Args:
          where: Subject of the error.
          values: Values from the user, without those that are masked out.
          weights: Weights in the shape of the values, or None.

        Raises:
          TypeError: Values are of a wrong type.
          ValueError: Values are out of range, or weights are not used.
        """
        if weights is not None and not self.weighted:
            raise ValueError(
                f"{where} got weights; only MEAN and metrics registered with "
                "weighted=True take them. Leave them out, or register such a metric."
            )
        return as_numbers(where, values), weights

    @abc.abstractmethod
    def add(self, values: Any, weights: Any) -> None:
        """Add values that `read` returned."""

    @abc.abstractmethod
    def merge(self, later: Any) -> None:
        """Add a total of later values."""

    def join(self, other: Any) -> None:
        """Add a total of values of the same time on another process."""
        self.merge(other)

    @abc.abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the total as plain Python values and NumPy arrays."""

    @abc.abstractmethod
    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace the total by one that `state` returned.

        Raises:
          TypeError: A field is of a wrong type.
          ValueError: A field is missing or not valid.
        """

    @abc.abstractmethod
    def results(self, name: str) -> dict[str, Any]:
        """Return the values to log by name, for the metric `name`."""


class SumTotal(Total):
    """Sum of the values, and mean per observation."""

    def __init__(self) -> None:
        self.sum, self.count, self.nonfinite = ExactSum(), 0, 0

    def add(self, values: np.ndarray, weights: Any) -> None:
        """Add the finite values."""
        values, nonfinite, _ = split_finite(values)
        self.sum.add(values)
        self.count += values.size
        self.nonfinite += nonfinite

    def merge(self, later: SumTotal) -> None:
        """Add a total of later values."""
        self.sum.merge(later.sum)
        self.count += later.count
        self.nonfinite += later.nonfinite

    def state(self) -> dict[str, Any]:
        """Return sum and counts."""
        counts = {"count": self.count, "nonfinite": self.nonfinite}
        return {"sum": self.sum.parts(), **counts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace sum and counts."""
        saved = states.fields_of(
            sum=ExactSum.from_parts, count=states.count, nonfinite=states.count
        )(state)
        self.sum, self.count = saved["sum"], saved["count"]
        self.nonfinite = saved["nonfinite"]

    def results(self, name: str) -> dict[str, Any]:
        """Return the sum, and the mean per observation: nan without observations."""
        total = self.sum.value
        mean = total / self.count if self.count else math.nan
        return {name: total, f"avg_{name}": mean} | nonfinite_result(
            name, self.nonfinite
        )


class MeanTotal(Total):
    """Weighted mean of the values."""

    @property
    def weighted(self) -> bool:
        """True: `add` uses weights."""
        return True

    def __init__(self) -> None:
        self.sum, self.weight, self.nonfinite = ExactSum(), ExactSum(), 0

    def read(self, where: str, values: Any, weights: Any) -> tuple[Any, Any]:
        """Return values, and weights that are finite and not negative."""
        values = as_numbers(where, values)
        return values, None if weights is None else as_weights(where, values, weights)

    def add(self, values: np.ndarray, weights: np.ndarray | None) -> None:
        """Add the finite values with their weights, by default 1.

        A weight of 0 removes a value, also one that is not finite.
        """
        if weights is not None and not (used := weights != 0).all():
            values, weights = values[used], weights[used]
        values, nonfinite, weights = split_finite(values, weights)
        if weights is None:
            self.weight.add_integer(values.size)
        else:
            self.weight.add(weights)
            with np.errstate(over="ignore"):
                values = values.astype(np.float64) * weights
        self.sum.add(values)
        self.nonfinite += nonfinite

    def merge(self, later: MeanTotal) -> None:
        """Add a total of later values."""
        self.sum.merge(later.sum)
        self.weight.merge(later.weight)
        self.nonfinite += later.nonfinite

    def state(self) -> dict[str, Any]:
        """Return the weighted sum, the sum of weights and the count."""
        counts = {"weight": self.weight.parts(), "nonfinite": self.nonfinite}
        return {"sum": self.sum.parts(), **counts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace sums and count."""
        saved = states.fields_of(
            sum=ExactSum.from_parts,
            weight=ExactSum.from_parts,
            nonfinite=states.count,
        )(state)
        self.sum, self.weight = saved["sum"], saved["weight"]
        self.nonfinite = saved["nonfinite"]

    def results(self, name: str) -> dict[str, Any]:
        """Return the mean: nan if the weights add up to 0."""
        weight = self.weight.value
        mean = self.sum.value / weight if weight else math.nan
        return {name: mean} | nonfinite_result(name, self.nonfinite)


class MaxTotal(Total):
    """Largest value."""

    better = staticmethod(max)
    of_array = staticmethod(np.max)

    def __init__(self) -> None:
        self.best: float | None = None
        self.nonfinite = 0

    def add(self, values: np.ndarray, weights: Any) -> None:
        """Add the finite values."""
        values, nonfinite, _ = split_finite(values)
        self.nonfinite += nonfinite
        if values.size:
            self._add_one(self.of_array(values).item())

    def merge(self, later: MaxTotal) -> None:
        """Add a total of later values."""
        self.nonfinite += later.nonfinite
        if later.best is not None:
            self._add_one(later.best)

    def state(self) -> dict[str, Any]:
        """Return the extreme and the count."""
        best = None if self.best is None else states.strict(self.best)
        return {"best": best, "nonfinite": self.nonfinite}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace the extreme and the count."""
        read = states.fields_of(best=_number_or_none, nonfinite=states.count)
        saved = read({"best": None, **state})
        self.best, self.nonfinite = saved["best"], saved["nonfinite"]

    def results(self, name: str) -> dict[str, Any]:
        """Return the extreme: nan without values."""
        best = math.nan if self.best is None else float(self.best)
        return {name: best} | nonfinite_result(name, self.nonfinite)

    def _add_one(self, value: float) -> None:
        self.best = value if self.best is None else self.better(self.best, value)


class MinTotal(MaxTotal):
    """Smallest value."""

    better = staticmethod(min)
    of_array = staticmethod(np.min)


def _number_or_none(value: object) -> float | None:
    return None if value is None else states.number(value)


def nonfinite_result(name: str, nonfinite: int) -> dict[str, float]:
    """Return the number of values that were not finite, nothing if it is 0."""
    return {f"{name}_nonfinite": float(nonfinite)} if nonfinite else {}
