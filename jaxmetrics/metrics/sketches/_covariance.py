"""Covariance matrix and mean vector of an output."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Statistic,
    count_leaf,
    count_where,
    divide,
    moments_leaf,
    namespace,
    pair_add,
    two_sum,
)
from jaxmetrics.metrics.sketches._cells import kept
from jaxmetrics.metrics.sketches._centred import centred


class Covariance(Statistic):
    """Mean vector and covariance matrix of an output's rows; nan of nothing.

    Kept as the moments of the sums `x_i + x_j`, whose variances hold the covariances:
    `(var(x_i + x_j) - var(x_i) - var(x_j)) / 2`. They merge as those of `Variance`, so
    that an offset does not cancel: each covariance is within 1e-6 of the larger of the
    two variances, at a mean of 1e6 standard deviations too.

    A row with a NaN or an infinity is left out and counted in `nonfinite`; see
    `metric.plain()`. The state takes `24 size^2` bytes.

    Args:
      output: the output's name; `values` `[..., size]`, each row a sample.
      size: the length of a row.
      ddof: 0 for the population's covariance, 1 for the unbiased one (`numpy.cov`).

    Returns by `compute`: `mean` [size] and `covariance` [size, size].

    Example:
      >>> import jaxmetrics as jm
      >>> rows = [[1.0, 2.0], [3.0, 6.0]]
      >>> found = jm.evaluate(jm.Covariance("features", size=2), features=rows)
      >>> found["mean"].tolist(), found["covariance"].tolist()
      ([2.0, 4.0], [[1.0, 2.0], [2.0, 4.0]])
    """

    size: int = dataclasses.field(kw_only=True)
    ddof: int = dataclasses.field(default=0, kw_only=True)
    sums: Any = moments_leaf("size size")
    nonfinite: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a size below 1 and a negative ddof."""
        if self.size < 1 or self.ddof < 0:
            raise ValueError(
                "Covariance: size is at least 1 and ddof at least 0, got "
                f"size={self.size}, ddof={self.ddof}."
            )

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The batch's count, and mean and squared deviations of each sum."""
        values = jnp.asarray(values).astype(jnp.float32)
        if values.shape[-1:] != (self.size,):
            raise ValueError(
                f"values have shape {values.shape}, but their last axis is to be of "
                f"size {self.size}. Configure another size=..., or pass rows."
            )
        finite = jnp.isfinite(values).all(axis=-1)
        valid = kept(finite, mask)
        whole = finite & valid
        whole = jnp.broadcast_to(whole[..., None], values.shape)
        n, mean, off = centred(jnp.where(whole, values, 0), whole, keep=1)
        off = off.reshape(-1, self.size)
        products = jnp.matmul(off.T, off, precision="highest")
        own = jnp.diagonal(products)
        spread = two_sum(own[:, None], own)
        pairs = ((mean[0][:, None], mean[1][:, None]), mean)
        return dict(
            sums=(
                jnp.broadcast_to(n, products.shape),
                pair_add(*pairs),
                pair_add(spread, (2 * products, jnp.zeros_like(products))),
            ),
            nonfinite=count_where(~finite, valid),
        )

    def compute(self) -> dict[str, Any]:
        """Mean and covariance, in the unit of the values and its square."""
        xp = namespace(self)
        spread = self.sums.variance
        own = xp.diagonal(spread, axis1=-2, axis2=-1) / 4
        found = (spread - own[..., :, None] - own[..., None, :]) / 2
        if self.ddof:
            n = xp.asarray(self.sums.n)
            found = found * divide(n, xp.maximum(n - self.ddof, 0))
        mean = xp.diagonal(self.sums.mean, axis1=-2, axis2=-1) / 2
        return dict(mean=mean, covariance=found)
