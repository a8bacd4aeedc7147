"""The option `stderr=True` of means and fractions: value and error from one state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._decoding import divide
from jaxmetrics.core._moments_kind import MomentsValue, variance_or_nan

_ONE_VALUE = 1 + 1e-5  # effective number of one value; weights round it


def mean_of(total: Any, count: Any) -> Any:
    """Return the mean of a `sum_leaf(moments="stderr")`, as `compute` sees it.

    Args:
      total: Value of the leaf: a sum, or with `stderr=True` moments.
      count: Number of values, or sum of weights.

    Returns:
      The mean; with `stderr=True` a dict of `mean` and `stderr`.
    """
    if isinstance(total, MomentsValue):
        return mean_and_stderr(total)
    return divide(total, count)


def mean_and_stderr(moments: Any) -> dict[str, Any]:
    """Return the mean of a moments leaf and its standard error, as `compute` sees it.

    `s / sqrt(n)` with the unbiased variance s^2, nan for fewer than two values. Of a
    weighted mean n is `effective_n`: the weights say how much a value counts, not how
    often it was seen, so that a common factor of them changes nothing.
    """
    variance = variance_or_nan(moments.variance, moments.n)
    stderr = standard_error(variance, moments.effective_n)
    return dict(mean=moments.mean, stderr=stderr)


def fraction_of(count: Any, total: Any, stderr: bool) -> Any:
    """Return a fraction of counts, as `compute` sees them.

    Args:
      count: Number of values that are 1.
      total: Number of values; the others are 0.
      stderr: Return a dict of `mean` and `stderr`, the standard error of the mean of
        these values, `sqrt(p (1 - p) / (n - 1))`.
    """
    fraction = divide(count, total)
    if not stderr:
        return fraction
    variance = fraction * (1 - fraction)
    return dict(mean=fraction, stderr=standard_error(variance, total))


def standard_error(variance: Any, n: Any) -> Any:
    """Return the standard error of a mean, nan for fewer than two values.

    Args:
      variance: Biased variance of the values.
      n: Number of values, which may be effective.
    """
    xp: Any = jnp if isinstance(variance, jax.Array) else np
    n = xp.asarray(n)
    return xp.sqrt(divide(variance, xp.where(n > _ONE_VALUE, n - 1, 0)))


def check_stderr_of_counts(metric: Any) -> None:
    """Refuse the standard error of a fraction of weights.

    Raises:
      ValueError: The metric is configured with both.
    """
    if metric.stderr and metric.weighted:
        raise ValueError(
            f"{type(metric).__name__}: stderr=True needs weighted=False, since sums of "
            "weights do not tell of how many values they are. Pass the hits to "
            "Mean(stderr=True, weighted=True)."
        )
