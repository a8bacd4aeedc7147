"""The option `stderr=True` of means: mean and standard error from one state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._decoding import divide


def mean_and_stderr(moments: Any) -> dict[str, Any]:
    """Return the mean of a moments leaf and its standard error, as `compute` sees it.

    `s / sqrt(n)` with the unbiased variance s^2, nan for fewer than two values.
    """
    xp: Any = jnp if isinstance(moments.variance, jax.Array) else np
    freedom = xp.maximum(xp.asarray(moments.n) - 1, 0)
    stderr = xp.sqrt(divide(moments.variance, freedom))
    return dict(mean=moments.mean, stderr=stderr)


def check_stderr(metric: str, stderr: bool, weighted: bool) -> None:
    """Refuse a standard error of a weighted mean, whose n is not a number of values."""
    if stderr and weighted:
        raise ValueError(
            f"{metric}: stderr=True goes with weighted=False, since weights do not say "
            "how many independent values there are. Use jm.Bootstrap for an interval."
        )
