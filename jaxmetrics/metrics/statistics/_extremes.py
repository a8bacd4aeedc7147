"""Max, Min and Last of an output."""

from __future__ import annotations

from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Statistic,
    both,
    count_elements,
    count_leaf,
    leaf,
    max_leaf,
    maximum,
    min_leaf,
    minimum,
    namespace,
)


class Max(Statistic):
    """Largest value of an output; NaN if any value is NaN, nan without data.

    Args:
      output: Name of the output; its values may have any shape.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Max("loss"), loss=[1.0, 5.0]))
      5.0
    """

    largest: Array = max_leaf()
    count: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's largest value and its number of values."""
        return dict(largest=maximum(values, mask), count=count_elements(values, mask))

    def compute(self) -> Any:
        """Return the maximum, in the unit of the values."""
        return namespace(self).where(self.count > 0, self.largest, np.nan)[()]


class Min(Statistic):
    """Smallest value of an output; NaN if any value is NaN, nan without data.

    Args:
      output: Name of the output; its values may have any shape.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Min("loss"), loss=[1.0, 5.0]))
      1.0
    """

    smallest: Array = min_leaf()
    count: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's smallest value and its number of values."""
        return dict(smallest=minimum(values, mask), count=count_elements(values, mask))

    def compute(self) -> Any:
        """Return the minimum, in the unit of the values."""
        return namespace(self).where(self.count > 0, self.smallest, np.nan)[()]


class Last(Statistic):
    """Last value of an output that was not masked; nan without data.

    Order matters, so `merge` is not commutative: the right operand wins if it has a
    value. Of an array the last entry in row-major order counts; over devices that of
    the device with the highest index.

    Args:
      output: Name of the output; its values may have any shape.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.Last("loss"), loss=[1.0, 5.0], mask=[True, False]))
      1.0
    """

    value: Array = leaf(fill=np.nan)
    seen: Array = leaf(dtype=np.uint32)

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's last value, and 1 if it has one, else 0."""
        values = jnp.asarray(values, jnp.float32)
        valid = jnp.ones(values.shape, bool)
        valid = both(valid, mask).ravel()
        index = jnp.arange(valid.size)
        last = jnp.where(valid, index, -1).max(initial=-1)
        value = jnp.where(index == last, values.ravel(), jnp.float32(0)).sum()
        seen = last >= 0
        return dict(
            value=jnp.where(seen, value, jnp.float32(jnp.nan)),
            seen=seen.astype(jnp.uint32),
        )

    def merge(self, other: Any) -> Self:
        """Return the value of `other`, or of this metric if `other` has none."""
        other_has_value = jnp.asarray(other.seen) > 0
        return (
            super()
            .merge(other)
            .replace(
                value=jnp.where(other_has_value, other.value, self.value),
                seen=jnp.maximum(self.seen, other.seen),
            )
        )

    def compute(self) -> Any:
        """Return the value, in the unit of the output."""
        return self.value
