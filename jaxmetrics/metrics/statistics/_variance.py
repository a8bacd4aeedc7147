"""Variance and standard deviation of an output."""

from __future__ import annotations

from typing import Any

from jaxmetrics.core import (
    Statistic,
    child,
    divide,
    moments,
    moments_leaf,
    namespace,
    variance_or_nan,
)


class Variance(Statistic):
    """Variance of an output, `sum((values - mean)**2) / (n - ddof)`; nan without data.

    States are merged as in Chan, Golub and LeVeque (1979), so that precision does not
    suffer from a mean that is large against the deviations. nan for `n <= ddof`.
    Deviations from 1e-16 to 1e18 are right to 1e-6; nan where all are smaller and the
    values are not equal, since float32 does not hold the squares.

    Args:
      output: Name of the output; its values may have any shape.
      ddof: Delta degrees of freedom: 0 for the population variance (NumPy's default),
        1 for the unbiased sample variance.
      weighted: Require `weights` and weight each value by them; needs `ddof=0`.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Variance("loss"), loss=[1.0, 5.0]))
      4.0
    """

    ddof: int = 0
    weighted: bool = False
    moments: Any = moments_leaf(weighted="weighted")

    def validate(self) -> None:
        """Refuse a negative ddof, and one with weights, which do not count samples."""
        _require_ddof(self)

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's count, mean and sum of squared deviations."""
        return dict(moments=moments(values, mask, weights))

    def compute(self) -> Any:
        """Return the variance, in the squared unit of the values."""
        m = self.moments
        variance = variance_or_nan(m.variance, m.n)
        if not self.ddof:
            return variance
        return variance * divide(m.n, namespace(self).maximum(m.n - self.ddof, 0))


class Std(Statistic):
    """Standard deviation of an output, the root of `Variance`; nan without data.

    nan where deviations are below 1e-16, but not 0; see there.

    Args:
      output: Name of the output; its values may have any shape.
      ddof: Delta degrees of freedom: 0 for the population (NumPy's default), 1 for the
        sample.
      weighted: Require `weights` and weight each value by them; needs `ddof=0`.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Std("loss"), loss=[1.0, 5.0]))
      2.0
    """

    ddof: int = 0
    weighted: bool = False
    variance: Variance = child(lambda m: Variance(m.output, m.ddof, m.weighted))

    def validate(self) -> None:
        """Refuse what `Variance` refuses."""
        _require_ddof(self)

    def compute(self) -> Any:
        """Return the standard deviation, in the unit of the values."""
        return namespace(self).sqrt(self.variance.compute())


def _require_ddof(metric: Any) -> None:
    name = type(metric).__name__
    if metric.ddof < 0:
        raise ValueError(
            f"{name}: ddof is {metric.ddof}, but must be at least 0. Leave it out for "
            "the population."
        )
    if metric.weighted and metric.ddof:
        raise ValueError(
            f"{name}: weighted=True goes with ddof=0, got {metric.ddof}. Leave ddof "
            "out."
        )
