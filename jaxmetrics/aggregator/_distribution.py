"""Distribution of the values of a metric: exact while small, then in bins."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.aggregator._bins import MagnitudeBins
from jaxmetrics.aggregator._exact_sum import ExactSum
from jaxmetrics.aggregator._inputs import split_finite
from jaxmetrics.aggregator._totals import Total, nonfinite_result
from jaxmetrics.record import states

_MAX_EXACT_VALUES = 1024
_PERCENTS = (5, 50, 95, 99)
_CHUNK_SIZE = 8192  # values that a cache holds


class DistributionTotal(Total):
    """Mean, extremes, percentiles and standard deviation.

    Mean, minimum, maximum and standard deviation are computed from all values in
    float64. A percentile is one of the values (as NumPy's `inverted_cdf`): exact up to
    1,024 values, then within 1/256 of it, for zeros and negative values too. Results
    do not depend on how values are split over updates and processes.
    """

    def __init__(self) -> None:
        self.sum, self.count, self.nonfinite = ExactSum(), 0, 0
        self.squares = 0.0  # sum of squared deviations from the mean
        self.low, self.high = math.inf, -math.inf
        self.values: np.ndarray | None = np.zeros(0)  # None once they are in bins
        self.bins = MagnitudeBins()
        self._pending: list[np.ndarray] = []
        self._pending_size = 0

    def add(self, values: np.ndarray, weights: Any) -> None:
        """Buffer small arrays, and add large ones at once."""
        self._pending_size += values.size
        if self._pending_size < _CHUNK_SIZE:
            self._pending.append(values.copy())
        else:
            self._pending.append(values)
            self._flush()

    def merge(self, later: DistributionTotal) -> None:
        """Add a total of later values."""
        self._flush()
        later._flush()
        self.nonfinite += later.nonfinite
        if not later.count:
            return
        self._add_moments(later.count, later.sum, later.squares)
        self.low, self.high = min(self.low, later.low), max(self.high, later.high)
        if later.values is not None:
            self._add_values(later.values, later.low, later.high)
        else:
            self._move_values_to_bins()
            self.bins.merge(later.bins)

    def state(self) -> dict[str, Any]:
        """Return few values as they are, many as bins and counts."""
        self._flush()
        few = None if self.values is None else states.storable(self.values)
        return {
            "sum": self.sum.parts(),
            "count": self.count,
            "nonfinite": self.nonfinite,
            "squares": states.strict(self.squares),
            "range": [states.strict(self.low), states.strict(self.high)],
            **({"bins": self.bins.state()} if few is None else {"values": few}),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace the distribution by one that `state` returned."""
        saved = states.fields_of(
            sum=ExactSum.from_parts,
            count=states.count,
            nonfinite=states.count,
            squares=states.real,
            range=states.list_of(states.real),
        )(state)
        if saved["squares"] < 0:
            raise ValueError(f"'squares' is {saved['squares']}, below 0")
        self.values, self.bins = None, MagnitudeBins()
        if state.get("values") is None:
            states.fields_of(bins=self.bins.load_state)(state)
            if self.bins.total != saved["count"]:
                raise ValueError(
                    f"its bins hold {self.bins.total} values of {saved['count']}"
                )
        else:
            self.values = states.floats_of(saved["count"])(state["values"])
        self.sum, self.count = saved["sum"], saved["count"]
        self.nonfinite, self.squares = saved["nonfinite"], saved["squares"]
        self.low, self.high = saved["range"]

    def results(self, name: str) -> dict[str, Any]:
        """Return the statistics: nan without values."""
        self._flush()
        percentiles = [f"p{percent:02}" for percent in _PERCENTS]
        names = ["mean", "min", "max", *percentiles, "std"]
        statistics = dict.fromkeys(names, math.nan)
        if self.count:
            statistics["mean"] = self.sum.value / self.count
            statistics["min"], statistics["max"] = self.low, self.high
            statistics |= zip(percentiles, self._percentiles())
            statistics["std"] = math.sqrt(self.squares / self.count)
        values = {f"{name}_stat_{part}": value for part, value in statistics.items()}
        return values | nonfinite_result(name, self.nonfinite)

    def _percentiles(self) -> list[float]:
        ranks = np.array([-(-p * self.count // 100) for p in _PERCENTS])
        if self.values is not None:
            return np.sort(self.values)[ranks - 1].tolist()
        return np.clip(self.bins.at_ranks(ranks), self.low, self.high).tolist()

    def _flush(self) -> None:
        """Add the buffered values.

        Sums are rounded by update, however many updates are buffered, so that taking a
        state, which empties the buffer, changes no bit of the result.
        """
        pending, self._pending, self._pending_size = self._pending, [], 0
        for _, group in itertools.groupby(pending, key=lambda values: values.dtype):
            arrays = []
            for values in group:
                finite, nonfinite, _ = split_finite(values)
                self.nonfinite += nonfinite
                starts = range(0, finite.size, _CHUNK_SIZE)
                arrays += [finite[start : start + _CHUNK_SIZE] for start in starts]
            small = [array for array in arrays if array.size < _CHUNK_SIZE]
            if len(small) == len(arrays):
                self._add_arrays(arrays)
            else:
                for array in arrays:
                    self._add_arrays([array])

    def _add_arrays(self, arrays: list[np.ndarray]) -> None:
        """Add arrays of finite values of one type, none of them empty."""
        if not arrays:
            return
        values = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        lengths = np.array([array.size for array in arrays])
        starts = np.cumsum(lengths) - lengths
        reals = values.astype(np.float64, copy=False)
        with np.errstate(all="ignore"):  # deviations may exceed the largest float
            totals = np.add.reduceat(reals, starts)
            deviations = reals - np.repeat(totals / lengths, lengths)
            # A product of BLAS would depend on where in memory an array begins.
            squares = np.add.reduceat(np.square(deviations), starts)
        for i, array in enumerate(arrays):
            total = ExactSum(0, float(totals[i]))
            if array.dtype == np.int64:
                total = ExactSum()
                total.add(array)
            self._add_moments(array.size, total, float(squares[i]))
        low, high = float(values.min()), float(values.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._add_values(reals, low, high)

    def _add_moments(self, count: int, total: ExactSum, squares: float) -> None:
        """Add count, sum and squared deviations by Chan, Golub and LeVeque (1979)."""
        if self.count:
            difference = total.value / count - self.sum.value / self.count
            weight = self.count / (self.count + count)
            squares += difference * difference * count * weight
        self.squares += squares
        self.count += count
        self.sum.merge(total)

    def _add_values(self, values: np.ndarray, low: float, high: float) -> None:
        """Keep values that `count` includes already, or count them in bins."""
        if self.values is not None and self.count <= _MAX_EXACT_VALUES:
            self.values = np.concatenate([self.values, values])
        else:
            self._move_values_to_bins()
            self.bins.add(values, low, high)

    def _move_values_to_bins(self) -> None:
        values, self.values = self.values, None
        if values is not None and values.size:
            self.bins.add(values, values.min(), values.max())
