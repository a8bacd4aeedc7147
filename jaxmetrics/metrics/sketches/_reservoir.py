"""A uniform sample of an output's values that is the same for any split of the data."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import (
    Array,
    Statistic,
    check_choice,
    count_leaf,
    count_where,
    leaf,
    mask_like,
    namespace,
)
from jaxmetrics.metrics.sketches._hashing import (
    is_int32,
    require_int32,
    salted,
    words,
)
from jaxmetrics.metrics.sketches._lowest_rows import (
    EMPTY,
    ids_of_words,
    lowest_rows,
    merged_rows,
    words_of_ids,
)

_PRIORITIES = ("id and value", "id")


class Reservoir(Statistic):
    """Uniform sample of an output's values, each with its id.

    Every value gets a priority, a hash of its id and itself, and the values with the
    `capacity` smallest priorities are kept (bottom-k sampling). So the sample does not
    depend on sharding, batches or their order, and holds all values while there are at
    most `capacity`. The rank of a quantile of the sample has a standard error of at
    most `0.5 / sqrt(capacity)`, 3 % by default.

    Pass a unique id with each observation, such as `step * rows + row`: observations
    with equal id and value are sampled together. NaN and infinities, and values whose
    id is no int32, are counted in `nonfinite`, others in `seen`; see `metric.plain()`.
    The state takes `12 capacity` bytes, and its reduction that many for each device.

    Args:
      output: Name of the output, of any shape. It also reads `ids`, integers of the
        same shape; no uint32.
      capacity: Number of values to keep. Default 256.
      seed: Seed of the hash; another seed draws another sample.
      by: What a priority is the hash of: "id and value" (the default), or "id" alone.
        Then two runs keep the values of the same examples, so that they can be compared
        pair by pair; each id must be passed only once, since those of equal ids have
        equal priorities.

    Returns by `compute`: `values` [capacity] and `ids` [capacity], ordered by priority.
    Rows without a value are nan and -1.

    Example:
      >>> import jaxmetrics as jm
      >>> reservoir = jm.Reservoir("loss", capacity=4)
      >>> sample = jm.evaluate(reservoir, loss=[0.5, 0.25, 1.0], ids=[10, 11, 12])
      >>> sorted(sample["ids"].tolist())
      [-1, 10, 11, 12]
    """

    capacity: int = dataclasses.field(default=256, kw_only=True)
    seed: int = dataclasses.field(default=0, kw_only=True)
    by: str = dataclasses.field(default="id and value", kw_only=True)
    priorities: Array = leaf("capacity", dtype=np.uint32, fill=0xFFFFFFFF)
    ids: Array = leaf("capacity", dtype=np.int32, fill=-1)
    sample: Array = leaf("capacity")
    seen: Array = count_leaf()
    nonfinite: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a capacity below 1, and unknown kinds of priority."""
        check_choice("Reservoir", "by", self.by, _PRIORITIES)
        if self.capacity < 1:
            raise ValueError(
                f"Reservoir: capacity is {self.capacity}, but must be at least 1. "
                "Leave it out for 256 values."
            )

    def observe(self, *, values: Any, ids: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's smallest priorities, their ids and values."""
        values, ids = jnp.asarray(values), jnp.asarray(ids)
        require_int32("Reservoir", "ids", ids)
        if ids.shape != values.shape:
            raise ValueError(
                f"Reservoir: ids have shape {ids.shape} and values {values.shape}; "
                "each value needs an id. Pass ids of the values' shape."
            )
        values = values.astype(jnp.float32)
        valid = mask_like(values, mask)
        finite = jnp.isfinite(values) & valid & is_int32(ids)
        word = words(values)
        priority = salted(words(ids), self.seed)
        if self.by == "id and value":
            priority = priority ^ word
        priority = salted(priority, 1)
        priority = jnp.minimum(priority, EMPTY - np.uint32(1))
        priority = jnp.where(finite, priority, EMPTY)
        rows = lowest_rows([priority, words_of_ids(ids), word], self.capacity)
        return dict(
            **_leaves(*rows),
            seen=count_where(finite),
            nonfinite=count_where(valid & ~finite),
        )

    def merge(self, other: Any) -> Self:
        """Return the rows with the smallest priorities of both samples."""
        rows = merged_rows(_words(self), _words(other), self.capacity)
        return super().merge(other).replace(**_leaves(*rows))

    def compute(self) -> dict[str, Any]:
        """Return the sampled values and their ids."""
        xp = namespace(self)
        is_empty = xp.asarray(self.priorities).astype(np.uint32) == EMPTY
        nan = (np.float64 if xp is np else np.float32)(np.nan)
        return dict(values=xp.where(is_empty, nan, self.sample), ids=self.ids)


def _words(state: Reservoir) -> list[jax.Array]:
    """Return the words by which the rows of a sample are ordered."""
    ids = words_of_ids(jnp.asarray(state.ids))
    sample = lax.bitcast_convert_type(jnp.asarray(state.sample), jnp.uint32)
    return [jnp.asarray(state.priorities), ids, sample]


def _leaves(
    priorities: jax.Array, numbers: jax.Array, sample: jax.Array
) -> dict[str, jax.Array]:
    """Return the leaves that hold rows."""
    is_empty = priorities == EMPTY
    return dict(
        priorities=priorities,
        ids=jnp.where(is_empty, -1, ids_of_words(numbers)),
        sample=lax.bitcast_convert_type(jnp.where(is_empty, 0, sample), jnp.float32),
    )
