"""Covariance matrix and mean vector of an output."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Statistic,
    as_numbers,
    count_leaf,
    count_where,
    like_values,
    mask_like,
    mean_and_covariance,
    moments_leaf,
    moments_of_sums,
    namespace,
    variance_or_nan,
)


class Covariance(Statistic):
    """Mean vector and covariance matrix of an output's rows; nan without data.

    The state holds the moments of the sums `x_i + x_j`, whose variances give the
    covariances: `(var(x_i + x_j) - var(x_i) - var(x_j)) / 2`. They merge as those of
    `Variance`: the error of a covariance is at most 1e-6 of the larger of the two
    variances, also where the mean is 1e6 standard deviations. nan of a column whose
    deviations are all below 1e-16, but not 0, whose squares float32 does not hold.

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
        values = as_numbers(values)
        if values.shape[-1:] != (self.size,):
            raise ValueError(
                f"Covariance: values have shape {values.shape}, but their last axis "
                f"must have length {self.size}. Set size=... to the length of a row."
            )
        finite = jnp.isfinite(values).all(axis=-1)
        valid, share = mask_like(finite, mask), None
        if weights is not None:
            share = like_values(weights, finite)
            valid = valid & (share != 0)
            share = jnp.where(finite & valid, share, jnp.float32(0))
        return dict(
            sums=moments_of_sums(values, finite & valid, share),
            nonfinite=count_where(~finite, valid),
        )

    def compute(self) -> dict[str, Any]:
        """Return mean and covariance, in the unit of the values and its square."""
        xp = namespace(self)
        mean, covariance = mean_and_covariance(self.sums, self.ddof)
        variance = xp.diagonal(covariance, axis1=-2, axis2=-1)
        n = xp.diagonal(xp.asarray(self.sums.n), axis1=-2, axis2=-1)
        is_held = variance_or_nan(variance, n) == variance
        is_held = is_held[..., :, None] & is_held[..., None, :]
        return dict(mean=mean, covariance=xp.where(is_held, covariance, np.nan))
