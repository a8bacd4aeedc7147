"""Histogram of an output over fixed edges."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import Array, Statistic, count_at, count_leaf, namespace

_SCALES = {"linear": np.linspace, "log": np.geomspace}


class Histogram(Statistic):
    """Counts of an output's values between fixed edges, exact to 2^62.

    As `numpy.histogram`: a bin holds its left edge, the last one its right edge too.
    Values outside and values that are not finite are counted apart. The edges are
    float64, and each float32 value is compared with them exactly.

    Args:
      output: the output's name; `values` of any shape.
      low: first edge, in the unit of the values.
      high: last edge.
      bins: number of bins.
      scale: "linear" for bins of one width, "log" for bins of one ratio (low > 0).

    Example:
      >>> import jaxmetrics as jm
      >>> lengths = jm.Histogram("lengths", low=0, high=8, bins=4)
      >>> found = jm.evaluate(lengths, lengths=[0, 1, 2, 8, 9])
      >>> found["counts"].tolist(), int(found["above"])
      ([2, 1, 0, 1], 1)
    """

    low: float = dataclasses.field(kw_only=True)
    high: float = dataclasses.field(kw_only=True)
    bins: int = dataclasses.field(default=64, kw_only=True)
    scale: str = dataclasses.field(default="linear", kw_only=True)
    cells: Array = count_leaf("places")

    @property
    def places(self) -> int:
        """How many counts there are: below, the bins, above, not finite."""
        return self.bins + 3

    @property
    def edges(self) -> np.ndarray:
        """The `bins + 1` edges, float64."""
        return _SCALES[self.scale](self.low, self.high, self.bins + 1)

    def validate(self) -> None:
        """Refuse edges that do not ascend in float32, and unknown scales."""
        if self.scale not in _SCALES:
            raise ValueError(
                f"Histogram: scale is one of {tuple(_SCALES)}, got {self.scale!r}."
            )
        if self.bins < 1:
            raise ValueError(f"Histogram: bins is at least 1, got {self.bins}.")
        given = f"low={self.low}, high={self.high}"
        if not (math.isfinite(self.low) and self.low < self.high < math.inf):
            raise ValueError(f"Histogram: needs finite low < high, got {given}.")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(
                f"Histogram: scale='log' needs low > 0, got {given}. Begin at the "
                "smallest value of interest; smaller ones count as below."
            )
        if not (np.diff(_from(self.edges)) > 0).all():
            raise ValueError(
                f"Histogram: {self.bins} bins between {given} are narrower than "
                "float32 can tell apart. Use fewer bins."
            )

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The batch's counts: below, each bin, above, not finite."""
        values = jnp.asarray(values).astype(jnp.float32)
        return dict(cells=count_at(self._place(values), (self.places,), mask))

    def compute(self) -> dict[str, Any]:
        """`counts` [bins], `edges` [bins + 1], `below`, `above` and `nonfinite`."""
        cells = self.cells
        return dict(
            counts=cells[..., 1:-2],
            edges=namespace(self).asarray(self.edges),
            below=cells[..., 0],
            above=cells[..., -2],
            nonfinite=cells[..., -1],
        )

    def _place(self, values: Any) -> Any:
        """The index of each value's count: a guess, then corrected by the edges."""
        edges = _from(self.edges)
        low, high = edges[0], -_from(-self.edges)[-1]
        finite = jnp.isfinite(values)
        inside = jnp.clip(jnp.where(finite, values, low), low, high)
        last = self.bins - 1
        guess = jnp.clip(jnp.floor(self._position(inside)), 0, last).astype(jnp.int32)
        too_high = inside < jnp.take(edges, guess, mode="clip")
        guess = guess - too_high.astype(jnp.int32)
        too_low = inside >= jnp.take(edges, guess + 1, mode="clip")
        guess = guess + too_low.astype(jnp.int32)
        place = 1 + jnp.clip(guess, 0, last)
        place = jnp.where(values < low, 0, place)
        place = jnp.where(values > high, self.bins + 1, place)
        return jnp.where(finite, place, self.bins + 2)

    def _position(self, values: Any) -> Any:
        """Where values lie between the edges, in bins, to within a bin."""
        if self.scale == "linear":
            width = (self.high - self.low) / self.bins
            return (values - np.float32(self.low)) / np.float32(width)
        width = math.log(self.high / self.low) / self.bins
        return (jnp.log(values) - np.float32(math.log(self.low))) / np.float32(width)


def _from(edges: np.ndarray) -> np.ndarray:
    """The least float32 that is not below each edge."""
    near = edges.astype(np.float32)
    above = np.nextafter(near, np.float32(np.inf))
    return np.where(near.astype(np.float64) < edges, above, near)
