"""Tweedie deviance: Poisson, gamma, inverse Gaussian and those in between.

The deviance of a target y from a prediction m is `2 m**(2 - p) g(r)`, where
`r = (y - m) / m` and `g` is the function with `g(0) = g'(0) = 0` and
`g''(r) = (1 + r)**-p`. The formulas of textbooks are differences of terms of the size
of y, which leave nothing of the deviance if y and m are close: y = 10,000 and
m = 10,001 have a Poisson deviance of 1e-4, the difference of two float32 numbers near
1e4. So `g` is summed as its Taylor series where r is small.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import Array, Direction, count_leaf, count_where
from jaxmetrics.metrics.regression._pointwise import PointwiseMean
from jaxmetrics.metrics.regression._series import paired

_SMALL = 0.4  # relative error below which the series is summed
_TERMS = 24


class TweedieDeviance(PointwiseMean):
    """Mean Tweedie deviance; at least 0, lower is better, nan without data.

    As scikit-learn's `mean_tweedie_deviance`. The power p is the exponent of the
    variance of the targets, `mean**p`:

    - 0, normal: `(targets - preds)**2`.
    - 1, Poisson: `2 (y log(y / m) - y + m)`, for targets `y` from 0 and predictions
      `m` above.
    - between 1 and 2, compound Poisson: the same range.
    - 2, gamma: `2 (log(m / y) + y / m - 1)`, for both above 0.
    - from 2 on, such as 3, inverse Gaussian: both above 0.
    - below 0: any targets, predictions above 0.

    Entries outside this range are left out and counted in `invalid` (scikit-learn
    raises an error). Deviances of large counts that are nearly right do not cancel.

    Reads `preds` (predicted means, not their logarithms) and `targets` of one shape.

    Args:
      power: Exponent p, at most 0 or at least 1. Default 0.
      outputs: None takes all entries as one series; a number keeps the last axis, of
        that length, whose entries are outputs with a deviance each.
      weighted: Require `weights` and weight each entry by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.
      average: "uniform" (the default) is the mean over the outputs; "none" gives
        `[outputs]`.

    Example:
      >>> import jaxmetrics as jm
      >>> poisson = jm.TweedieDeviance(power=1)
      >>> round(float(jm.evaluate(poisson, preds=[1.0, 2.0], targets=[0.0, 2.0])), 4)
      1.0
    """

    higher_is_better: ClassVar[Direction] = False

    power: float = 0.0
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse powers that no distribution has."""
        super().validate()
        if 0 < self.power < 1 or not math.isfinite(self.power):
            raise ValueError(
                f"TweedieDeviance: power is {self.power}, but no distribution has one "
                "between 0 and 1. Use 0 (normal), 1 (Poisson), 2 (gamma) or another "
                "power of at least 1."
            )

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sums, and the number of entries out of range."""
        preds, targets, error = paired(preds, targets, self.outputs)
        invalid = jnp.zeros(preds.shape, bool)
        if self.power != 0:
            invalid = preds <= 0
        if self.power >= 1:
            invalid = invalid | (targets <= 0 if self.power >= 2 else targets < 0)
        sums = self.sums(self.loss(preds, targets, error), ~invalid, mask, weights)
        return dict(sums, invalid=count_where(invalid, mask))

    def loss(self, preds: Any, targets: Any, error: Any) -> Any:
        """Return the deviance of each entry."""
        if self.power == 0:
            return error * error
        p = self.power
        ratio = -error / preds
        scale = preds if p == 1 else preds ** jnp.float32(2 - p)
        near = jnp.abs(ratio) < _SMALL
        small = _series(jnp.where(near, ratio, 0), p)
        if p == 1:
            y = targets / preds
            large = jnp.where(y > 0, y * jnp.log(jnp.where(y > 0, y, 1)), 0) - ratio
            large = jnp.where(jnp.isnan(y), y, large)
        elif p == 2:
            large = ratio - jnp.log(targets / preds)
        else:
            y = targets / preds
            start = jnp.maximum(y, 0) if p < 0 else y
            large = start ** jnp.float32(2 - p) / ((1 - p) * (2 - p))
            large = large - y / (1 - p) + 1 / (2 - p)
        return 2 * scale * jnp.where(near, small, large)


def _series(r: Any, power: float) -> Any:
    """Return the sum of `binom(-power, k) r**(k + 2) / ((k + 1) (k + 2))`."""
    coefficients, binomial = [], 1.0
    for k in range(_TERMS):
        coefficients.append(binomial / ((k + 1) * (k + 2)))
        binomial *= -(power + k) / (k + 1)
    result = jnp.zeros_like(r)
    for coefficient in reversed(coefficients):
        result = result * r + jnp.float32(coefficient)
    return result * r * r
