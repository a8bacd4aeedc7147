"""Coefficient of determination."""

from __future__ import annotations

from typing import Any

from jaxmetrics.core import (
    Array,
    Metric,
    divide,
    moments,
    moments_leaf,
    namespace,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.regression._series import check_outputs, paired, series


class R2(Metric):
    """Coefficient of determination, the explained share of the targets' variance.

    `1 - sum((targets - preds)**2) / sum((targets - mean(targets))**2)`, as
    scikit-learn's `r2_score` with `multioutput="uniform_average"`. At most 1, higher
    is better; nan where the targets are constant, and without data. The variance of
    the targets is merged from moments, so that precision does not suffer from a mean
    that is large against the deviations.

    Reads `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, and averages the coefficients over it.
      weighted: Require `weights` and weight each entry by them.

    Example:
      >>> import jaxmetrics as jm
      >>> r2 = jm.evaluate(jm.R2(), preds=[1.0, 2.0, 4.0], targets=[1.0, 2.0, 3.0])
      >>> float(r2)
      0.5
    """

    outputs: int | None = None
    weighted: bool = False
    squared_error: Array = sum_leaf("series")
    targets: Any = moments_leaf("series", weighted="weighted")

    @property
    def series(self) -> tuple[int, ...]:
        """Shape of the sums: one per output."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse a number of outputs below 1."""
        check_outputs("R2", self.outputs)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's squared errors, and the moments of its targets."""
        preds, targets = paired(preds, targets)
        keep = len(self.series)
        error = preds - targets
        return dict(
            squared_error=total(error * error, mask, weights, keep),
            targets=moments(targets, mask, weights, keep),
        )

    def compute(self) -> Any:
        """Return the coefficient."""
        xp = namespace(self)
        squared_deviation = self.targets.variance * xp.asarray(self.targets.n)
        by_output = 1 - divide(self.squared_error, squared_deviation)
        return by_output if self.outputs is None else by_output.mean(-1)
