"""Base of the metrics that average one number of each prediction and its target."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    count_leaf,
    count_where,
    mean_of,
    moments,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.regression._series import (
    check_outputs,
    check_stderr_by_output,
    mean_by_output,
    paired,
    series,
)


class PointwiseMean(Metric):
    """Base class: a mean over entries, of which a subclass defines the `loss`."""

    outputs: int | None = dataclasses.field(default=None, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    average: str = dataclasses.field(default="uniform", kw_only=True)
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    total: Any = sum_leaf("series", moments="stderr")
    count: Array = count_leaf("series", weighted="weighted")

    @property
    def series(self) -> tuple[int, ...]:
        """Shape of the sums: one per output."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse a number of outputs below 1, and averages without a meaning."""
        check_outputs(type(self).__name__, self.outputs, self.average)
        check_stderr_by_output(self)

    def loss(self, preds: Any, targets: Any, error: Any) -> Any:
        """Return the loss of each entry; a subclass defines it.

        Args:
          preds: Predictions, float32.
          targets: Targets, of the same shape.
          error: `preds - targets`, exact for integers beyond float32 too.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no loss")

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed errors and number of entries."""
        preds, targets, error = paired(preds, targets, self.outputs)
        return self.sums(self.loss(preds, targets, error), None, mask, weights)

    def compute(self) -> Any:
        """Return the mean error, or `[outputs]` of them."""
        if self.stderr:
            return mean_of(self.total, self.count)
        return mean_by_output(self.total, self.count, self.outputs, self.average)

    def sums(self, loss: Any, valid: Any, mask: Any, weights: Any) -> dict[str, Any]:
        """Return sum and number of the losses that are valid and not masked."""
        keep = len(self.series)
        counted = jnp.ones(loss.shape, bool) if valid is None else valid
        counted = both(counted, mask)
        summed = moments if self.stderr else total
        return dict(
            total=summed(loss, counted, weights, keep),
            count=count_where(counted, None, weights, keep),
        )
