"""Errors relative to the size of the targets; ratios, not percent."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import Array, Direction, Metric, divide, namespace, sum_leaf, total
from jaxmetrics.metrics.regression._pointwise import PointwiseMean
from jaxmetrics.metrics.regression._series import (
    check_outputs,
    over_outputs,
    paired,
    series,
)

_EPSILON = 2.0**-52


class MeanAbsolutePercentageError(PointwiseMean):
    """Mean of `|preds - targets| / max(|targets|, epsilon)`; lower is better.

    At least 0, and a ratio: 0.05 is 5 %, as in scikit-learn and torchmetrics (Keras
    gives percent). nan without data. A target near zero makes the value huge; see
    `WeightedMeanAbsolutePercentageError` for one that such targets do not dominate.
    Reads `preds` and `targets` of one shape.

    Args:
      epsilon: Smallest denominator. Default 2^-52, scikit-learn's; torchmetrics has
        1.17e-6 and Keras 1e-7, so that they differ where targets are zero.
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight each entry by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`, scikit-learn's `multioutput="raw_values"`.

    Example:
      >>> import jaxmetrics as jm
      >>> mape = jm.MeanAbsolutePercentageError()
      >>> float(jm.evaluate(mape, preds=[1.0, 3.0], targets=[2.0, 4.0]))
      0.375
    """

    higher_is_better: ClassVar[Direction] = False

    epsilon: float = _EPSILON

    def validate(self) -> None:
        """Refuse an epsilon that is not positive."""
        super().validate()
        _check_epsilon(type(self).__name__, self.epsilon)

    def loss(self, preds: Any, targets: Any, error: Any) -> Any:
        """Return the relative error of each entry."""
        size = jnp.maximum(jnp.abs(targets), jnp.float32(self.epsilon))
        return jnp.abs(error) / size


class SymmetricMeanAbsolutePercentageError(PointwiseMean):
    """Mean of `2 |preds - targets| / max(|preds| + |targets|, epsilon)`.

    In [0, 2], lower is better; 0 where prediction and target are both zero; nan without
    data. As torchmetrics' metric of this name; others leave the factor 2 out, or give
    percent. Reads `preds` and `targets` of one shape.

    Args:
      epsilon: Smallest denominator. Default 2^-52; torchmetrics has 1.17e-6.
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight each entry by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> smape = jm.SymmetricMeanAbsolutePercentageError()
      >>> float(jm.evaluate(smape, preds=[1.0, 0.0], targets=[3.0, 0.0]))
      0.5
    """

    higher_is_better: ClassVar[Direction] = False

    epsilon: float = _EPSILON

    def validate(self) -> None:
        """Refuse an epsilon that is not positive."""
        super().validate()
        _check_epsilon(type(self).__name__, self.epsilon)

    def loss(self, preds: Any, targets: Any, error: Any) -> Any:
        """Return the relative error of each entry."""
        half = jnp.abs(preds) / 2 + jnp.abs(targets) / 2  # the sum may overflow
        size = jnp.maximum(half, jnp.float32(self.epsilon / 2))
        halves = jnp.where(jnp.isinf(error), preds / 2 - targets / 2, error / 2)
        return jnp.abs(halves) / size * 2


class WeightedMeanAbsolutePercentageError(Metric):
    """Sum of the absolute errors over the sum of the absolute targets.

    `sum(|preds - targets|) / sum(|targets|)`, at least 0, lower is better; as
    torchmetrics' metric of this name. nan without data, and where targets and errors
    are all zero; inf where only the targets are (torchmetrics divides by at least
    1.17e-6 and gives 0 and a large number). Reads `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight both sums by them.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> wmape = jm.WeightedMeanAbsolutePercentageError()
      >>> float(jm.evaluate(wmape, preds=[1.0, 5.0], targets=[0.0, 4.0]))
      0.5
    """

    higher_is_better: ClassVar[Direction] = False

    outputs: int | None = dataclasses.field(default=None, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    average: str = dataclasses.field(default="uniform", kw_only=True)
    absolute_error: Array = sum_leaf("series")
    absolute_targets: Array = sum_leaf("series")

    @property
    def series(self) -> tuple[int, ...]:
        """Shape of the sums: one per output."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse a number of outputs below 1 and unknown averages."""
        check_outputs(type(self).__name__, self.outputs, self.average)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed absolute errors and targets."""
        _, targets, error = paired(preds, targets, self.outputs)
        keep = len(self.series)
        return dict(
            absolute_error=total(jnp.abs(error), mask, weights, keep),
            absolute_targets=total(jnp.abs(targets), mask, weights, keep),
        )

    def compute(self) -> Any:
        """Return the ratio of the sums, or `[outputs]` of them."""
        xp = namespace(self)
        error, size = xp.asarray(self.absolute_error), self.absolute_targets
        no_target = xp.where(error > 0, xp.full_like(error, np.inf), np.nan)
        ratio = xp.where(xp.asarray(size) == 0, no_target, divide(error, size))
        return over_outputs(ratio, self.outputs, self.average)[()]


def _check_epsilon(metric: str, epsilon: float) -> None:
    if not 2.0**-126 <= epsilon < 2.0**127:
        raise ValueError(
            f"{metric}: epsilon is {epsilon}, but must be a positive float32. Leave it "
            "out for 2^-52."
        )
