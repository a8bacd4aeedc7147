"""Histograms of arrays wherever they lie, without gathering them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_MOST_BINS = 4096
_MOST = np.finfo(np.float32).max


class Counted(NamedTuple):
    """A histogram of finite values, and how many others there were.

    Attributes:
      counts: How many lie in each bin, uint32 `[bins]`.
      edges: The ends of the bins, float32 `[bins + 1]`.
      nonfinite: How many values are nan or infinite, uint32.
      low: The least finite value, float32; inf of none.
      high: The greatest; -inf of none.
    """

    counts: jax.Array
    edges: jax.Array
    nonfinite: jax.Array
    low: jax.Array
    high: jax.Array


def histogram(values: Any, bins: int = 64) -> Counted:
    """The histogram of an array between its least and its greatest value, in jit.

    Counts and edges are those of `numpy.histogram` for float32: a bin holds its left
    edge, the last one its right edge too. Nan and infinities are counted apart. A
    sharded array stays where it is, only counts are exchanged.

    Args:
      values: Real numbers of any shape, counted as float32 holds them.
      bins: How many bins, at most 4096.

    Raises:
      ValueError: That many bins are not counted.

    Example:
      >>> counted = histogram(jnp.array([0.0, 1.0, 4.0, 4.0, jnp.nan]), bins=2)
      >>> counted.counts.tolist(), counted.edges.tolist(), counted.nonfinite.item()
      ([2, 2], [0.0, 2.0, 4.0], 1)
    """
    if not 1 <= bins <= _MOST_BINS:
        raise ValueError(
            f"histogram() got bins={bins}; expected 1 to {_MOST_BINS}. Use fewer."
        )
    # Not ravelled: that would gather an array sharded over several of its axes.
    x = jnp.asarray(values).astype(jnp.float32)
    finite = jnp.isfinite(x)
    low = jnp.min(x, where=finite, initial=jnp.inf)
    high = jnp.max(x, where=finite, initial=-jnp.inf)
    half = jnp.where(high / 2 - low / 2 > _MOST / 2, 0.5, 1)  # the reach overflows
    edges = _Edges.between(low * half, high * half, bins)
    # A pass over it for each bin: small on purpose.
    small = jnp.int8 if bins <= 127 else jnp.int16
    place = jnp.where(finite, edges.place(x * half), -1).astype(small)
    # Not one comparison with all bins, which not every compiler fuses with its sum.
    counts = lax.map(
        lambda one: (place == one).sum(dtype=jnp.uint32), jnp.arange(bins, dtype=small)
    )
    every = edges.at(jnp.arange(bins + 1)) / half
    return Counted(counts, every, (~finite).sum(dtype=jnp.uint32), low, high)


class _Edges(NamedTuple):
    """Edges that are computed anew for each value, since looking them up is slow.

    An edge is the rounded product of its number and the width of a bin, plus the
    first edge. The width is split, so that its products are exact, and a compiler
    that joins a product with a sum changes nothing.
    """

    low: jax.Array
    high: jax.Array
    upper: jax.Array  # the leading 12 bits of the width
    lower: jax.Array
    bins: int

    @classmethod
    def between(cls, low: jax.Array, high: jax.Array, bins: int) -> _Edges:
        empty = low > high
        low, high = jnp.where(empty, 0, low), jnp.where(empty, 1, high)
        around = jnp.where(jnp.abs(low) < 2**22, 0.5, jnp.abs(low) / 2)
        around = jnp.where(low < high, 0, around)
        low, high = low - around, high + around
        # A divisor that the compiler knows would become a factor, rounded twice.
        n = lax.optimization_barrier(jnp.float32(bins))
        width = (high - low) / n
        mask = jnp.uint32(0xFFFFF000)
        upper = lax.bitcast_convert_type(
            lax.bitcast_convert_type(width, jnp.uint32) & mask, jnp.float32
        )
        return cls(low, high, upper, width - upper, bins)

    def at(self, number: jax.Array) -> jax.Array:
        """The edge of a number from 0 to bins."""
        n = number.astype(jnp.float32)
        edge = (n * self.upper + n * self.lower) + self.low
        return jnp.where(number == self.bins, self.high, edge)

    def place(self, x: jax.Array) -> jax.Array:
        """The bin of each value: a guess, then put right by the edges."""
        width, last = self.upper + self.lower, self.bins - 1
        guess = jnp.clip((x - self.low) / width, 0, last).astype(jnp.int32)
        guess = guess - (x < self.at(guess)).astype(jnp.int32)
        guess = guess + (x >= self.at(guess + 1)).astype(jnp.int32)
        return jnp.clip(guess, 0, last)
