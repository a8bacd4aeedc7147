"""Coefficient of determination."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    both,
    divide,
    mask_like,
    max_leaf,
    maximum,
    min_leaf,
    minimum,
    moments,
    moments_leaf,
    namespace,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.regression._series import (
    check_outputs,
    over_outputs,
    paired,
    series,
    variance_held,
)

_AVERAGES = ("uniform", "variance_weighted", "none")


class R2(Metric):
    """Coefficient of determination, the explained share of the targets' variance.

    `1 - sum((targets - preds)**2) / sum((targets - mean(targets))**2)`, as
    scikit-learn's `r2_score`. At most 1, higher is better; nan without data, for a
    single entry (with weights, which do not tell the number of entries, its targets are
    equal), and where the targets differ by less than about 1e-16, whose squares float32
    does not hold. The variance of the targets is merged from moments, so that
    precision does not suffer from a mean that is large against the deviations.

    Reads `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with a coefficient each.
      weighted: Require `weights` and weight each entry by them.
      average: "uniform" (the default) is the mean over the outputs,
        "variance_weighted" weights it by the variances of the targets; "none" gives
        `[outputs]`. These are scikit-learn's `multioutput`.
      force_finite: Value of an output whose targets are all equal: True (the default,
        as in scikit-learn) gives 1 if the predictions are perfect, else 0; False gives
        nan and -inf. Targets are equal if they are so in float32.
      predictors: Number of independent variables `p` of the model, for the adjusted
        coefficient `1 - (1 - R2) (n - 1) / (n - p - 1)` with `n` entries (as
        torchmetrics' `adjusted`); nan if `n - p - 1` is not positive. Default None.

    Example:
      >>> import jaxmetrics as jm
      >>> r2 = jm.evaluate(jm.R2(), preds=[1.0, 2.0, 4.0], targets=[1.0, 2.0, 3.0])
      >>> float(r2)
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    outputs: int | None = None
    weighted: bool = False
    average: str = "uniform"
    force_finite: bool = True
    predictors: int | None = None
    squared_error: Array = sum_leaf("series")
    targets: Any = moments_leaf("series", weighted="weighted")
    smallest: Array = min_leaf("series")
    largest: Array = max_leaf("series")

    @property
    def series(self) -> tuple[int, ...]:
        """Shape of the sums: one per output."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse impossible outputs, averages and numbers of predictors."""
        check_outputs("R2", self.outputs, self.average, _AVERAGES)
        if self.predictors is None:
            return
        if self.predictors < 0:
            raise ValueError(
                f"R2: predictors is {self.predictors}, but must be at least 0. Pass "
                "the number of independent variables, or leave it out."
            )
        if self.weighted:
            raise ValueError(
                "R2: predictors goes without weighted=True, because a sum of weights "
                "is not a number of samples. Leave one of them out."
            )

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's squared errors, and moments and range of its targets."""
        values = targets
        _, targets, error = paired(preds, values, self.outputs)
        keep = len(self.series)
        counted = mask_like(targets, mask)
        if weights is not None:
            counted = both(counted, jnp.asarray(weights) != 0)
        return dict(
            squared_error=total(error * error, mask, weights, keep),
            targets=moments(values, mask, weights, keep),
            smallest=minimum(targets, counted, keep),
            largest=maximum(targets, counted, keep),
        )

    def compute(self) -> Any:
        """Return the coefficient, or `[outputs]` of them."""
        xp = namespace(self)
        error, n = xp.asarray(self.squared_error), xp.asarray(self.targets.n)
        equal = xp.asarray(self.smallest) == self.largest
        mean, variance = self.targets[1:3]
        spread = variance_held(xp, variance, n, mean, equal) * n
        perfect, wrong = (1.0, 0.0) if self.force_finite else (np.nan, -np.inf)
        constant = xp.where(error > 0, wrong, error + perfect)  # a nan stays
        score = xp.where(spread == 0, constant, 1 - divide(error, spread))
        score = xp.where(n >= (0 if self.weighted else 2), score, np.nan)
        with np.errstate(invalid="ignore"):  # 0 times infinity is nan
            if self.predictors is not None:
                freedom = xp.maximum(n - self.predictors - 1, 0)
                score = 1 - (1 - score) * divide(n - 1, freedom)
            if self.average != "variance_weighted":
                return over_outputs(score, self.outputs, self.average)[()]
            total_spread = spread.sum(-1)
            weighted = divide((spread * score).sum(-1), total_spread)
            return xp.where(total_spread == 0, score.mean(-1), weighted)[()]
