"""Mean, Sum and Count of an output."""

from __future__ import annotations

from typing import Any

from jaxmetrics.core import (
    Array,
    Statistic,
    count_elements,
    count_leaf,
    divide,
    sum_leaf,
    total,
)


class Mean(Statistic):
    """Arithmetic mean of an output, weighted if asked; nan of nothing.

    Args:
      output: the output's name; `values` of any shape, `mask` and `weights` of its
        leading axes.
      weighted: divide by the sum of `weights`, which are then needed.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Mean("loss"), loss=[1.0, 5.0], mask=[True, False]))
      1.0
    """

    weighted: bool = False
    total: Array = sum_leaf()
    count: Array = count_leaf(weighted="weighted")

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """The sum of the values and their number."""
        return dict(
            total=total(values, mask, weights),
            count=count_elements(values, mask, weights),
        )

    def compute(self) -> Any:
        """The mean, in the unit of the values."""
        return divide(self.total, self.count)


class Sum(Statistic):
    """Sum of an output, weighted if asked; 0 of nothing.

    Args:
      output: the output's name; `values` of any shape.
      weighted: multiply by `weights`, which are then needed.
    """

    weighted: bool = False
    total: Array = sum_leaf()

    def observe(
        self, *, values: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """The sum of the values."""
        return dict(total=total(values, mask, weights))

    def compute(self) -> Any:
        """The sum, in the unit of the values."""
        return self.total


class Count(Statistic):
    """How many values an output had, exact to 2^62; 0 of nothing.

    Args:
      output: the output's name; `values` of any shape, each entry counts.
    """

    count: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The number of values that are not masked."""
        return dict(count=count_elements(values, mask))

    def compute(self) -> Any:
        """An integer."""
        return self.count
