"""Pearson's and Lin's correlation of predictions and targets."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    both,
    child,
    comoments,
    comoments_leaf,
    divide,
    mask_like,
    max_leaf,
    maximum,
    min_leaf,
    minimum,
    namespace,
)
from jaxmetrics.metrics.regression._series import (
    check_outputs,
    over_outputs,
    paired,
    series,
    variance_held,
)


class PearsonCorrelation(Metric):
    """Pearson's correlation of predictions and targets, their linear relation.

    `cov(preds, targets) / (std(preds) std(targets))`, in [-1, 1], as
    `scipy.stats.pearsonr`. Means, variances and covariance are merged about a common
    centre: at means of 1e4 standard deviations the error is 1e-6. nan where predictions
    or targets are all equal (in float32) or differ by less than about 1e-16, for fewer
    than two entries, and if a value is NaN or infinite.

    Reads `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with a correlation each.
      weighted: Require `weights` and weight each entry by them.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.PearsonCorrelation()
      >>> value = jm.evaluate(metric, preds=[1.0, 2.0, 4.0], targets=[1.0, 3.0, 5.0])
      >>> round(float(value), 4)
      0.982
    """

    outputs: int | None = dataclasses.field(default=None, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    average: str = dataclasses.field(default="uniform", kw_only=True)
    pairs: Any = comoments_leaf("series", weighted="weighted")
    smallest: Array = min_leaf("2 series")  # of predictions and targets
    largest: Array = max_leaf("2 series")

    @property
    def series(self) -> tuple[int, ...]:
        """Shape of the moments: one per output."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse a number of outputs below 1 and unknown averages."""
        check_outputs("PearsonCorrelation", self.outputs, self.average)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's co-moments and ranges."""
        values = preds, targets
        preds, targets, _ = paired(preds, targets, self.outputs)
        keep = len(self.series)
        counted = mask_like(targets, mask)
        if weights is not None:
            counted = both(counted, jnp.asarray(weights) != 0)
        smallest = [minimum(x, counted, keep) for x in (preds, targets)]
        largest = [maximum(x, counted, keep) for x in (preds, targets)]
        return dict(
            pairs=comoments(*values, mask, weights, keep),
            smallest=jnp.stack(smallest),
            largest=jnp.stack(largest),
        )

    def compute(self) -> Any:
        """Return the correlation, or `[outputs]` of them."""
        return over_outputs(self.by_output(), self.outputs, self.average)[()]

    def by_output(self) -> Any:
        """Return the correlation of each output, where decoded."""
        xp = namespace(self)
        x, y = self._variances()
        value = divide(self.pairs.covariance, xp.sqrt(x) * xp.sqrt(y))
        return xp.clip(value, -1, 1)

    def _variances(self) -> tuple[Any, Any]:
        """Return those of predictions and targets, where decoded.

        Of equal values it is 0, and nan where float32 did not hold it.
        """
        xp, pairs = namespace(self), self.pairs
        equal = xp.asarray(self.smallest) == self.largest
        axis = -1 - len(self.series)
        moments = (
            (pairs.mean_x, pairs.variance_x),
            (pairs.mean_y, pairs.variance_y),
        )
        x, y = (
            variance_held(xp, variance, pairs.n, mean, xp.take(equal, i, axis=axis))
            for i, (mean, variance) in enumerate(moments)
        )
        return x, y


class ConcordanceCorrelation(Metric):
    """Lin's concordance correlation: how close the pairs lie to the line of equality.

    `2 cov(preds, targets) / (var(preds) + var(targets) + (mean(preds) -
    mean(targets))**2)` with population moments (Lin 1989; torchmetrics divides the
    variances and the covariance by n - 1), in [-1, 1], higher is better; 1 only if
    predictions equal targets, while Pearson's correlation forgives scale and offset.
    The state is that of `PearsonCorrelation`. nan where predictions and targets all are
    the same number, or all of them differ by less than about 1e-16, and without data.

    Reads `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with a correlation each.
      weighted: Require `weights` and weight each entry by them.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.ConcordanceCorrelation()
      >>> value = jm.evaluate(metric, preds=[2.0, 3.0, 4.0], targets=[1.0, 2.0, 3.0])
      >>> round(float(value), 4)
      0.5714
    """

    higher_is_better: ClassVar[Direction] = True

    outputs: int | None = dataclasses.field(default=None, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    average: str = dataclasses.field(default="uniform", kw_only=True)
    pearson: PearsonCorrelation = child(
        lambda m: PearsonCorrelation(outputs=m.outputs, weighted=m.weighted)
    )

    def validate(self) -> None:
        """Refuse a number of outputs below 1 and unknown averages."""
        check_outputs("ConcordanceCorrelation", self.outputs, self.average)

    def compute(self) -> Any:
        """Return the correlation, or `[outputs]` of them."""
        xp, state = namespace(self), self.pearson
        pairs = state.pairs
        distance = pairs.mean_difference * pairs.mean_difference
        x, y = state._variances()
        covariance = xp.where((x == 0) | (y == 0), 0, pairs.covariance)
        spread = pairs.variance_x + pairs.variance_y + distance
        spread = variance_held(xp, spread, pairs.n, 0.0, spread < 0)
        value = divide(2 * covariance, spread)
        return over_outputs(value, self.outputs, self.average)[()]
