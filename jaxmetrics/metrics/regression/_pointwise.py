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
    """Base class: a mean over entries, of which a subclass defines the `error`."""

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

    def error(self, preds: Any, targets: Any) -> Any:
        """Return the error of each entry; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no error")

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed errors and number of entries."""
        preds, targets = paired(preds, targets, self.outputs)
        return self.sums(self.error(preds, targets), None, mask, weights)

    def compute(self) -> Any:
        """Return the mean error, or `[outputs]` of them."""
        if self.stderr:
            return mean_of(self.total, self.count)
        return mean_by_output(self.total, self.count, self.outputs, self.average)

    def sums(self, error: Any, valid: Any, mask: Any, weights: Any) -> dict[str, Any]:
        """Return sum and number of the errors that are valid and not masked."""
        keep = len(self.series)
        counted = jnp.ones(error.shape, bool) if valid is None else valid
        counted = both(counted, mask)
        summed = moments if self.stderr else total
        return dict(
            total=summed(error, counted, weights, keep),
            count=count_where(counted, None, weights, keep),
        )
