"""Histogram of an output over fixed edges.

Every float32 value must land in the bin in which `numpy.histogram` puts it with
float64 edges, although a device computes in float32. Each edge is therefore replaced
by the smallest float32 that is not below it, which splits the float32 values as the
edge itself does: with an edge of 0.1 (float64), float32 values belong to the right of
it from 0.1 rounded up, 0.100000001490116..., on. `_cell_index` first computes a bin
by arithmetic, which rounding can put one off next to an edge, and then corrects it by
comparing the value with both edges of that bin.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import Array, Statistic, count_at, count_leaf, namespace

_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).tiny)  # devices flush smaller ones to 0
_EDGES_BY_SCALE = {"linear": np.linspace, "log": np.geomspace}


class Histogram(Statistic):
    """Counts of an output's values between fixed edges, exact up to 2^62.

    As in `numpy.histogram` a bin contains its left edge, and the last bin also its
    right edge. Values outside and values that are not finite are counted separately.
    With weights all of these are sums of weights, as `numpy.histogram(weights=...)`.
    The edges are float64, and each float32 value is compared with them exactly.

    Args:
      output: Name of the output; its values may have any shape.
      low: First edge, in the unit of the values.
      high: Last edge.
      bins: Number of bins. Default 64.
      scale: "linear" (the default) for bins of equal width, "log" for edges with a
        constant ratio, which needs low > 0.
      weighted: Require `weights` and add each value's weight in place of 1.

    Returns by `compute`: `counts` [bins], `edges` [bins + 1], `below`, `above` and
    `nonfinite`.

    Example:
      >>> import jaxmetrics as jm
      >>> lengths = jm.Histogram("lengths", low=0, high=8, bins=4)
      >>> value = jm.evaluate(lengths, lengths=[0, 1, 2, 8, 9])
      >>> value["counts"].tolist(), int(value["above"])
      ([2, 1, 0, 1], 1)
    """

    low: float = dataclasses.field(kw_only=True)
    high: float = dataclasses.field(kw_only=True)
    bins: int = dataclasses.field(default=64, kw_only=True)
    scale: str = dataclasses.field(default="linear", kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    cells: Array = count_leaf("cell_count", weighted="weighted")

    @property
    def cell_count(self) -> int:
        """Number of cells: below, the bins, above, and not finite."""
        return self.bins + 3

    @property
    def edges(self) -> np.ndarray:
        """The `bins + 1` edges, float64."""
        return _EDGES_BY_SCALE[self.scale](self.low, self.high, self.bins + 1)

    def validate(self) -> None:
        """Refuse edges that devices cannot tell apart, and unknown scales."""
        if self.scale not in _EDGES_BY_SCALE:
            raise ValueError(
                f"Histogram: scale is {self.scale!r}, but must be one of "
                f"{tuple(_EDGES_BY_SCALE)}. Use 'log' for values over many decades."
            )
        if self.bins < 1:
            raise ValueError(
                f"Histogram: bins is {self.bins}, but must be at least 1. Leave it out "
                "for 64 bins."
            )
        limits = f"low={self.low}, high={self.high}"
        if not -_LARGEST <= self.low < self.high <= _LARGEST:
            raise ValueError(
                f"Histogram: needs finite low < high within float32, got {limits}. "
                "Values outside are counted as below and above."
            )
        if self.scale == "log" and self.low <= 0:
            raise ValueError(
                f"Histogram: scale='log' needs low > 0, got {limits}. Set low to the "
                "smallest value of interest; smaller ones are counted as below."
            )
        edges = _round_up(self.edges)
        if not (edges[1:] > edges[:-1]).all():
            raise ValueError(
                f"Histogram: {self.bins} bins between {limits} are narrower than the "
                "spacing of float32. Use fewer bins."
            )
        tiny = (edges != 0) & (np.abs(edges) < _SMALLEST)
        if tiny.any() or (np.diff(self.edges) < _SMALLEST).any():
            raise ValueError(
                f"Histogram: {self.bins} bins between {limits} have edges or widths "
                "below 2^-126, which devices take for 0. Scale the values up."
            )

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's counts: below, each bin, above, and not finite."""
        index = self._cell_index(jnp.asarray(values).astype(jnp.float32))
        return dict(cells=count_at(index, (self.cell_count,), mask, weights))

    def compute(self) -> dict[str, Any]:
        """Return `counts`, `edges`, `below`, `above` and `nonfinite`."""
        cells = self.cells
        return dict(
            counts=cells[..., 1:-2],
            edges=namespace(self).asarray(self.edges),
            below=cells[..., 0],
            above=cells[..., -2],
            nonfinite=cells[..., -1],
        )

    def _cell_index(self, values: Any) -> Any:
        """Return the index of each value's cell."""
        edges = _round_up(self.edges)
        low, high = edges[0], -_round_up(-self.edges)[-1]
        inside = jnp.clip(values, low, high)
        if self.scale == "log":
            inside = jnp.where(jnp.isfinite(values), inside, low)
        error, last = self._position_error(), self.bins - 1
        # The bin is this one or the next; or, if bins are hardly wider than the spacing
        # of float32, one of three.
        bin_ = jnp.floor(self._bin_position(inside) - np.float32(min(error, 1)))
        bin_ = jnp.clip(bin_, -1, last).astype(jnp.int32)
        for _ in range(1 if error < 0.5 else 2):
            above = inside >= self._next_edge(edges, bin_)
            bin_ = bin_ + above.astype(jnp.int32)
        index = 1 + jnp.clip(bin_, 0, last)
        index = jnp.where(values < low, 0, index)
        index = jnp.where(values > high, self.bins + 1, index)
        return jnp.where(jnp.isfinite(values), index, self.bins + 2)

    def _next_edge(self, edges: np.ndarray, bin_: Any) -> Any:
        """Return the right edge of bins, of which that before the first is -1.

        Edges such as multiples of 1/8 are computed, if no step of it rounds: that is
        faster than to look them up.
        """
        if self.scale == "linear":
            low, next_edge = edges[:2].astype(np.float64)
            steps = np.arange(self.bins + 1) * (next_edge - low)
            wide = steps + low
            if _fits_float32(steps) and _fits_float32(wide) and (wide == edges).all():
                width = np.float32(next_edge - low)
                return (bin_ + 1).astype(jnp.float32) * width + np.float32(low)
        upper = np.append(edges[:-1], np.float32(np.inf))
        return jnp.take(upper, bin_ + 1, mode="clip")

    def _position_error(self) -> float:
        """Return a bound of the error of positions, in bins; at most 1."""
        if self.scale == "linear":
            largest = max(abs(self.low), abs(self.high))
            width = (self.high - self.low) / self.bins
        else:
            largest = max(1, abs(math.log(self.low)), abs(math.log(self.high)))
            width = math.log(self.high / self.low) / self.bins
        return 2.0**-20 * (largest / width + self.bins)

    def _bin_position(self, values: Any) -> Any:
        """Return values in units of bins from the first edge; see `_position_error`."""
        if self.scale == "linear":
            width = (self.high - self.low) / self.bins
            # Halves of values have a difference in float32, which the values may lack.
            part = 0.5 if self.high - self.low > _LARGEST else 1.0
            low, width = np.float32(self.low * part), np.float32(width * part)
            return (values * np.float32(part) - low) / width
        width = math.log(self.high / self.low) / self.bins
        return (jnp.log(values) - np.float32(math.log(self.low))) / np.float32(width)


def _fits_float32(values: np.ndarray) -> bool:
    """Return whether no value is rounded or flushed to zero in float32."""
    inside = (values == 0) | (np.abs(values) >= _SMALLEST)
    inside &= np.abs(values) <= _LARGEST
    return bool(
        (inside & (np.where(inside, values, 0).astype(np.float32) == values)).all()
    )


def _round_up(edges: np.ndarray) -> np.ndarray:
    """Return the smallest float32 that is not below each float64 edge."""
    nearest = edges.astype(np.float32)
    with np.errstate(over="ignore"):  # beyond the largest float32
        next_up = np.nextafter(nearest, np.float32(np.inf))
    return np.where(nearest.astype(np.float64) < edges, next_up, nearest)
