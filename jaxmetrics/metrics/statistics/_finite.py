"""How many values of an output are not finite."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import Array, Statistic, count_leaf, count_where


class NonFiniteCount(Statistic):
    """How many values of an output were NaN or infinite, exact to 2^62; 0 of nothing.

    Args:
      output: the output's name; `values` of any shape, each entry counts.

    Example:
      >>> import jaxmetrics as jm
      >>> jm.evaluate(jm.NonFiniteCount("loss"), loss=[1.0, float("nan")])
      1
    """

    count: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The number of values that are neither finite nor masked."""
        return dict(count=count_where(~jnp.isfinite(values), mask))

    def compute(self) -> Any:
        """An integer."""
        return self.count
