"""The option `stderr=True` of means: mean and standard error from one state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._decoding import divide
from jaxmetrics.core._moments_kind import MomentsValue

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
    xp: Any = jnp if isinstance(moments.variance, jax.Array) else np
    n = xp.asarray(moments.effective_n)
    freedom = xp.where(n > _ONE_VALUE, n - 1, 0)
    stderr = xp.sqrt(divide(moments.variance, freedom))
    return dict(mean=moments.mean, stderr=stderr)
