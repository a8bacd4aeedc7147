"""Mean, Sum and Count of an output."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxmetrics.core import (
    Array,
    Statistic,
    check_stderr,
    count_elements,
    count_leaf,
    divide,
    mean_and_stderr,
    moments,
    sum_leaf,
    total,
)


class Mean(Statistic):
    """Arithmetic mean of an output, optionally weighted; nan without data.

    `Windowed(Mean("loss"), 100)` is the mean of the last updates, and
    `ByGroup(Mean("loss"), groups=8)` has one for each source of the data.

    Args:
      output: Name of the output; its values may have any shape. `mask` and `weights`
        have its leading axes.
      weighted: Require `weights` and compute `sum(weights * values) / sum(weights)`.
      stderr: Compute `{"mean": ..., "stderr": ...}`, with the standard error of the
        mean, `s / sqrt(n)` of n independent values (`ddof=1`, nan for fewer than two);
        for values that belong together use `Bootstrap`. The state then holds moments in
        place of the sum, 32 bytes in place of 16; the mean is right to 1e-8 of the
        deviation, and an infinite value makes the error nan, after a merge also the
        mean. Not for weighted means. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Mean("loss"), loss=[1.0, 5.0], mask=[True, False]))
      1.0
      >>> value = jm.evaluate(jm.Mean("loss", stderr=True), loss=[1.0, 5.0])
      >>> float(value["mean"]), round(float(value["stderr"]), 6)
      (3.0, 2.0)
    """

    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    total: Any = sum_leaf(moments="stderr")
    count: Array = count_leaf(weighted="weighted")

    def validate(self) -> None:
        """Refuse a standard error of a weighted mean."""
        check_stderr("Mean", self.stderr, self.weighted)

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sum of values and number of values (or weights)."""
        summed = moments if self.stderr else total
        return dict(
            total=summed(values, mask, weights),
            count=count_elements(values, mask, weights),
        )

    def compute(self) -> Any:
        """Return the mean, in the unit of the values, or mean and standard error."""
        if self.stderr:
            return mean_and_stderr(self.total)
        return divide(self.total, self.count)


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
