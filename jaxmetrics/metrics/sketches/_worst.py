"""The largest values of an output with their ids, such as the worst examples."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import Array, Statistic, count_leaf, count_where, leaf, namespace
from jaxmetrics.metrics.sketches._cells import kept
from jaxmetrics.metrics.sketches._hashing import require_integers, words

_EMPTY = np.uint32(0xFFFFFFFF)  # order of a row that holds no value
_SIGN = np.uint32(1 << 31)
_ROW_LEAVES = ("orders", "ids", "largest")
_EMPTY_ROW = (_EMPTY, -1, 0)


class Worst(Statistic):
    """The k largest values of an output with their ids: the worst examples by loss.

    Exact, the same under any sharding, batches and order; of equal values those of the
    lowest ids are kept. For the smallest values pass their negative. The state takes
    `12 k` bytes, and its reduction that many for each device. Infinities count; values
    that are NaN are left out and counted in `invalid`.

    The update sorts the batch: under plain jit a batch that is sharded over devices is
    gathered for that. The deferred form gathers nothing until its value is computed.

    Args:
      output: Name of the output, of any shape. It also reads `ids`, integers of the
        same shape, such as the numbers of the examples in the data set.
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
    largest: Array = leaf("k")
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
        require_integers("Worst", "ids", ids)
        if ids.shape != values.shape:
            raise ValueError(
                f"Worst: ids have shape {ids.shape} and values {values.shape}; each "
                "value needs an id. Pass ids of the values' shape."
            )
        values = values.astype(jnp.float32)
        valid = kept(values, mask)
        counted = valid & ~jnp.isnan(values)
        word = words(jnp.where(counted, values, jnp.float32(0)))
        # Falls as the value rises: all bits of a positive float flipped but the sign.
        order = jnp.where(word >> 31 == 1, word, ~word ^ _SIGN)
        order = jnp.where(counted, order, _EMPTY)
        ids = jnp.where(counted, ids.astype(jnp.int32), -1)
        rows = order.ravel(), ids.ravel(), lax.bitcast_convert_type(word, jnp.float32)
        orders, ids, largest = self._first(rows[0], rows[1], rows[2].ravel())
        return dict(
            orders=orders,
            ids=ids,
            largest=largest,
            invalid=count_where(valid & ~counted),
        )

    def merge(self, other: Any) -> Self:
        """Return the largest values of both."""
        merged = super().merge(other)
        pairs = ((getattr(self, name), getattr(other, name)) for name in _ROW_LEAVES)
        rows = [jnp.concatenate([jnp.asarray(x) for x in pair], -1) for pair in pairs]
        return merged.replace(**dict(zip(_ROW_LEAVES, self._first(*rows))))

    def compute(self) -> dict[str, Any]:
        """Return the values and their ids."""
        xp = namespace(self)
        is_empty = xp.asarray(self.orders).astype(np.uint32) == _EMPTY
        nan = (np.float64 if xp is np else np.float32)(np.nan)
        return dict(values=xp.where(is_empty, nan, self.largest), ids=self.ids)

    def _first(self, orders: Any, ids: Any, largest: Any) -> list[jax.Array]:
        """Return the first k rows in order, padded if there are fewer."""
        missing = max(0, self.k - orders.shape[-1])
        rows = [
            jnp.pad(row, [(0, missing)], constant_values=fill)
            for row, fill in zip((orders, ids, largest), _EMPTY_ROW)
        ]
        return [row[: self.k] for row in lax.sort(rows, num_keys=2)]
