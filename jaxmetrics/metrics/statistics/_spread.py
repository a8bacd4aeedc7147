"""Variance and standard deviation of an output."""

from __future__ import annotations

from typing import Any

from jaxmetrics.core import Statistic, child, divide, moments, moments_leaf, namespace


class Variance(Statistic):
    """Variance of an output: `M2 / (n - ddof)`; nan of nothing.

    Merged as Chan, Golub and LeVeque (1979), so that an offset does not cancel.

    Args:
      output: the output's name; `values` of any shape.
      ddof: 0 for the population's variance (NumPy's default), 1 for the unbiased one.
      weighted: weigh each value by `weights`, which are then needed (ddof 0 only).
    """

    ddof: int = 0
    weighted: bool = False
    moments: Any = moments_leaf(weighted="weighted")

    def validate(self) -> None:
        """Refuse ddof with weights, where n has no one meaning."""
        if self.weighted and self.ddof:
            raise ValueError(
                f"{type(self).__name__}: weighted=True goes with ddof=0, got "
                f"{self.ddof}. Leave ddof out."
            )

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Count, mean and squared deviations of the batch."""
        return dict(moments=moments(values, mask, weights))

    def compute(self) -> Any:
        """The variance, in the squared unit of the values."""
        m = self.moments
        if not self.ddof:
            return m.variance
        return m.variance * divide(m.n, namespace(self).maximum(m.n - self.ddof, 0))


class Std(Statistic):
    """Standard deviation of an output: the root of `Variance`; nan of nothing.

    Args:
      output: the output's name; `values` of any shape.
      ddof: 0 for the population's (NumPy's default), 1 for the sample's.
      weighted: weigh each value by `weights`, which are then needed (ddof 0 only).
    """

    ddof: int = 0
    weighted: bool = False
    variance: Variance = child(lambda m: Variance(m.output, m.ddof, m.weighted))

    def compute(self) -> Any:
        """The standard deviation, in the unit of the values."""
        return namespace(self).sqrt(self.variance.compute())
