"""Mean squared, root mean squared and mean absolute error."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    child,
    count_leaf,
    count_where,
    divide,
    namespace,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.regression._series import check_outputs, paired, series


class MeanSquaredError(Metric):
    """Mean of `(preds - targets)**2`; at least 0, lower is better.

    As scikit-learn's `mean_squared_error` with uniform average over outputs.

    Args:
      outputs: None takes all entries of `preds` and `targets` as one series; a number
        keeps their last axis, of this length, and averages over it.
      weighted: weigh each entry by `weights`, which are then needed.

    Example:
      >>> import jaxmetrics as jm
      >>> mse = jm.MeanSquaredError()
      >>> float(jm.evaluate(mse, preds=[1.0, 2.0], targets=[1.0, 4.0]))
      2.0
    """

    outputs: int | None = None
    weighted: bool = False
    squared_error: Array = sum_leaf("series")
    count: Array = count_leaf("series", weighted="weighted")

    @property
    def series(self) -> tuple[int, ...]:
        """The shape of the sums."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse a number of outputs below 1."""
        check_outputs("MeanSquaredError", self.outputs)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Summed squared errors, and the number of entries."""
        preds, targets = paired(preds, targets)
        keep, error = len(self.series), preds - targets
        return dict(
            squared_error=total(error * error, mask, weights, keep),
            count=count_where(jnp.ones(error.shape, bool), mask, weights, keep),
        )

    def compute(self) -> Any:
        """The error, in the squared unit of the targets."""
        each = divide(self.squared_error, self.count)
        return each if self.outputs is None else each.mean(-1)


class RootMeanSquaredError(Metric):
    """Root of the mean squared error; at least 0, lower is better.

    As scikit-learn's `root_mean_squared_error`: with several outputs the mean of
    their roots, not the root of their mean.

    Args:
      outputs: None takes all entries of `preds` and `targets` as one series; a number
        keeps their last axis, of this length, and averages over it.
      weighted: weigh each entry by `weights`, which are then needed.
    """

    outputs: int | None = None
    weighted: bool = False
    squared: MeanSquaredError = child(lambda m: MeanSquaredError(m.outputs, m.weighted))

    def validate(self) -> None:
        """Refuse a number of outputs below 1."""
        check_outputs("RootMeanSquaredError", self.outputs)

    def compute(self) -> Any:
        """The error, in the unit of the targets."""
        each = divide(self.squared.squared_error, self.squared.count)
        each = namespace(self).sqrt(each)
        return each if self.outputs is None else each.mean(-1)


class MeanAbsoluteError(Metric):
    """Mean of `|preds - targets|`; at least 0, lower is better.

    As scikit-learn's `mean_absolute_error` with uniform average over outputs.

    Args:
      outputs: None takes all entries of `preds` and `targets` as one series; a number
        keeps their last axis, of this length, and averages over it.
      weighted: weigh each entry by `weights`, which are then needed.
    """

    outputs: int | None = None
    weighted: bool = False
    absolute_error: Array = sum_leaf("series")
    count: Array = count_leaf("series", weighted="weighted")

    @property
    def series(self) -> tuple[int, ...]:
        """The shape of the sums."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse a number of outputs below 1."""
        check_outputs("MeanAbsoluteError", self.outputs)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Summed absolute errors, and the number of entries."""
        preds, targets = paired(preds, targets)
        keep, error = len(self.series), preds - targets
        return dict(
            absolute_error=total(jnp.abs(error), mask, weights, keep),
            count=count_where(jnp.ones(error.shape, bool), mask, weights, keep),
        )

    def compute(self) -> Any:
        """The error, in the unit of the targets."""
        each = divide(self.absolute_error, self.count)
        return each if self.outputs is None else each.mean(-1)
