"""Errors on a logarithmic scale, and the logarithm of the hyperbolic cosine."""

from __future__ import annotations

import dataclasses
import math
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
    namespace,
)
from jaxmetrics.metrics.regression._pointwise import PointwiseMean
from jaxmetrics.metrics.regression._series import check_outputs, over_outputs, paired


class MeanSquaredLogError(PointwiseMean):
    """Mean of `(log(1 + targets) - log(1 + preds))**2`; at least 0, lower is better.

    As scikit-learn's `mean_squared_log_error`; nan without data. Entries in which a
    prediction or a target is -1 or less have no logarithm: they are left out and
    counted in `invalid` (scikit-learn raises an error). The difference of the
    logarithms is taken from the ratio, so that it does not cancel for large values.

    Reads `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight each entry by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`, scikit-learn's `multioutput="raw_values"`.

    Example:
      >>> import jaxmetrics as jm
      >>> msle = jm.MeanSquaredLogError()
      >>> round(float(jm.evaluate(msle, preds=[1.0, 2.0], targets=[1.0, 5.0])), 4)
      0.2402
    """

    higher_is_better: ClassVar[Direction] = False

    invalid: Array = count_leaf()

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sums, and the number of entries without a logarithm."""
        preds, targets, error = paired(preds, targets, self.outputs)
        invalid = (preds <= -1) | (targets <= -1)
        sums = self.sums(self.loss(preds, targets, error), ~invalid, mask, weights)
        return dict(sums, invalid=count_where(invalid, mask))

    def loss(self, preds: Any, targets: Any, error: Any) -> Any:
        """Return the squared difference of the logarithms."""
        ratio = -error / (1 + preds)
        far = ratio < -0.5  # where log1p(ratio) would lose the digits of a small ratio
        difference = jnp.log1p(targets) - jnp.log1p(preds)
        difference = jnp.where(far, difference, jnp.log1p(ratio))
        return difference * difference


class RootMeanSquaredLogError(Metric):
    """Root of the mean squared logarithmic error; at least 0, lower is better.

    As scikit-learn's `root_mean_squared_log_error`: with several outputs it is the mean
    of their roots. nan without data; entries of -1 or less are left out and counted in
    `invalid`, as in `MeanSquaredLogError`. Reads `preds` and `targets` of one shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight each entry by them.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> rmsle = jm.RootMeanSquaredLogError()
      >>> round(float(jm.evaluate(rmsle, preds=[1.0, 2.0], targets=[1.0, 5.0])), 4)
      0.4901
    """

    higher_is_better: ClassVar[Direction] = False

    outputs: int | None = dataclasses.field(default=None, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    average: str = dataclasses.field(default="uniform", kw_only=True)
    squared: MeanSquaredLogError = child(
        lambda m: MeanSquaredLogError(outputs=m.outputs, weighted=m.weighted)
    )

    def validate(self) -> None:
        """Refuse a number of outputs below 1 and unknown averages."""
        check_outputs("RootMeanSquaredLogError", self.outputs, self.average)

    def compute(self) -> Any:
        """Return the error, on the scale of natural logarithms."""
        by_output = divide(self.squared.total, self.squared.count)
        by_output = namespace(self).sqrt(by_output)
        return over_outputs(by_output, self.outputs, self.average)


class LogCoshError(PointwiseMean):
    """Mean of `log(cosh(preds - targets))`; at least 0, lower is better.

    Near `e**2 / 2` for small errors `e` and `|e| - log(2)` for large ones, and exact
    for both. As torchmetrics' `LogCoshError` and Keras' `LogCosh`, which lose the
    digits of errors below 1e-3. nan without data. Reads `preds` and `targets` of one
    shape.

    Args:
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with an error each.
      weighted: Require `weights` and weight each entry by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> value = jm.evaluate(jm.LogCoshError(), preds=[1.0, 2.0], targets=[1.0, 5.0])
      >>> round(float(value), 4)
      1.1547
    """

    higher_is_better: ClassVar[Direction] = False

    def loss(self, preds: Any, targets: Any, error: Any) -> Any:
        """Return the logarithm of the hyperbolic cosine of each error."""
        size = jnp.abs(error)
        half = jnp.sinh(jnp.minimum(size, 1) / 2)
        small = jnp.log1p(2 * half * half)
        large = size + (jnp.log1p(jnp.exp(-2 * size)) - jnp.float32(math.log(2)))
        return jnp.where(size < 1, small, large)
