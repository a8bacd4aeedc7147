"""Quantiles of an output, from a histogram with bins of nearly constant ratio."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    OctaveBins,
    Statistic,
    both,
    count_at,
    count_cells,
    count_leaf,
    count_where,
    mask_like,
    max_leaf,
    maximum,
    min_leaf,
    minimum,
    namespace,
)


class Quantiles(Statistic):
    """Quantiles of an output, each within a relative error of the exact one.

    Estimates the value of rank `ceil(q n)`, as `numpy.quantile` with
    `method="inverted_cdf"`, with an error of at most `relative_error` (under jit one
    rounding to float32 more), and never outside the exact extremes. Under jit ranks are
    float32 as well, off by up to 2e-6 n: of a million values or more it may estimate a
    neighbour in rank. On the host they are exact. Bins are read from the bits of the
    float32, so that every device bins alike. Merging adds counts: any split of the data
    gives the same bits. Like DDSketch (Masson, Rim and Lee 2019), with linear bins
    within an octave as in an HDR histogram.

    Magnitudes below `low` count as zero. Values beyond `high` share one bin for each
    sign: a quantile there is the exact minimum or maximum, and `outside` counts them.
    NaN and infinities have no rank and are counted in `nonfinite`; see
    `metric.plain()`. The default state takes 48 kB.

    With weights it estimates the smallest value whose cumulative weight is at least
    `q` times the total, as `numpy.quantile` with `method="inverted_cdf"` and `weights`.
    Values of weight 0 do not count, also for the extremes. Sums of weights round, which
    can move a quantile to the next value where its cumulative weight is `q` times the
    total up to rounding.

    Args:
      output: Name of the output; its values may have any shape.
      q: Quantiles to compute, each in [0, 1]. Default (0.5, 0.95, 0.99).
      relative_error: Bound of the relative error, from 0.001 to below 1. Default 0.01.
      low: Smallest magnitude of interest, in the unit of the values. Default 1e-9.
      high: Largest magnitude of interest. Default 1e9.
      weighted: Require `weights` and weight each value by them.

    Returns by `compute`: `p50`, `p95` and so on, one for each of `q` (0.999 is
    `p99.9`), and `min` and `max`; nan without data.

    Example:
      >>> import jaxmetrics as jm
      >>> values = jm.evaluate(jm.Quantiles("ms", q=(0.5,)), ms=[3.0, 5.1, 400.0])
      >>> {name: round(float(value), 2) for name, value in values.items()}
      {'p50': 5.08, 'min': 3.0, 'max': 400.0}
    """

    q: tuple[float, ...] = dataclasses.field(default=(0.5, 0.95, 0.99), kw_only=True)
    relative_error: float = dataclasses.field(default=0.01, kw_only=True)
    low: float = dataclasses.field(default=1e-9, kw_only=True)
    high: float = dataclasses.field(default=1e9, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    cells: Array = count_leaf("cell_count", weighted="weighted")
    smallest: Array = min_leaf()
    largest: Array = max_leaf()
    outside: Array = count_leaf()
    nonfinite: Array = count_leaf()

    @property
    def _bins(self) -> OctaveBins:
        """Bins of each sign."""
        return OctaveBins(self.relative_error, self.low, self.high)

    @property
    def cell_count(self) -> int:
        """Number of cells: for each sign the bins and one beyond, and one of zero."""
        return 2 * self._bins.count + 3

    def validate(self) -> None:
        """Refuse quantiles, an error bound or a range that are impossible."""
        if not isinstance(self.q, tuple) or not all(0 <= q <= 1 for q in self.q):
            raise ValueError(
                f"Quantiles: q must be a tuple of numbers in [0, 1], got {self.q!r}. "
                "Write a single one as (0.5,)."
            )
        self._bins.check("Quantiles")

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's counts and extremes."""
        values = jnp.asarray(values).astype(jnp.float32)
        valid = mask_like(values, mask)
        if weights is not None:
            valid = both(valid, jnp.asarray(weights) != 0)
        finite = jnp.isfinite(values) & valid
        index = self._cell_index(values)
        beyond = (index == 0) | (index == self.cell_count - 1)
        if weights is None:
            cells = count_cells(index, self.cell_count, finite)
        else:
            cells = count_at(index, (self.cell_count,), finite, weights)
        return dict(
            cells=cells,
            smallest=minimum(values, finite),
            largest=maximum(values, finite),
            outside=count_where(beyond, finite),
            nonfinite=count_where(~jnp.isfinite(values), valid),
        )

    def compute(self) -> dict[str, Any]:
        """Return the quantiles by name and the extremes, in the unit of the values."""
        xp = namespace(self)
        real = np.float64 if xp is np else np.float32
        rank = xp.cumsum(xp.asarray(self.cells), axis=-1)
        count = rank[..., -1]
        extremes = {
            name: xp.where(count > 0, value, real(np.nan))[()]
            for name, value in (("min", self.smallest), ("max", self.largest))
        }
        representatives = xp.asarray(self._representatives().astype(real))
        # The product q n is rounded: where it exceeds an integer by rounding only, that
        # integer is the rank. Sums of weights round by more.
        exact = 1 - (64 if self.weighted else 4) * float(np.finfo(real).eps)
        quantiles = {}
        for q in self.q:
            target = (xp.asarray(count, real) * real(q * exact))[..., None]
            below = (xp.asarray(rank, real) < target) | (rank == 0)
            index = xp.minimum(below.sum(-1), self.cell_count - 1)
            value = xp.take(representatives, index)
            value = xp.clip(value, extremes["min"], extremes["max"])
            quantiles[_name(q)] = value[()]
        return quantiles | extremes

    def _cell_index(self, values: jax.Array) -> jax.Array:
        """Return the cell of each value, ascending with it; zero is in the middle."""
        zero, distance = self._bins.count + 1, self._bins.index(values)
        return zero + jnp.where(jnp.signbit(values), -distance, distance)

    def _representatives(self) -> np.ndarray:
        """Return the value that stands for each cell."""
        positive = self._bins.representatives()
        return np.concatenate([-positive[:0:-1], positive])


def _name(q: float) -> str:
    """Return the name of a quantile: `p05`, `p50`, `p99.9`."""
    integer, point, fraction = f"{100 * q:.10g}".partition(".")
    return f"p{integer.zfill(2)}{point}{fraction}"
