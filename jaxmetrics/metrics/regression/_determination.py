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
    """Share of the targets' variance that is explained; at most 1, higher is better.

    `1 - SSE / SST`, as scikit-learn's `r2_score` with uniform average. The spread of
    the targets is merged from moments, so that an offset does not cancel. nan where
    the targets do not vary.

    Args:
      outputs: None takes all entries of `preds` and `targets` as one series; a number
        keeps their last axis, of this length, and averages over it.
      weighted: weigh each entry by `weights`, which are then needed.
    """

    outputs: int | None = None
    weighted: bool = False
    squared_error: Array = sum_leaf("series")
    targets: Any = moments_leaf("series", weighted="weighted")

    @property
    def series(self) -> tuple[int, ...]:
        """The shape of the sums."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse a number of outputs below 1."""
        check_outputs("R2", self.outputs)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Squared errors, and the moments of the targets."""
        preds, targets = paired(preds, targets)
        keep = len(self.series)
        error = preds - targets
        return dict(
            squared_error=total(error * error, mask, weights, keep),
            targets=moments(targets, mask, weights, keep),
        )

    def compute(self) -> Any:
        """The coefficient."""
        xp = namespace(self)
        spread = self.targets.variance * xp.asarray(self.targets.n)
        each = 1 - divide(self.squared_error, spread)
        return each if self.outputs is None else each.mean(-1)
