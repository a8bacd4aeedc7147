"""Mean squared, root mean squared and mean absolute error."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    child,
    count_leaf,
    count_where,
    divide,
    mean_and_stderr,
    moments,
    namespace,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.regression._series import (
    check_outputs,
    check_stderr_by_output,
    mean_by_output,
    over_outputs,
    paired,
    series,
)


class MeanSquaredError(Metric):
    """Mean of `(preds - targets)**2`; at least 0, lower is better, nan without data.

    As scikit-learn's `mean_squared_error` with `multioutput="uniform_average"`. Reads
    `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight each entry by them.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`, scikit-learn's `multioutput="raw_values"`.
      stderr: Compute `{"mean": ..., "stderr": ...}`, as `Mean(stderr=True)`, of entries
        that are independent; with several outputs it needs `average="none"`. Default
        False.

    Example:
      >>> import jaxmetrics as jm
      >>> mse = jm.MeanSquaredError()
      >>> float(jm.evaluate(mse, preds=[1.0, 2.0], targets=[1.0, 4.0]))
      2.0
    """

    higher_is_better: ClassVar[Direction] = False

    outputs: int | None = None
    weighted: bool = False
    average: str = "uniform"
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    squared_error: Any = sum_leaf("series", moments="stderr")
    count: Array = count_leaf("series", weighted="weighted")

    @property
    def series(self) -> tuple[int, ...]:
        """Shape of the sums: one per output."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse a number of outputs below 1, and averages without a meaning."""
        check_outputs("MeanSquaredError", self.outputs, self.average)
        check_stderr_by_output(self)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed squared errors and number of entries."""
        _, _, error = paired(preds, targets, self.outputs)
        keep = len(self.series)
        summed = moments if self.stderr else total
        return dict(
            squared_error=summed(error * error, mask, weights, keep),
            count=count_where(jnp.ones(error.shape, bool), mask, weights, keep),
        )

    def compute(self) -> Any:
        """Return the error, in the squared unit of the targets."""
        if self.stderr:
            return mean_and_stderr(self.squared_error)
        sums = self.squared_error, self.count
        return mean_by_output(*sums, self.outputs, self.average)


class RootMeanSquaredError(Metric):
    """Root of the mean squared error; at least 0, lower is better, nan without data.

    As scikit-learn's `root_mean_squared_error`: with several outputs it is the mean of
    their roots, not the root of their mean. Reads `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight each entry by them.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`, scikit-learn's `multioutput="raw_values"`.

    Example:
      >>> import jaxmetrics as jm
      >>> rmse = jm.RootMeanSquaredError()
      >>> float(jm.evaluate(rmse, preds=[1.0, 2.0], targets=[3.0, 4.0]))
      2.0
    """

    higher_is_better: ClassVar[Direction] = False

    outputs: int | None = None
    weighted: bool = False
    average: str = "uniform"
    squared: MeanSquaredError = child(lambda m: MeanSquaredError(m.outputs, m.weighted))

    def validate(self) -> None:
        """Refuse a number of outputs below 1 and unknown averages."""
        check_outputs("RootMeanSquaredError", self.outputs, self.average)

    def compute(self) -> Any:
        """Return the error, in the unit of the targets."""
        by_output = divide(self.squared.squared_error, self.squared.count)
        by_output = namespace(self).sqrt(by_output)
        return over_outputs(by_output, self.outputs, self.average)


class MeanAbsoluteError(Metric):
    """Mean of `|preds - targets|`; at least 0, lower is better, nan without data.

    As scikit-learn's `mean_absolute_error` with `multioutput="uniform_average"`. Reads
    `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight each entry by them.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`, scikit-learn's `multioutput="raw_values"`.
      stderr: Compute `{"mean": ..., "stderr": ...}`, as `Mean(stderr=True)`, of entries
        that are independent; with several outputs it needs `average="none"`. Default
        False.

    Example:
      >>> import jaxmetrics as jm
      >>> mae = jm.MeanAbsoluteError()
      >>> float(jm.evaluate(mae, preds=[1.0, 2.0], targets=[1.0, 4.0]))
      1.0
    """

    higher_is_better: ClassVar[Direction] = False

    outputs: int | None = None
    weighted: bool = False
    average: str = "uniform"
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    absolute_error: Any = sum_leaf("series", moments="stderr")
    count: Array = count_leaf("series", weighted="weighted")

    @property
    def series(self) -> tuple[int, ...]:
        """Shape of the sums: one per output."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse a number of outputs below 1, and averages without a meaning."""
        check_outputs("MeanAbsoluteError", self.outputs, self.average)
        check_stderr_by_output(self)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed absolute errors and number of entries."""
        _, _, error = paired(preds, targets, self.outputs)
        keep = len(self.series)
        summed = moments if self.stderr else total
        return dict(
            absolute_error=summed(jnp.abs(error), mask, weights, keep),
            count=count_where(jnp.ones(error.shape, bool), mask, weights, keep),
        )

    def compute(self) -> Any:
        """Return the error, in the unit of the targets."""
        if self.stderr:
            return mean_and_stderr(self.absolute_error)
        sums = self.absolute_error, self.count
        return mean_by_output(*sums, self.outputs, self.average)
