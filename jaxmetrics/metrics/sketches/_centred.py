"""Deviations from a batch's mean, precise also for a large mean."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core import Pair, clear_low_bit, count_where, total, two_sum


def centred(
    values: jax.Array, valid: jax.Array, keep: int = 0, weights: Any = None
) -> tuple[Any, Pair, jax.Array]:
    """Return count, mean (as a pair) and deviations from the mean.

    Args:
      values: float32, finite.
      valid: Bool, same shape; deviations of other entries are 0.
      keep: Number of trailing axes over which count and mean are not taken.
      weights: float32, leading axes of the values; the count is then a pair, the sum of
        weights.
    """
    if weights is None:
        n = count_where(valid, keep=keep)
        size = jnp.maximum(n.astype(jnp.float32), 1)
    else:
        n = count_where(valid, None, weights, keep).pair()
        size = jnp.where(n[0] > 0, n[0], jnp.float32(1))
    centre = clear_low_bit(total(values, valid, weights, keep).value() / size)
    axes = tuple(range(values.ndim - keep))
    deviation = values - jnp.expand_dims(centre, axes)
    rest = total(deviation, valid, weights, keep).value() / size
    deviation = deviation - jnp.expand_dims(rest, axes)
    return n, two_sum(centre, rest), jnp.where(valid, deviation, jnp.float32(0))
