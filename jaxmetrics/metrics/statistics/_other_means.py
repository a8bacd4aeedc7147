"""Geometric and harmonic mean, and the standard error of the arithmetic mean."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Statistic,
    both,
    child,
    count_leaf,
    count_where,
    divide,
    mean_and_stderr,
    namespace,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.statistics._variance import Variance

_SCALE = 4.0  # devices take 1 / x for 0 if x is above 2^126, but not 4 / x


class StandardError(Statistic):
    """Standard error of the mean of an output: how far `Mean` may be off by chance.

    `sqrt(variance / n)` with the unbiased variance of n independent values, as
    `scipy.stats.sem`; nan for fewer than two. The state is that of `Variance`, which a
    collection stores once; `Mean(stderr=True)` returns both, and says what weights
    mean. For values that belong together use `Bootstrap`.

    Args:
      output: Name of the output; its values may have any shape.
      weighted: Require `weights` and weight each value by them.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.StandardError("loss"), loss=[1.0, 3.0, 1.0, 3.0]))**2
      0.3333...
    """

    weighted: bool = False
    variance: Variance = child(lambda m: Variance(m.output, weighted=m.weighted))

    def compute(self) -> Any:
        """Return the standard error, in the unit of the values."""
        return mean_and_stderr(self.variance.moments)["stderr"]


class GeometricMean(Statistic):
    """Geometric mean of an output, `exp(mean(log(values)))`; nan without data.

    As `scipy.stats.gmean`; 0 if a value is 0. Negative values have no logarithm: they
    are left out and counted in `invalid`.

    Args:
      output: Name of the output; its values may have any shape.
      weighted: Require `weights` and weight each value by them.

    Example:
      >>> import jaxmetrics as jm
      >>> round(float(jm.evaluate(jm.GeometricMean("ratio"), ratio=[1.0, 4.0])), 6)
      2.0
    """

    weighted: bool = False
    logs: Array = sum_leaf()
    count: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed logarithms and number of values."""
        values, valid, counts = _not_negative(values, mask, weights)
        return dict(counts, logs=total(jnp.log(values), valid, weights))

    def compute(self) -> Any:
        """Return the mean, in the unit of the values."""
        return namespace(self).exp(divide(self.logs, self.count))


class HarmonicMean(Statistic):
    """Harmonic mean of an output, `1 / mean(1 / values)`; nan without data.

    The mean of rates over equal amounts, such as throughputs of equal batches. As
    `scipy.stats.hmean`; 0 if a value is 0. Negative values are left out and counted in
    `invalid`.

    Args:
      output: Name of the output; its values may have any shape.
      weighted: Require `weights` and weight each value by them.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.HarmonicMean("rate"), rate=[1.0, 0.5, 0.5]))
      0.6
    """

    weighted: bool = False
    inverses: Array = sum_leaf()  # of `values / _SCALE`
    count: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed inverses and number of values."""
        values, valid, counts = _not_negative(values, mask, weights)
        inverses = _SCALE / jnp.abs(values)
        return dict(counts, inverses=total(inverses, valid, weights))

    def compute(self) -> Any:
        """Return the mean, in the unit of the values."""
        xp = namespace(self)
        mean = divide(self.count, self.inverses) * _SCALE
        none = (xp.asarray(self.count) > 0) & (xp.asarray(self.inverses) == 0)
        return xp.where(none, xp.inf, mean)[()]


def _not_negative(values: Any, mask: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Return the values, where they count, and the counts of both kinds."""
    values = jnp.asarray(values).astype(jnp.float32)
    invalid = values < 0
    valid = both(~invalid, mask)
    counts = dict(
        count=count_where(~invalid, mask, weights), invalid=count_where(invalid, mask)
    )
    return values, valid, counts
