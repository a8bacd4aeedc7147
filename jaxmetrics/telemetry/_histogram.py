"""Histograms of sharded arrays, computed without gathering them.

Counts equal those of `numpy.histogram` in float32. A bin number is guessed by a
division and then corrected by comparing with the edges. In 10 bins between 0 and 1, the
float32 value 0.9 divided by the width 0.1 is exactly 9, but edge 9 is 0.90000004: the
correction puts the value into bin 8. For this an edge must have the same bits wherever
it is computed, also where a compiler fuses a product and a sum into one operation that
rounds once (FMA). The width is therefore split into two numbers of few bits, whose
products with a bin number are exact.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.record import require_integers

_MAX_BINS = 4096
_MAX_FLOAT32 = np.finfo(np.float32).max


class HistogramCounts(NamedTuple):
    """A histogram of finite values, and the number of the others.

    Attributes:
      counts: Number of values in each bin, uint32 `[bins]`.
      edges: Edges of the bins, float32 `[bins + 1]`.
      nonfinite: Number of NaN and infinite values, uint32.
      low: Smallest finite value, float32; inf if there is none.
      high: Largest finite value, float32; -inf if there is none.
    """

    counts: jax.Array
    edges: jax.Array
    nonfinite: jax.Array
    low: jax.Array
    high: jax.Array


def histogram(values: Any, bins: int = 64) -> HistogramCounts:
    """Compute the histogram of an array between its minimum and maximum, in jit.

    Counts and edges are those of `numpy.histogram` for float32: a bin includes its left
    edge, the last bin its right edge too. NaN and infinities are counted separately. A
    sharded array stays where it is; only counts are exchanged.

    Args:
      values: Real numbers of any shape, converted to float32.
      bins: Number of bins, at most 4096.

    Raises:
      TypeError: The values are complex, or `bins` is not an integer.
      ValueError: `bins` is outside [1, 4096].

    Example:
      >>> result = histogram(jnp.array([0.0, 1.0, 4.0, 4.0, jnp.nan]), bins=2)
      >>> result.counts.tolist(), result.edges.tolist(), result.nonfinite.item()
      ([2, 2], [0.0, 2.0, 4.0], 1)
    """
    require_integers("histogram()", bins=bins)
    if not 1 <= bins <= _MAX_BINS:
        raise ValueError(
            f"histogram() got bins={bins}; expected 1 to {_MAX_BINS}. Use fewer."
        )
    # Not flattened: that would gather an array sharded over several of its axes.
    x = jnp.asarray(values)
    if jnp.iscomplexobj(x):
        raise TypeError(
            f"histogram() got values of {x.dtype}; expected real numbers. Pass their "
            f"magnitude or their parts."
        )
    x = x.astype(jnp.float32)
    finite = jnp.isfinite(x)
    low = jnp.min(x, where=finite, initial=jnp.inf)
    high = jnp.max(x, where=finite, initial=-jnp.inf)
    # Halved where the range itself would overflow.
    scale = jnp.where(high / 2 - low / 2 > _MAX_FLOAT32 / 2, 0.5, 1)
    edges = _Edges.between(low * scale, high * scale, bins)
    # Read once per bin, so stored in as few bytes as possible.
    small = jnp.int8 if bins <= 127 else jnp.int16
    indices = jnp.where(finite, edges.bin_of(x * scale), -1).astype(small)
    # Not one comparison with all bins, which some compilers do not fuse with its sum.
    counts = lax.map(
        lambda i: (indices == i).sum(dtype=jnp.uint32), jnp.arange(bins, dtype=small)
    )
    all_edges = edges.at(jnp.arange(bins + 1)) / scale
    nonfinite = (~finite).sum(dtype=jnp.uint32)
    return HistogramCounts(counts, all_edges, nonfinite, low, high)


class _Edges(NamedTuple):
    """Edges of equal bins, recomputed for each value instead of looked up.

    An edge is the rounded product of its number and the width, plus the first edge. The
    width is split into `upper` and `lower`, so that the products are exact and fusing a
    product with a sum changes nothing.
    """

    low: jax.Array
    high: jax.Array
    upper: jax.Array  # leading 12 bits of the width
    lower: jax.Array
    bins: int

    @classmethod
    def between(cls, low: jax.Array, high: jax.Array, bins: int) -> _Edges:
        empty = low > high
        low, high = jnp.where(empty, 0, low), jnp.where(empty, 1, high)
        # Equal values get a range around them, as in NumPy.
        margin = jnp.where(jnp.abs(low) < 2**22, 0.5, jnp.abs(low) / 2)
        margin = jnp.where(low < high, 0, margin)
        low, high = low - margin, high + margin
        # The compiler would turn a constant divisor into a factor, rounded twice.
        n = lax.optimization_barrier(jnp.float32(bins))
        width = (high - low) / n
        mask = jnp.uint32(0xFFFFF000)
        upper = lax.bitcast_convert_type(
            lax.bitcast_convert_type(width, jnp.uint32) & mask, jnp.float32
        )
        return cls(low, high, upper, width - upper, bins)

    def at(self, number: jax.Array) -> jax.Array:
        """Return the edges of numbers from 0 to bins."""
        n = number.astype(jnp.float32)
        edge = (n * self.upper + n * self.lower) + self.low
        return jnp.where(number == self.bins, self.high, edge)

    def bin_of(self, x: jax.Array) -> jax.Array:
        """Return the bin of each value: a guess, corrected by the edges."""
        width, last = self.upper + self.lower, self.bins - 1
        guess = jnp.clip((x - self.low) / width, 0, last).astype(jnp.int32)
        guess = guess - (x < self.at(guess)).astype(jnp.int32)
        guess = guess + (x >= self.at(guess + 1)).astype(jnp.int32)
        return jnp.clip(guess, 0, last)
