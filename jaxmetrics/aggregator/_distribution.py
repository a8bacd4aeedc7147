"""The distribution of a metric: exact while small, then in bins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from jaxmetrics.aggregator._bins import Bins, added, counted, no_bins, ranked
from jaxmetrics.aggregator._exact_sum import ExactSum
from jaxmetrics.aggregator._totals import Total, bad
from jaxmetrics.aggregator._values import finite

EXACT = 1024
"""Up to how many values percentiles are exact."""

_PERCENTS = (5, 50, 95, 99)
_WAITING = 4096


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
        self.bins: Bins = no_bins()
        self._recent: list[np.ndarray] = []
        self._waiting = 0

    def add(self, values: np.ndarray, weights: Any) -> None:
        """Keep few values for later, take many in at once."""
        self._waiting += values.size
        if self._waiting < _WAITING:
            self._recent.append(values.copy())
        else:
            self._recent.append(values)
            self._settle()

    def merge(self, later: Self) -> None:
        """Add counts; means and deviations as Chan, Golub and LeVeque (1979)."""
        self._settle()
        later._settle()
        self.nonfinite += later.nonfinite
        if not later.count:
            return
        if self.count:
            apart = later.sum.value / later.count - self.sum.value / self.count
            share = self.count / (self.count + later.count)
            self.squares += later.squares + apart * apart * share * later.count
        else:
            self.squares = later.squares
        self.count += later.count
        self.sum.merge(later.sum)
        self.low, self.high = min(self.low, later.low), max(self.high, later.high)
        if self.kept is not None and later.kept is not None and self.count <= EXACT:
            self.kept = np.concatenate([self.kept, later.kept])
        else:
            self.bins = added(self._binned(), later._binned())
            self.kept = None

    def state(self) -> dict[str, Any]:
        """Few values as they are, many as bins and their counts."""
        self._settle()
        kept = {"values": self.kept} if self.kept is not None else {}
        bins = {} if kept else {"bins": self.bins[0], "counts": self.bins[1]}
        return {
            "sum": self.sum.parts(),
            "count": self.count,
            "nonfinite": self.nonfinite,
            "squares": self.squares,
            "range": [self.low, self.high],
            **kept,
            **bins,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self.sum = ExactSum(*state["sum"])
        self.count, self.nonfinite = state["count"], state["nonfinite"]
        self.squares, (self.low, self.high) = state["squares"], state["range"]
        self.kept = state.get("values")
        self.bins = no_bins() if "values" in state else (state["bins"], state["counts"])

    def results(self, name: str) -> dict[str, Any]:
        """The statistics; nan of nothing."""
        self._settle()
        found = {"mean": math.nan, "min": math.nan, "max": math.nan}
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
        return np.clip(ranked(self.bins, ranks), self.low, self.high).tolist()

    def _binned(self) -> Bins:
        return self.bins if self.kept is None else counted(self.kept)

    def _settle(self) -> None:
        """Take in what waits, all at once."""
        if not self._recent:
            return
        recent, self._recent, self._waiting = self._recent, [], 0
        values, dropped, _ = finite(np.concatenate(recent))
        self.nonfinite += dropped
        if values.size:
            self.merge(_of(values))


def _of(values: np.ndarray) -> Distribution:
    """The distribution of finite values, at least one."""
    found, floats = Distribution(), values.astype(np.float64, copy=False)
    found.count = values.size
    found.sum.add(values)
    with np.errstate(all="ignore"):  # deviations may pass the largest float
        deviations = floats - found.sum.value / found.count
        found.squares = float(np.dot(deviations, deviations))
    found.low, found.high = float(floats.min()), float(floats.max())
    if found.count <= EXACT:
        found.kept = floats
    else:
        found.kept, found.bins = None, counted(floats)
    return found
