"""Errors relative to the spread of the targets."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    both,
    child,
    divide,
    mask_like,
    max_leaf,
    maximum,
    min_leaf,
    minimum,
    moments,
    moments_leaf,
    namespace,
)
from jaxmetrics.metrics.regression._determination import R2
from jaxmetrics.metrics.regression._series import (
    check_outputs,
    over_outputs,
    paired,
    series,
    variance_held,
)

_AVERAGES = ("uniform", "variance_weighted", "none")
_NORMALIZATIONS = ("mean", "range", "std", "l2")


class ExplainedVariance(Metric):
    """Explained fraction of the targets' variance; at most 1, higher is better.

    `1 - var(targets - preds) / var(targets)`, as scikit-learn's
    `explained_variance_score`. Unlike `R2` it forgives a constant bias of the
    predictions. Both variances are merged from moments, so that precision does not
    suffer from a mean that is large against the deviations. nan without data, for a
    single entry (with weights, which do not tell the number of entries, its targets are
    equal), and where the targets differ by less than about 1e-16.

    Reads `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with a value each.
      weighted: Require `weights` and weight each entry by them.
      average: "uniform" (the default) is the mean over the outputs,
        "variance_weighted" weights it by the variances of the targets; "none" gives
        `[outputs]`. These are scikit-learn's `multioutput`.
      force_finite: Value of an output whose targets are all equal: True (the default,
        as in scikit-learn) gives 1 if the errors are all equal too, else 0; False gives
        nan and -inf. Values are equal if they are so in float32.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.ExplainedVariance()
      >>> value = jm.evaluate(metric, preds=[2.0, 3.0, 4.0], targets=[1.0, 2.0, 3.0])
      >>> float(value)
      1.0
    """

    higher_is_better: ClassVar[Direction] = True

    outputs: int | None = dataclasses.field(default=None, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    average: str = dataclasses.field(default="uniform", kw_only=True)
    force_finite: bool = dataclasses.field(default=True, kw_only=True)
    errors: Any = moments_leaf("series", weighted="weighted")
    targets: Any = moments_leaf("series", weighted="weighted")
    smallest: Array = min_leaf("2 series")  # of targets and errors
    largest: Array = max_leaf("2 series")

    @property
    def series(self) -> tuple[int, ...]:
        """Shape of the moments: one per output."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse impossible outputs and averages."""
        name = type(self).__name__
        check_outputs(name, self.outputs, self.average, _AVERAGES)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's moments and ranges of the errors and of the targets."""
        values = targets
        _, targets, error = paired(preds, values, self.outputs)
        keep = len(self.series)
        counted = mask_like(targets, mask)
        if weights is not None:
            counted = both(counted, jnp.asarray(weights) != 0)
        smallest = [minimum(x, counted, keep) for x in (targets, error)]
        largest = [maximum(x, counted, keep) for x in (targets, error)]
        return dict(
            errors=moments(error, mask, weights, keep),
            targets=moments(values, mask, weights, keep),
            smallest=jnp.stack(smallest),
            largest=jnp.stack(largest),
        )

    def compute(self) -> Any:
        """Return the fraction, or `[outputs]` of them."""
        xp = namespace(self)
        axis = -1 - len(self.series)
        equal = xp.asarray(self.smallest) == self.largest
        same_targets, same_errors = (xp.take(equal, i, axis=axis) for i in (0, 1))
        n = xp.asarray(self.targets.n)
        mean, variance = self.targets[1:3]
        spread = variance_held(xp, variance, n, mean, same_targets)
        error = xp.where(same_errors, 0, self.errors.variance)
        perfect, wrong = (1.0, 0.0) if self.force_finite else (np.nan, -np.inf)
        constant = xp.where(error > 0, wrong, error + perfect)  # a nan stays
        score = xp.where(spread == 0, constant, 1 - divide(error, spread))
        score = xp.where(n >= (0 if self.weighted else 2), score, np.nan)
        if self.average != "variance_weighted":
            return over_outputs(score, self.outputs, self.average)[()]
        with np.errstate(invalid="ignore"):  # 0 times infinity is nan
            total = spread.sum(-1)
            weighted = divide((spread * score).sum(-1), total)
            return xp.where(total == 0, score.mean(-1), weighted)[()]


class RelativeSquaredError(Metric):
    """Squared error relative to that of the mean of the targets, `1 - R2`.

    `sum((targets - preds)**2) / sum((targets - mean(targets))**2)`, at least 0, lower
    is better; 1 is as good as the mean. As torchmetrics' `RelativeSquaredError`. The
    state is that of `R2`, and right at a large mean. Where all targets are equal it is
    inf, or nan if the predictions are perfect; nan without data, for a single entry
    (with weights, which do not tell the number of entries, its targets are equal), and
    where the targets differ by less than about 1e-16.

    Reads `preds` and `targets` of one shape.

    Args:
      squared: False takes the root of the ratio, of each output. Default True.
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight each entry by them.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.RelativeSquaredError()
      >>> value = jm.evaluate(metric, preds=[1.0, 2.0, 4.0], targets=[1.0, 2.0, 3.0])
      >>> float(value)
      0.5
    """

    higher_is_better: ClassVar[Direction] = False

    squared: bool = dataclasses.field(default=True, kw_only=True)
    outputs: int | None = dataclasses.field(default=None, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    average: str = dataclasses.field(default="uniform", kw_only=True)
    state: R2 = child(lambda m: R2(m.outputs, m.weighted))

    def validate(self) -> None:
        """Refuse a number of outputs below 1 and unknown averages."""
        check_outputs("RelativeSquaredError", self.outputs, self.average)

    def compute(self) -> Any:
        """Return the ratio, or `[outputs]` of them."""
        xp, state = namespace(self), self.state
        error, n = xp.asarray(state.squared_error), xp.asarray(state.targets.n)
        equal = xp.asarray(state.smallest) == state.largest
        mean, variance = state.targets[1:3]
        spread = variance_held(xp, variance, n, mean, equal) * n
        constant = xp.where(error > 0, xp.full_like(error, np.inf), np.nan)
        ratio = xp.where(spread == 0, constant, divide(error, spread))
        ratio = xp.where(n >= (0 if self.weighted else 2), ratio, np.nan)
        ratio = ratio if self.squared else xp.sqrt(ratio)
        return over_outputs(ratio, self.outputs, self.average)[()]


class NormalizedRootMeanSquaredError(Metric):
    """Root mean squared error over a measure of the targets' size.

    At least 0, lower is better, nan without data and where the measure is 0. As
    torchmetrics' metric of this name. The state is that of `R2`, and right at a large
    mean. Reads `preds` and `targets` of one shape.

    Args:
      normalization: Measure to divide by: "mean" (the default), the magnitude of the
        mean of the targets (torchmetrics keeps its sign); "range", the difference of
        the largest and smallest one; "std", their population standard deviation; "l2",
        the root of the sum of their squares, as in torchmetrics, so that the value
        falls with the number of entries.
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight each entry by them.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.NormalizedRootMeanSquaredError(normalization="range")
      >>> float(jm.evaluate(metric, preds=[2.0, 5.0], targets=[1.0, 6.0]))
      0.2
    """

    higher_is_better: ClassVar[Direction] = False

    normalization: str = dataclasses.field(default="mean", kw_only=True)
    outputs: int | None = dataclasses.field(default=None, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    average: str = dataclasses.field(default="uniform", kw_only=True)
    state: R2 = child(lambda m: R2(m.outputs, m.weighted))

    def validate(self) -> None:
        """Refuse unknown normalizations, and impossible outputs."""
        name = type(self).__name__
        check_outputs(name, self.outputs, self.average)
        if self.normalization not in _NORMALIZATIONS:
            raise ValueError(
                f"{name}: normalization is {self.normalization!r}, but must be one of "
                f"{_NORMALIZATIONS}. Leave it out for the mean."
            )

    def compute(self) -> Any:
        """Return the ratio, or `[outputs]` of them."""
        xp, state = namespace(self), self.state
        n, mean, variance = (xp.asarray(x) for x in state.targets[:3])
        smallest, largest = xp.asarray(state.smallest), xp.asarray(state.largest)
        equal = smallest == largest
        error = xp.sqrt(divide(state.squared_error, n))
        if self.normalization == "mean":
            size = xp.abs(mean)
        elif self.normalization == "range":
            size = xp.where(n > 0, largest, 0) - xp.where(n > 0, smallest, 0)
        elif self.normalization == "std":
            size = xp.sqrt(variance_held(xp, variance, n, mean, equal))
        else:
            size = xp.sqrt(n * (xp.where(equal, 0, variance) + mean * mean))
        ratio = divide(error, size)
        return over_outputs(ratio, self.outputs, self.average)[()]
