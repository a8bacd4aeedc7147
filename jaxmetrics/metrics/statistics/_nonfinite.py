"""Count of values that are not finite."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import Array, Statistic, count_leaf, count_where


class NonFiniteCount(Statistic):
    """Number of values of an output that are NaN or infinite; 0 without data.

    Exact up to 2^62.

    Args:
      output: Name of the output; its values may have any shape, each entry counts.

    Example:
      >>> import jaxmetrics as jm
      >>> jm.evaluate(jm.NonFiniteCount("loss"), loss=[1.0, float("nan")])
      1
    """

    count: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's number of values that are neither finite nor masked."""
        return dict(count=count_where(~jnp.isfinite(jnp.asarray(values)), mask))

    def compute(self) -> Any:
        """Return the count, an integer."""
        return self.count
