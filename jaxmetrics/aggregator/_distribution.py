"""The distribution of a metric: exact while small, then in bins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.aggregator._bins import Bins
from jaxmetrics.aggregator._exact_sum import ExactSum
from jaxmetrics.aggregator._totals import Total, bad
from jaxmetrics.aggregator._values import finite

EXACT = 1024
"""Up to how many values percentiles are exact."""

_PERCENTS = (5, 50, 95, 99)
_PIECE = 8192


class Distribution(Total):
    """Mean, extremes, percentiles and standard deviation of all values.

    Mean, minimum, maximum and standard deviation are those of all values, in float64.
    A percentile is a value that was seen (as NumPy's `inverted_cdf`), exact of up to
    1,024 values and then within 1/256 of it; zeros and negative values included. What
    comes out does not depend on how the values were split over updates and processes.
    """

    def __init__(self) -> None:
        self.sum, self.count, self.nonfinite = ExactSum(), 0, 0
        self.squares = 0.0  # of deviations from the mean
        self.low, self.high = math.inf, -math.inf
        self.kept: np.ndarray | None = np.zeros(0)  # all values, while they are few
        self.bins = Bins()
        self._recent: list[np.ndarray] = []
        self._waiting = 0

    def add(self, values: np.ndarray, weights: Any) -> None:
        """Keep few values for later, take many in at once."""
        self._waiting += values.size
        if self._waiting < _PIECE:
            self._recent.append(values.copy())
        else:
            self._recent.append(values)
            self._settle()

    def merge(self, later: Any) -> None:
        """Add the counts."""
        self._settle()
        later._settle()
        self.nonfinite += later.nonfinite
        if not later.count:
            return
        self._moments(later.count, later.sum, later.squares)
        self.low, self.high = min(self.low, later.low), max(self.high, later.high)
        if later.kept is not None:
            self._place(later.kept, later.low, later.high)
        else:
            self._bin_kept()
            self.bins.merge(later.bins)

    def state(self) -> dict[str, Any]:
        """Few values as they are, many as bins and their counts."""
        self._settle()
        many = self.kept is None
        return {
            "sum": self.sum.parts(),
            "count": self.count,
            "nonfinite": self.nonfinite,
            "squares": self.squares,
            "range": [self.low, self.high],
            **({"bins": self.bins.state()} if many else {"values": self.kept}),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self.sum = ExactSum(*state["sum"])
        self.count, self.nonfinite = state["count"], state["nonfinite"]
        self.squares, (self.low, self.high) = state["squares"], state["range"]
        self.kept, self.bins = state.get("values"), Bins()
        if self.kept is None:
            self.bins.load(state["bins"])

    def results(self, name: str) -> dict[str, Any]:
        """The statistics; nan of nothing."""
        self._settle()
        found = dict.fromkeys(("mean", "min", "max"), math.nan)
        found |= {f"p{percent:02}": math.nan for percent in _PERCENTS}
        found |= {"std": math.nan}
        if self.count:
            found["mean"] = self.sum.value / self.count
            found["min"], found["max"] = self.low, self.high
            found |= zip([f"p{p:02}" for p in _PERCENTS], self._percentiles())
            found["std"] = math.sqrt(self.squares / self.count)
        values = {f"{name}_stat_{what}": value for what, value in found.items()}
        return {**values, **bad(name, self.nonfinite)}

    def _percentiles(self) -> list[float]:
        ranks = np.array([-(-p * self.count // 100) for p in _PERCENTS])
        if self.kept is not None:
            return np.sort(self.kept)[ranks - 1].tolist()
        return np.clip(self.bins.ranked(ranks), self.low, self.high).tolist()

    def _settle(self) -> None:
        """Take in what waits, in pieces that a cache holds."""
        if not self._recent:
            return
        recent, self._recent, self._waiting = self._recent, [], 0
        values, dropped, _ = finite(
            recent[0] if len(recent) == 1 else np.concatenate(recent)
        )
        self.nonfinite += dropped
        for start in range(0, values.size, _PIECE):
            self._take(values[start : start + _PIECE])

    def _take(self, values: np.ndarray) -> None:
        """Take in some finite values."""
        total = ExactSum()
        total.add(values)
        values = values.astype(np.float64, copy=False)
        with np.errstate(all="ignore"):  # deviations may pass the largest float
            deviations = values - total.value / values.size
            squares = float(np.dot(deviations, deviations))
        self._moments(values.size, total, squares)
        low, high = float(values.min()), float(values.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._place(values, low, high)

    def _moments(self, count: int, total: ExactSum, squares: float) -> None:
        """Count, sum and squared deviations, as Chan, Golub and LeVeque (1979)."""
        if self.count:
            apart = total.value / count - self.sum.value / self.count
            squares += apart * apart * count * (self.count / (self.count + count))
        self.squares += squares
        self.count += count
        self.sum.merge(total)

    def _place(self, values: np.ndarray, low: float, high: float) -> None:
        """Keep the values of which `count` is the number, or count them in bins."""
        if self.kept is not None and self.count <= EXACT:
            self.kept = np.concatenate([self.kept, values])
        else:
            self._bin_kept()
            self.bins.add(values, low, high)

    def _bin_kept(self) -> None:
        kept, self.kept = self.kept, None
        if kept is not None and kept.size:
            self.bins.add(kept, kept.min(), kept.max())
