"""Mean, Sum and Count of an output."""

from __future__ import annotations

from typing import Any

from jaxmetrics.core import (
    Array,
    MeanMetric,
    Statistic,
    count_elements,
    count_leaf,
    sum_leaf,
    total,
)


class Mean(Statistic, MeanMetric):
    """Arithmetic mean of an output, optionally weighted; nan without data.

    `Windowed(Mean("loss"), 100)` is the mean of the last updates, and
    `ByGroup(Mean("loss"), groups=8)` has one for each source of the data.

    Args:
      output: Name of the output; its values may have any shape. `mask` and `weights`
        have its leading axes.
      weighted: Require `weights` and compute `sum(weights * values) / sum(weights)`.
      stderr: Compute `{"mean": ..., "stderr": ...}`, with the standard error of the
        mean, `s / sqrt(n)` of n independent values (`ddof=1`, nan for fewer than two);
        for values that belong together use `Bootstrap`. With weights n is
        `sum(w)**2 / sum(w**2)`: they say how much a value counts, not how often it was
        seen, and a common factor changes nothing. The state then holds moments in place
        of the sum, 32 bytes (40 with weights) in place of 16; the mean is right to 1e-8
        of the deviation, and an infinite value makes the error nan, after a merge also
        the mean. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Mean("loss"), loss=[1.0, 5.0], mask=[True, False]))
      1.0
      >>> value = jm.evaluate(jm.Mean("loss", stderr=True), loss=[1.0, 5.0])
      >>> float(value["mean"]), round(float(value["stderr"]), 6)
      (3.0, 2.0)
    """

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sum of values and number of values (or weights)."""
        return self.mean_leaves(values, mask, weights)


class Sum(Statistic):
    """Sum of an output, optionally weighted; 0 without data.

    Args:
      output: Name of the output; its values may have any shape.
      weighted: Require `weights` and compute `sum(weights * values)`.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Sum("tokens"), tokens=[100, 28]))
      128.0
    """

    weighted: bool = False
    total: Array = sum_leaf()

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sum of values."""
        return dict(total=total(values, mask, weights))

    def compute(self) -> Any:
        """Return the sum, in the unit of the values."""
        return self.total


class Count(Statistic):
    """Number of values of an output, exact up to 2^62; 0 without data.

    Args:
      output: Name of the output; its values may have any shape, each entry counts.

    Example:
      >>> import jaxmetrics as jm
      >>> jm.evaluate(jm.Count("loss"), loss=[1.0, 5.0], mask=[True, False])
      1
    """

    count: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's number of values that are not masked."""
        return dict(count=count_elements(values, mask))

    def compute(self) -> Any:
        """Return the count, an integer."""
        return self.count
