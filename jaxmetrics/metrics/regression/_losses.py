"""Means of losses of the error: Huber, pinball and plain, and Minkowski's distance."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    count_leaf,
    count_where,
    max_leaf,
    maximum,
    namespace,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.regression._pointwise import PointwiseMean
from jaxmetrics.metrics.regression._series import (
    check_outputs,
    over_outputs,
    paired,
    series,
)


class HuberLoss(PointwiseMean):
    """Mean of the Huber loss: squared for small errors, linear for large ones.

    `e**2 / 2` where `|e| <= delta`, else `delta * (|e| - delta / 2)`, for errors `e`;
    at least 0, lower is better, nan without data. As `torch.nn.HuberLoss`, Keras'
    `Huber` and `optax.losses.huber_loss`. Reads `preds` and `targets` of one shape.

    Args:
      delta: Size of an error from which on the loss is linear. Default 1.
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with a loss each.
      weighted: Require `weights` and weight each entry by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> loss = jm.evaluate(jm.HuberLoss(), preds=[1.0, 5.0], targets=[2.0, 2.0])
      >>> float(loss)
      1.5
    """

    higher_is_better: ClassVar[Direction] = False

    delta: float = 1.0

    def validate(self) -> None:
        """Refuse a delta that is not positive."""
        super().validate()
        if not 0 < self.delta < math.inf:
            raise ValueError(
                f"HuberLoss: delta is {self.delta}, but must be positive. Pass the "
                "size of an error from which on the loss is linear."
            )

    def loss(self, preds: Any, targets: Any, error: Any) -> Any:
        """Return the loss of each entry."""
        size, delta = jnp.abs(error), jnp.float32(self.delta)
        squared = jnp.minimum(size, delta)
        linear = delta * (size - delta / 2)
        return jnp.where(size <= delta, squared * squared / 2, linear)


class PinballLoss(PointwiseMean):
    """Mean of the pinball loss, which a predicted quantile minimises.

    `quantile * (targets - preds)` where the target is larger, else
    `(1 - quantile) * (preds - targets)`; at least 0, lower is better, nan without data.
    As scikit-learn's `mean_pinball_loss`, whose `alpha` the quantile is. Reads `preds`
    and `targets` of one shape.

    Args:
      quantile: The quantile that is predicted, in [0, 1]. Default 0.5, which gives half
        the mean absolute error.
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with a loss each.
      weighted: Require `weights` and weight each entry by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`, scikit-learn's `multioutput="raw_values"`.

    Example:
      >>> import jaxmetrics as jm
      >>> loss = jm.PinballLoss(0.75)
      >>> float(jm.evaluate(loss, preds=[1.0, 5.0], targets=[3.0, 3.0]))
      1.0
    """

    higher_is_better: ClassVar[Direction] = False

    quantile: float = 0.5

    def validate(self) -> None:
        """Refuse a quantile outside [0, 1]."""
        super().validate()
        if not 0 <= self.quantile <= 1:
            raise ValueError(
                f"PinballLoss: quantile is {self.quantile}, but must be in [0, 1]. "
                "Write 95 % as 0.95."
            )

    def loss(self, preds: Any, targets: Any, error: Any) -> Any:
        """Return the loss of each entry."""
        above, below = jnp.float32(self.quantile), jnp.float32(1 - self.quantile)
        return jnp.where(error > 0, below * error, -above * error)


class MeanBiasError(PointwiseMean):
    """Mean of `preds - targets`: positive where the predictions are too large.

    Zero is best; nan without data. Errors of both signs cancel, so it says nothing of
    their size. Some definitions have the other sign. Reads `preds` and `targets` of one
    shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with a bias each.
      weighted: Require `weights` and weight each entry by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> bias = jm.MeanBiasError()
      >>> float(jm.evaluate(bias, preds=[1.0, 4.0], targets=[2.0, 2.0]))
      0.5
    """

    def loss(self, preds: Any, targets: Any, error: Any) -> Any:
        """Return the error of each entry."""
        return error


class MinkowskiDistance(Metric):
    """Distance of predictions and targets: `sum(|preds - targets|**p)**(1 / p)`.

    At least 0, lower is better; nan without data. A sum over all entries, not a mean:
    it grows with their number. As torchmetrics' `MinkowskiDistance` and
    `scipy.spatial.distance.minkowski`; `p=1` is the Manhattan and `p=2` the Euclidean
    distance, and `MaxError` is the limit of large `p`. Powers of errors must stay
    below 3e38. Reads `preds` and `targets` of one shape.

    Args:
      p: Exponent, at least 1. Default 2.
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with a distance each.
      weighted: Require `weights` and weight each summand by them.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> distance = jm.MinkowskiDistance(2)
      >>> float(jm.evaluate(distance, preds=[3.0, 0.0], targets=[0.0, 4.0]))
      5.0
    """

    higher_is_better: ClassVar[Direction] = False

    p: float = 2.0
    outputs: int | None = dataclasses.field(default=None, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    average: str = dataclasses.field(default="uniform", kw_only=True)
    powers: Array = sum_leaf("series")
    count: Array = count_leaf("series")

    @property
    def series(self) -> tuple[int, ...]:
        """Shape of the sums: one per output."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse an exponent below 1."""
        check_outputs("MinkowskiDistance", self.outputs, self.average)
        if not 1 <= self.p < math.inf:
            raise ValueError(
                f"MinkowskiDistance: p is {self.p}, but must be a finite number from "
                "1. Use MaxError for the largest error."
            )

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed powers of errors and number of entries."""
        _, _, error = paired(preds, targets, self.outputs)
        keep, size = len(self.series), jnp.abs(error)
        powers = size if self.p == 1 else size ** jnp.float32(self.p)
        powers = size * size if self.p == 2 else powers
        return dict(
            powers=total(powers, mask, weights, keep),
            count=count_where(jnp.ones(size.shape, bool), mask, None, keep),
        )

    def compute(self) -> Any:
        """Return the distance, in the unit of the targets."""
        xp = namespace(self)
        distance = xp.asarray(self.powers) ** (1 / self.p)
        distance = xp.where(xp.asarray(self.count) > 0, distance, xp.nan)
        return over_outputs(distance, self.outputs, self.average)[()]


class MaxError(Metric):
    """Largest `|preds - targets|`; at least 0, lower is better, nan without data.

    As scikit-learn's `max_error`. A NaN makes it nan. Exact: the same bits under any
    split of the data. Reads `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> largest = jm.evaluate(jm.MaxError(), preds=[1.0, 5.0], targets=[2.0, 2.0])
      >>> float(largest)
      3.0
    """

    higher_is_better: ClassVar[Direction] = False

    outputs: int | None = dataclasses.field(default=None, kw_only=True)
    average: str = dataclasses.field(default="uniform", kw_only=True)
    largest: Array = max_leaf("series")

    @property
    def series(self) -> tuple[int, ...]:
        """Shape of the state: one per output."""
        return series(self.outputs)

    def validate(self) -> None:
        """Refuse a number of outputs below 1 and unknown averages."""
        check_outputs("MaxError", self.outputs, self.average)

    def observe(self, *, preds: Any, targets: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's largest error."""
        _, _, error = paired(preds, targets, self.outputs)
        return dict(largest=maximum(jnp.abs(error), mask, len(self.series)))

    def compute(self) -> Any:
        """Return the error, in the unit of the targets."""
        xp = namespace(self)
        largest = xp.asarray(self.largest)
        largest = xp.where(xp.isneginf(largest), xp.nan, largest)
        return over_outputs(largest, self.outputs, self.average)[()]
