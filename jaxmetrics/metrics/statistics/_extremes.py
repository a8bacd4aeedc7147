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
    """Largest value of an output; NaN if any value was, nan of nothing.

    Args:
      output: the output's name; `values` of any shape.
    """

    largest: Array = max_leaf()
    count: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The batch's largest value."""
        return dict(largest=maximum(values, mask), count=count_elements(values, mask))

    def compute(self) -> Any:
        """The maximum, in the unit of the values."""
        return namespace(self).where(self.count > 0, self.largest, np.nan)[()]


class Min(Statistic):
    """Smallest value of an output; NaN if any value was, nan of nothing.

    Args:
      output: the output's name; `values` of any shape.
    """

    smallest: Array = min_leaf()
    count: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The batch's smallest value."""
        return dict(smallest=minimum(values, mask), count=count_elements(values, mask))

    def compute(self) -> Any:
        """The minimum, in the unit of the values."""
        return namespace(self).where(self.count > 0, self.smallest, np.nan)[()]


class Last(Statistic):
    """The last value of an output that was not masked; nan of nothing.

    Order matters, so `merge` does not commute: the right one wins if it saw a value.
    Of arrays the last entry counts; over devices the one with the highest index.

    Args:
      output: the output's name; `values` of any shape.
    """

    value: Array = leaf(fill=np.nan)
    seen: Array = leaf(dtype=np.uint32)

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The last entry in row-major order."""
        values = jnp.asarray(values, jnp.float32)
        valid = jnp.ones(values.shape, bool)
        valid = both(valid, mask if values.ndim else None).ravel()
        place = jnp.arange(valid.size)
        at = jnp.where(valid, place, -1).max(initial=-1)
        value = jnp.where(place == at, values.ravel(), jnp.float32(0)).sum()
        seen = at >= 0
        return dict(
            value=jnp.where(seen, value, jnp.float32(jnp.nan)),
            seen=seen.astype(jnp.uint32),
        )

    def merge(self, other: Any) -> Self:
        """The other's value, or this one's if the other saw none."""
        newer = jnp.asarray(other.seen) > 0
        return (
            super()
            .merge(other)
            .replace(
                value=jnp.where(newer, other.value, self.value),
                seen=jnp.maximum(self.seen, other.seen),
            )
        )

    def compute(self) -> Any:
        """The value, in the unit of the output."""
        return self.value
