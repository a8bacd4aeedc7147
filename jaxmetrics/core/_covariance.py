"""Mean vector and covariance matrix of rows, as moments of sums of two columns.

The moments of `x_i + x_j` merge as those of one series do, about a common centre, and
give the covariance `(var(x_i + x_j) - var(x_i) - var(x_j)) / 2`. So it does not cancel
where a mean is large against the deviations.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._arithmetic import (
    Pair,
    clear_low_bit,
    difference,
    kept_above_zero,
    pair_add,
    two_sum,
)
from jaxmetrics.core._counting import count_where, deviations_differ, total
from jaxmetrics.core._decoding import divide


def centred(
    values: jax.Array, valid: jax.Array, keep: int = 0, weights: Any = None
) -> tuple[Any, Pair, jax.Array]:
    """Return count, mean (as a pair) and deviations from the mean, 0 of equal values.

    Args:
      values: float32, finite; or int32 or uint32.
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
    deviation = difference(values, jnp.expand_dims(centre, axes))
    rest = total(deviation, valid, weights, keep).value() / size
    deviation = deviation - jnp.expand_dims(rest, axes)
    deviation = jnp.where(valid, deviation, jnp.float32(0))
    differ = jnp.expand_dims(deviations_differ(deviation, centre, axes), axes)
    deviation = jnp.where(differ, deviation, jnp.float32(0))
    return n, two_sum(centre, rest), deviation


def moments_of_sums(values: jax.Array, valid: jax.Array, weights: Any = None) -> Any:
    """Return the contribution of rows to a `moments_leaf("size size")`.

    Args:
      values: float32, int32 or uint32 `[..., size]`.
      valid: Bool `[...]`: rows that count, whose values are finite.
      weights: float32 `[...]`, finite, or None.
    """
    used = jnp.broadcast_to(valid[..., None], values.shape)
    values = jnp.where(used, values, values.dtype.type(0))
    size = values.shape[-1]
    n, mean, deviation = centred(values, used, 1, weights)
    weighted = deviation if weights is None else deviation * weights[..., None]
    products = jnp.matmul(
        weighted.reshape(-1, size).T,
        deviation.reshape(-1, size),
        precision="highest",
    )
    squares = jnp.diagonal(products)
    # Squared deviations of x_i + x_j: those of x_i, of x_j, and twice the product.
    both_squares = two_sum(squares[:, None], squares[None])
    differ = (deviation != 0).any(tuple(range(values.ndim - 1)))
    differ = differ[:, None] | differ[None]
    mean_row = (mean[0][None], mean[1][None])
    mean_column = (mean[0][:, None], mean[1][:, None])
    sums = pair_add(both_squares, (2 * products, jnp.zeros_like(products)))
    of_weights = [] if weights is None else [total(weights * weights, valid).pair()]

    def of_each_sum(x: jax.Array) -> jax.Array:
        return jnp.broadcast_to(x, products.shape)

    return (
        jax.tree.map(of_each_sum, n),
        pair_add(mean_column, mean_row),
        kept_above_zero(sums, differ),
        *jax.tree.map(of_each_sum, of_weights),
    )


def mean_and_covariance(sums: Any, ddof: int = 0) -> tuple[Any, Any]:
    """Return mean `[..., size]` and covariance `[..., size, size]`.

    Args:
      sums: Leaf of `moments_of_sums`, as `compute` sees it.
      ddof: Delta degrees of freedom; with 1 the covariance of a single row is nan.
    """
    xp: Any = jnp if isinstance(sums.variance, jax.Array) else np
    of_sums = sums.variance
    variance = xp.diagonal(of_sums, axis1=-2, axis2=-1) / 4  # of x_i + x_i
    covariance = (of_sums - variance[..., :, None] - variance[..., None, :]) / 2
    if ddof:
        n = xp.asarray(sums.n)
        covariance = covariance * divide(n, xp.maximum(n - ddof, 0))
    mean = xp.diagonal(sums.mean, axis1=-2, axis2=-1) / 2
    return mean, covariance
