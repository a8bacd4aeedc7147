"""Base class of metrics that are the mean of one value of each example."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxmetrics.core._counting import count_elements, count_where, moments, total
from jaxmetrics.core._leaves import count_leaf, sum_leaf
from jaxmetrics.core._metric import Metric
from jaxmetrics.core._standard_error import mean_of


class MeanMetric(Metric):
    """Base class: the mean of one value of each example, or token, image, query.

    A subclass returns `self.mean_leaves(values, mask, weights)` from `observe`, with
    the contributions to its other leaves if there are any. What it computes with
    `stderr=True` are a mean and its standard error.

    Args:
      weighted: Require `weights` and weight each value by them.
      stderr: Compute `{"mean": ..., "stderr": ...}`, as `Mean(stderr=True)`, of values
        that are independent.
    """

    weighted: bool = dataclasses.field(default=False, kw_only=True)
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    total: Any = sum_leaf("means", moments="stderr")
    count: Any = count_leaf("means", weighted="weighted")

    @property
    def means(self) -> tuple[int, ...]:
        """Shape of the mean; a subclass with several of them overrides it."""
        return ()

    def mean_leaves(
        self, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the contributions of a batch to `total` and `count`.

        Args:
          values: Real numbers `[..., *means]`.
          mask: Bool, leading axes of the values; False leaves values out.
          weights: Float, leading axes of the values, or None.
        """
        keep = len(self.means)
        summed = moments if self.stderr else total
        if keep:
            ones = jnp.ones(jnp.shape(values), bool)
            count = count_where(ones, mask, weights, keep)
        else:
            count = count_elements(values, mask, weights)
        return dict(total=summed(values, mask, weights, keep), count=count)

    def compute(self) -> Any:
        """Return the mean, in the unit of the values, or mean and standard error."""
        return mean_of(self.total, self.count)
