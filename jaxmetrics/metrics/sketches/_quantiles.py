"""Quantiles of an output, from a histogram of bins of nearly one ratio."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import (
    Array,
    Statistic,
    count_leaf,
    count_where,
    max_leaf,
    maximum,
    min_leaf,
    minimum,
    namespace,
)
from jaxmetrics.metrics.sketches._cells import count_cells, kept

_BIAS = 127  # of a float32 exponent
_FRACTION = 23  # bits of it
_MOST_PARTS = 512  # of an octave: a fraction times them is below 2^32


class Quantiles(Statistic):
    """Quantiles of an output, each within a relative error of the true one.

    The value of rank `ceil(q n)`, as `numpy.quantile(method="inverted_cdf")`, is known
    by its bin: an octave is cut in equal parts, read off the bits of the float32, so
    that every device bins alike. The bin's value is at most `relative_error` off
    (under jit one rounding to float32 more), and never outside the exact extremes.
    Merging adds counts: no split of the data changes a bit. As DDSketch (Masson,
    Rim, Lee 2019), with linear parts as in an HDR histogram.

    Magnitudes below `low` are told as zero. Beyond `high` nothing is told apart: a
    quantile there is the exact minimum or maximum, and `outside` counts the values.
    NaN and infinities have no rank and are counted in `nonfinite`; see
    `metric.plain()`. The default state takes 48 kB.

    Args:
      output: the output's name; `values` of any shape.
      q: the quantiles, each in [0, 1].
      relative_error: the bound, from 0.001 below 1.
      low: smallest magnitude of interest, in the unit of the values.
      high: largest magnitude of interest.

    Returns by `compute`: `p50`, `p95` and so on, one for each of `q` (0.999 is
    `p99.9`), `min` and `max`; nan of nothing.

    Example:
      >>> import jaxmetrics as jm
      >>> found = jm.evaluate(jm.Quantiles("ms", q=(0.5,)), ms=[3.0, 5.1, 400.0])
      >>> {name: round(float(value), 2) for name, value in found.items()}
      {'p50': 5.08, 'min': 3.0, 'max': 400.0}
    """

    q: tuple[float, ...] = dataclasses.field(default=(0.5, 0.95, 0.99), kw_only=True)
    relative_error: float = dataclasses.field(default=0.01, kw_only=True)
    low: float = dataclasses.field(default=1e-9, kw_only=True)
    high: float = dataclasses.field(default=1e9, kw_only=True)
    cells: Array = count_leaf("places")
    smallest: Array = min_leaf()
    largest: Array = max_leaf()
    outside: Array = count_leaf()
    nonfinite: Array = count_leaf()

    @property
    def parts(self) -> int:
        """Bins an octave: the first, of ratio `1 + 1 / parts`, is the widest."""
        return math.ceil((1 / self.relative_error - 1) / 2)

    @property
    def octaves(self) -> tuple[int, int]:
        """The first power of two with bins, and the one after the last."""
        first, after = math.frexp(self.low)[1] - 1, math.frexp(self.high)[1]
        return first, after

    @property
    def bins(self) -> int:
        """How many bins a sign has."""
        first, after = self.octaves
        return (after - first) * self.parts

    @property
    def places(self) -> int:
        """How many counts: of both signs the bins and what lies beyond, and zero."""
        return 2 * self.bins + 3

    def validate(self) -> None:
        """Refuse quantiles, a bound or a range that cannot be."""
        if not isinstance(self.q, tuple) or not all(0 <= q <= 1 for q in self.q):
            raise ValueError(
                f"Quantiles: q is a tuple of numbers in [0, 1], got {self.q!r}. Write "
                "one as (0.5,)."
            )
        if not (0 < self.relative_error < 1 and self.parts <= _MOST_PARTS):
            raise ValueError(
                "Quantiles: relative_error is at least 0.001 and below 1, got "
                f"{self.relative_error}."
            )
        if not 2.0**-126 <= self.low < self.high < 2.0**127:
            raise ValueError(
                "Quantiles: needs 1.2e-38 <= low < high < 1.7e38, got "
                f"low={self.low}, high={self.high}. Give magnitudes: negative values "
                "have bins of their own."
            )

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The batch's counts and extremes."""
        values = jnp.asarray(values).astype(jnp.float32)
        valid = kept(values, mask)
        finite = jnp.isfinite(values) & valid
        place = self._place(values)
        beyond = (place == 0) | (place == self.places - 1)
        return dict(
            cells=count_cells(place, self.places, finite),
            smallest=minimum(values, finite),
            largest=maximum(values, finite),
            outside=count_where(beyond, finite),
            nonfinite=count_where(~jnp.isfinite(values), valid),
        )

    def compute(self) -> dict[str, Any]:
        """The quantiles by name, and the extremes, in the unit of the values."""
        xp = namespace(self)
        real = np.float64 if xp is np else np.float32
        rank = xp.cumsum(xp.asarray(self.cells), axis=-1)
        count = rank[..., -1]
        some = count > 0
        ends = {"min": self.smallest, "max": self.largest}
        ends = {n: xp.where(some, x, real(np.nan))[()] for n, x in ends.items()}
        told = xp.asarray(self._told().astype(real))
        # q n is a rounded product: a rank that it just exceeds is the one meant
        exact = 1 - 4 * float(np.finfo(real).eps)
        found = {}
        for q in self.q:
            wanted = (xp.asarray(count, real) * real(q * exact))[..., None]
            below = (xp.asarray(rank, real) < wanted) | (rank == 0)
            place = xp.minimum(below.sum(-1), self.places - 1)
            value = xp.clip(xp.take(told, place), ends["min"], ends["max"])
            found[_name(q)] = value[()]
        return found | ends

    def _place(self, values: jax.Array) -> jax.Array:
        """Index of each value's count, ascending; zero is in the middle."""
        first, after = self.octaves
        word = lax.bitcast_convert_type(values, jnp.uint32)
        magnitude = word & 0x7FFFFFFF
        exponent = (magnitude >> _FRACTION).astype(jnp.int32) - _BIAS
        fraction = magnitude & ((1 << _FRACTION) - 1)
        part = ((fraction * np.uint32(self.parts)) >> _FRACTION).astype(jnp.int32)
        away = 1 + (exponent - first) * self.parts + part
        away = jnp.where(exponent < first, 0, away)
        away = jnp.where(exponent >= after, self.bins + 1, away)
        return self.bins + 1 + jnp.where(word >> 31 == 1, -away, away)

    def _told(self) -> np.ndarray:
        """What each place is told as: of edges a and b, `2ab / (a + b)`."""
        first, after = self.octaves
        part = np.arange(self.parts)
        octave = 2.0 ** np.arange(first, after)[:, None]
        left = octave * (1 + part / self.parts)
        right = octave * (1 + (part + 1) / self.parts)
        told = (2 * left * (right / (left + right))).ravel()
        return np.concatenate([[-np.inf], -told[::-1], [0], told, [np.inf]])


def _name(q: float) -> str:
    """`p05`, `p50`, `p99.9`."""
    whole, _, rest = f"{100 * q:.10g}".partition(".")
    return f"p{whole.zfill(2)}{'.' if rest else ''}{rest}"
