"""The largest values of an output with their ids, such as the worst examples."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Statistic,
    count_leaf,
    count_where,
    leaf,
    mask_like,
    namespace,
)
from jaxmetrics.metrics.sketches._hashing import is_int32, require_int32, words
from jaxmetrics.metrics.sketches._lowest_rows import (
    EMPTY,
    ids_of_words,
    lowest_rows,
    merged_rows,
    words_of_ids,
)

_SIGN = np.uint32(1 << 31)


class Worst(Statistic):
    """The k largest values of an output with their ids: the worst examples by loss.

    Exact in float32, to which integers beyond 2^24 are rounded, and the same under any
    sharding, batches and order; of equal values those of the lowest ids are kept. For
    the smallest values pass their negative. The state takes `8 k` bytes, and its
    reduction that many for each device. Infinities count; values that are NaN, or whose
    id is no int32, are left out and counted in `invalid`.

    Under plain jit a batch that is sharded over devices is not gathered: the devices
    exchange counts and `k` rows.

    Args:
      output: Name of the output, of any shape. It also reads `ids`, integers of the
        same shape, such as the numbers of the examples in the data set; no uint32.
      k: Number of values to keep. Default 16.

    Returns by `compute`: `values` [k], falling, and `ids` [k]. Rows without a value are
    nan and -1.

    Example:
      >>> import jaxmetrics as jm
      >>> worst = jm.Worst("loss", k=2)
      >>> rows = jm.evaluate(worst, loss=[0.5, 4.0, 1.0, 4.0], ids=[10, 11, 12, 9])
      >>> rows["values"].tolist(), rows["ids"].tolist()
      ([4.0, 4.0], [9, 11])
    """

    k: int = dataclasses.field(default=16, kw_only=True)
    orders: Array = leaf("k", dtype=np.uint32, fill=0xFFFFFFFF)
    ids: Array = leaf("k", dtype=np.int32, fill=-1)
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a k below 1."""
        if self.k < 1:
            raise ValueError(
                f"Worst: k is {self.k}, but must be at least 1. Leave it out for 16 "
                "values."
            )

    def observe(self, *, values: Any, ids: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's largest values, their ids and order."""
        values, ids = jnp.asarray(values), jnp.asarray(ids)
        require_int32("Worst", "ids", ids)
        if ids.shape != values.shape:
            raise ValueError(
                f"Worst: ids have shape {ids.shape} and values {values.shape}; each "
                "value needs an id. Pass ids of the values' shape."
            )
        values = values.astype(jnp.float32)
        valid = mask_like(values, mask)
        counted = valid & ~jnp.isnan(values) & is_int32(ids)
        order = jnp.where(counted, _falling(words(values)), EMPTY)
        orders, numbers = lowest_rows([order, words_of_ids(ids)], self.k)
        return dict(
            orders=orders,
            ids=_ids(orders, numbers),
            invalid=count_where(valid & ~counted),
        )

    def merge(self, other: Any) -> Self:
        """Return the largest values of both."""
        orders, numbers = merged_rows(_words(self), _words(other), self.k)
        merged = super().merge(other)
        return merged.replace(orders=orders, ids=_ids(orders, numbers))

    def compute(self) -> dict[str, Any]:
        """Return the values and their ids."""
        xp = namespace(self)
        orders = xp.asarray(self.orders).astype(np.uint32)
        values = _falling(orders).view(np.float32)
        nan = (np.float64 if xp is np else np.float32)(np.nan)
        return dict(values=xp.where(orders == EMPTY, nan, values), ids=self.ids)


def _falling(word: Any) -> Any:
    """Return words that fall as the float of the bits rises; this is its own inverse.

    All bits of a positive float are flipped but the sign. For NumPy or jax arrays.
    """
    xp = np if isinstance(word, np.ndarray) else jnp
    return xp.where(word >> 31 == 1, word, ~word ^ _SIGN)


def _words(state: Worst) -> list[jax.Array]:
    return [jnp.asarray(state.orders), words_of_ids(jnp.asarray(state.ids))]


def _ids(orders: jax.Array, numbers: jax.Array) -> jax.Array:
    return jnp.where(orders == EMPTY, -1, ids_of_words(numbers))
