"""Deviations from a batch's mean, right at an offset."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxmetrics.core import Pair, count_where, settled, total, two_sum


def centred(
    values: jax.Array, valid: jax.Array, keep: int = 0
) -> tuple[jax.Array, Pair, jax.Array]:
    """Count and mean (as a pair) over all axes but the last `keep`, and deviations.

    Args:
      values: float32, finite.
      valid: bool of their shape; elsewhere a deviation is 0.
      keep: how many trailing axes stay.
    """
    n = count_where(valid, keep=keep)
    size = jnp.maximum(n.astype(jnp.float32), 1)
    centre = settled(total(values, valid, keep=keep) / size)
    off = values - centre
    rest = total(off, valid, keep=keep) / size
    return n, two_sum(centre, rest), jnp.where(valid, off - rest, 0)
