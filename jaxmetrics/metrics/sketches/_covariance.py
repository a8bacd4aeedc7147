"""Covariance matrix and mean vector of an output."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
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
from jaxmetrics.metrics.sketches._cells import kept, like_rows
from jaxmetrics.metrics.sketches._centred import centred


class Covariance(Statistic):
    """Mean vector and covariance matrix of an output's rows; nan without data.

    The state holds the moments of the sums `x_i + x_j`, whose variances give the
    covariances: `(var(x_i + x_j) - var(x_i) - var(x_j)) / 2`. They merge as those of
    `Variance`: the error of a covariance is at most 1e-6 of the larger of the two
    variances, also where the mean is 1e6 standard deviations.

    A row with a NaN or an infinity is left out and counted in `nonfinite`; see
    `metric.plain()`. The state takes `24 size^2` bytes. With `ddof=1` the covariance
    of a single row is nan.

    Args:
      output: Name of the output, `[..., size]`, whose rows are the samples.
      size: Length of a row.
      ddof: Delta degrees of freedom: 0 for the population covariance, 1 for the
        unbiased sample covariance (`numpy.cov`).
      weighted: Require `weights` and weight each row by them (the `aweights` of
        `numpy.cov`); needs `ddof=0`.

    Returns by `compute`: `mean` [size] and `covariance` [size, size].

    Example:
      >>> import jaxmetrics as jm
      >>> rows = [[1.0, 2.0], [3.0, 6.0]]
      >>> value = jm.evaluate(jm.Covariance("features", size=2), features=rows)
      >>> value["mean"].tolist(), value["covariance"].tolist()
      ([2.0, 4.0], [[1.0, 2.0], [2.0, 4.0]])
    """

    size: int = dataclasses.field(kw_only=True)
    ddof: int = dataclasses.field(default=0, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    sums: Any = moments_leaf("size size", weighted="weighted")
    nonfinite: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a size below 1, a negative ddof, and ddof with weights."""
        if self.size < 1 or self.ddof < 0:
            raise ValueError(
                "Covariance: size must be at least 1 and ddof at least 0, got "
                f"size={self.size}, ddof={self.ddof}. Set size to the length of a row."
            )
        if self.weighted and self.ddof:
            raise ValueError(
                f"Covariance: weighted=True goes with ddof=0, got {self.ddof}. Leave "
                "ddof out."
            )

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's count, and mean and squared deviations of each sum."""
        values = jnp.asarray(values).astype(jnp.float32)
        if values.shape[-1:] != (self.size,):
            raise ValueError(
                f"Covariance: values have shape {values.shape}, but their last axis "
                f"must have length {self.size}. Set size=... to the length of a row."
            )
        finite = jnp.isfinite(values).all(axis=-1)
        valid, share = kept(finite, mask), None
        if weights is not None:
            share = like_rows(weights, finite)
            valid = valid & (share != 0)
            share = jnp.where(finite & valid, share, jnp.float32(0))
        used = jnp.broadcast_to((finite & valid)[..., None], values.shape)
        values = jnp.where(used, values, jnp.float32(0))
        n, mean, deviation = centred(values, used, 1, share)
        weighted = deviation if share is None else deviation * share[..., None]
        products = jnp.matmul(
            weighted.reshape(-1, self.size).T,
            deviation.reshape(-1, self.size),
            precision="highest",
        )
        squares = jnp.diagonal(products)
        # Squared deviations of x_i + x_j: those of x_i, of x_j, and twice the product.
        both_squares = two_sum(squares[:, None], squares[None])
        mean_row = (mean[0][None], mean[1][None])
        mean_column = (mean[0][:, None], mean[1][:, None])
        return dict(
            sums=(
                jax.tree.map(lambda x: jnp.broadcast_to(x, products.shape), n),
                pair_add(mean_column, mean_row),
                pair_add(both_squares, (2 * products, jnp.zeros_like(products))),
            ),
            nonfinite=count_where(~finite, valid),
        )

    def compute(self) -> dict[str, Any]:
        """Return mean and covariance, in the unit of the values and its square."""
        xp = namespace(self)
        of_sums = self.sums.variance
        variance = xp.diagonal(of_sums, axis1=-2, axis2=-1) / 4  # of x_i + x_i
        covariance = (of_sums - variance[..., :, None] - variance[..., None, :]) / 2
        if self.ddof:
            n = xp.asarray(self.sums.n)
            covariance = covariance * divide(n, xp.maximum(n - self.ddof, 0))
        mean = xp.diagonal(self.sums.mean, axis1=-2, axis2=-1) / 2
        return dict(mean=mean, covariance=covariance)
