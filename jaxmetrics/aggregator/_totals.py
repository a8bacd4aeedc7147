"""What one metric of one dataset has come to: sums, means and extremes."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.aggregator._exact_sum import ExactSum
from jaxmetrics.aggregator._values import finite, numbers, weights_of


class Total(abc.ABC):
    """The total of one metric of one dataset on one process; `add` changes it.

    What fails, fails in `read`, which changes nothing.
    """

    agg_type: str = ""
    """The type that it is the total of."""

    @property
    def weighted(self) -> bool:
        """Whether it takes weights."""
        return False

    def read(self, where: str, values: Any, weights: Any) -> tuple[Any, Any]:
        """The values and weights as `add` takes them.

        Args:
          where: What they belong to, for the error.
          values: What the user gave, its masked entries left out.
          weights: Of the same shape, or None.

        Raises:
          TypeError, ValueError: They are no values of this kind.
        """
        if weights is not None and not self.weighted:
            raise ValueError(
                f"{where} got weights; only MEAN and metrics registered with "
                "weighted=True take them. Leave them out, or register such a metric."
            )
        return numbers(where, values), weights

    @abc.abstractmethod
    def add(self, values: Any, weights: Any) -> None:
        """Take in values that `read` has returned."""

    @abc.abstractmethod
    def merge(self, later: Any) -> None:
        """Take in what came after."""

    def join(self, other: Any) -> None:
        """Take in what came at the same time on another process."""
        self.merge(other)

    @abc.abstractmethod
    def state(self) -> dict[str, Any]:
        """The total as plain Python values and NumPy arrays."""

    @abc.abstractmethod
    def load(self, state: Mapping[str, Any]) -> None:
        """Become the total that `state` returned."""

    @abc.abstractmethod
    def results(self, name: str) -> dict[str, Any]:
        """The values to log, by name."""


class Sum(Total):
    """The total, and the mean of an observation."""

    def __init__(self) -> None:
        self.sum, self.count, self.nonfinite = ExactSum(), 0, 0

    def add(self, values: np.ndarray, weights: Any) -> None:
        """Take in the finite values."""
        values, dropped, _ = finite(values)
        self.sum.add(values)
        self.count += values.size
        self.nonfinite += dropped

    def merge(self, later: Any) -> None:
        """Take in what came after."""
        self.sum.merge(later.sum)
        self.count += later.count
        self.nonfinite += later.nonfinite

    def state(self) -> dict[str, Any]:
        """Plain numbers."""
        kept = {"count": self.count, "nonfinite": self.nonfinite}
        return {"sum": self.sum.parts(), **kept}

    def load(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self.sum = ExactSum(*state["sum"])
        self.count, self.nonfinite = state["count"], state["nonfinite"]

    def results(self, name: str) -> dict[str, Any]:
        """The total, and the mean of an observation; nan of nothing."""
        total = self.sum.value
        mean = total / self.count if self.count else math.nan
        return {name: total, f"avg_{name}": mean, **bad(name, self.nonfinite)}


class Mean(Total):
    """The mean, by weight."""

    @property
    def weighted(self) -> bool:
        """It does."""
        return True

    def __init__(self) -> None:
        self.sum, self.weight, self.nonfinite = ExactSum(), ExactSum(), 0

    def read(self, where: str, values: Any, weights: Any) -> tuple[Any, Any]:
        """Values, and weights that are finite and not negative."""
        read = numbers(where, values)
        return read, None if weights is None else weights_of(where, read, weights)

    def add(self, values: np.ndarray, weights: np.ndarray | None) -> None:
        """Take in the finite values, with their weights."""
        values, dropped, weights = finite(values, weights)
        if weights is None:
            self.weight.count(values.size)
        else:
            self.weight.add(weights)
            with np.errstate(over="ignore"):
                values = values.astype(np.float64) * weights
        self.sum.add(values)
        self.nonfinite += dropped

    def merge(self, later: Any) -> None:
        """Take in what came after."""
        self.sum.merge(later.sum)
        self.weight.merge(later.weight)
        self.nonfinite += later.nonfinite

    def state(self) -> dict[str, Any]:
        """Plain numbers."""
        kept = {"weight": self.weight.parts(), "nonfinite": self.nonfinite}
        return {"sum": self.sum.parts(), **kept}

    def load(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self.sum, self.weight = ExactSum(*state["sum"]), ExactSum(*state["weight"])
        self.nonfinite = state["nonfinite"]

    def results(self, name: str) -> dict[str, Any]:
        """The mean; nan of no weight."""
        weight = self.weight.value
        mean = self.sum.value / weight if weight else math.nan
        return {name: mean, **bad(name, self.nonfinite)}


class Max(Total):
    """The largest value."""

    pick = staticmethod(max)
    of = staticmethod(np.max)

    def __init__(self) -> None:
        self.best: float | None = None
        self.nonfinite = 0

    def add(self, values: np.ndarray, weights: Any) -> None:
        """Take in the finite values."""
        values, dropped, _ = finite(values)
        self.nonfinite += dropped
        if values.size:
            self._take(self.of(values).item())

    def merge(self, later: Any) -> None:
        """Take in what came after."""
        self.nonfinite += later.nonfinite
        if later.best is not None:
            self._take(later.best)

    def state(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"best": self.best, "nonfinite": self.nonfinite}

    def load(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self.best, self.nonfinite = state["best"], state["nonfinite"]

    def results(self, name: str) -> dict[str, Any]:
        """The extreme; nan of nothing."""
        best = math.nan if self.best is None else float(self.best)
        return {name: best, **bad(name, self.nonfinite)}

    def _take(self, value: float) -> None:
        self.best = value if self.best is None else self.pick(self.best, value)


class Min(Max):
    """The smallest value."""

    pick = staticmethod(min)
    of = staticmethod(np.min)


def bad(name: str, nonfinite: int) -> dict[str, float]:
    """The count of values that were not finite, where there were some."""
    return {f"{name}_nonfinite": float(nonfinite)} if nonfinite else {}
