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
    is_known,
    leaf,
    namespace,
)
from jaxmetrics.metrics.sketches._cells import count_cells, kept
from jaxmetrics.metrics.sketches._hashing import require_integers, salted, words

_EMPTY = np.uint32(0xFFFFFFFF)  # priority of a row that holds no value
_SPARE_ROWS = 8  # for equal priorities, which need a collision of 32-bit hashes
_ROW_LEAVES = ("priorities", "ids", "sample")
_EMPTY_ROW = (_EMPTY, -1, 0)
_PRIORITIES = ("id and value", "id")


class Reservoir(Statistic):
    """Uniform sample of an output's values, each with its id.

    Every value gets a priority, a hash of its id and itself, and the values with the
    `capacity` smallest priorities are kept (bottom-k sampling). So the sample does not
    depend on sharding, batches or their order, and holds all values while there are at
    most `capacity`. The rank of a quantile of the sample has a standard error of at
    most `0.5 / sqrt(capacity)`, 3 % by default.

    Pass a unique id with each observation, such as `step * rows + row`: observations
    with equal id and value are sampled together. NaN and infinities are counted in
    `nonfinite`, other values in `seen`; see `metric.plain()`. The state takes
    `12 capacity` bytes, and its reduction that many for each device.

    Args:
      output: Name of the output, of any shape. It also reads `ids`, integers of the
        same shape.
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
        require_integers("Reservoir", "ids", ids)
        if ids.shape != values.shape:
            raise ValueError(
                f"Reservoir: ids have shape {ids.shape} and values {values.shape}; "
                "each value needs an id. Pass ids of the values' shape."
            )
        values = values.astype(jnp.float32)
        valid = kept(values, mask)
        finite = jnp.isfinite(values) & valid
        word = words(values)
        priority = salted(words(ids), self.seed)
        if self.by == "id and value":
            priority = priority ^ word
        priority = salted(priority, 1)
        priority = jnp.where(
            finite, jnp.minimum(priority, _EMPTY - np.uint32(1)), _EMPTY
        )
        ids = jnp.where(finite, ids.astype(jnp.int32), -1)
        # Negative zero becomes zero, because a gather over devices may drop the sign.
        values = lax.bitcast_convert_type(word, jnp.float32)
        sample = jnp.where(finite, values, jnp.float32(0))
        rows = (priority.ravel(), ids.ravel(), sample.ravel())
        if not is_known(values.size):  # enough rows, then, whatever their number is
            more = [(0, self.capacity + _SPARE_ROWS)]
            pairs = zip(rows, _EMPTY_ROW)
            rows = [jnp.pad(row, more, constant_values=fill) for row, fill in pairs]
            rows = self._preselected(*rows)
        elif values.size > self.capacity + _SPARE_ROWS:
            rows = self._preselected(*rows)
        priorities, ids, sample = self._smallest(*rows)
        return dict(
            priorities=priorities,
            ids=ids,
            sample=sample,
            seen=count_where(finite),
            nonfinite=count_where(valid & ~finite),
        )

    def merge(self, other: Any) -> Self:
        """Return the rows with the smallest priorities of both samples."""
        merged = super().merge(other)
        pairs = ((getattr(self, name), getattr(other, name)) for name in _ROW_LEAVES)
        rows = [jnp.concatenate([jnp.asarray(x) for x in pair], -1) for pair in pairs]
        return merged.replace(**dict(zip(_ROW_LEAVES, self._smallest(*rows))))

    def compute(self) -> dict[str, Any]:
        """Return the sampled values and their ids."""
        xp = namespace(self)
        is_empty = xp.asarray(self.priorities).astype(np.uint32) == _EMPTY
        nan = (np.float64 if xp is np else np.float32)(np.nan)
        return dict(values=xp.where(is_empty, nan, self.sample), ids=self.ids)

    def _smallest(self, priorities: Any, ids: Any, sample: Any) -> list[jax.Array]:
        """Return the `capacity` rows of smallest priority in order, padded if fewer."""
        missing = max(0, self.capacity - priorities.shape[-1])
        rows = [
            jnp.pad(row, [(0, missing)], constant_values=fill)
            for row, fill in zip((priorities, ids, sample), _EMPTY_ROW)
        ]
        rows[2] = lax.bitcast_convert_type(rows[2], jnp.uint32)
        rows = [row[: self.capacity] for row in lax.sort(rows, num_keys=3)]
        return [*rows[:2], lax.bitcast_convert_type(rows[2], jnp.float32)]

    def _preselected(self, *rows: jax.Array) -> tuple[jax.Array, ...]:
        """Return the rows of the smallest priorities, a few more than `capacity`.

        The largest priority to keep is found by counting, digit by digit, because a
        sort would gather a sharded batch.
        """
        priority = rows[0]
        limit = _at_rank(priority, self.capacity)
        selected = (priority <= limit) & (priority != _EMPTY)
        rank = jnp.cumsum(selected, dtype=jnp.int32)
        ranks = jnp.arange(1, self.capacity + _SPARE_ROWS + 1, dtype=jnp.int32)
        if is_known(rank.size):
            index = jnp.searchsorted(rank, ranks)
        else:
            index = (rank[None] < ranks[:, None]).sum(-1, dtype=jnp.int32)
        return tuple(
            jnp.take(row, index, mode="fill", fill_value=fill)
            for row, fill in zip(rows, _EMPTY_ROW)
        )


def _at_rank(words: jax.Array, rank: int) -> jax.Array:
    """Return the word of a rank (from 1) in ascending order, digit by digit.

    Counts the leading bytes of all words, picks the byte that contains the rank, and
    goes on with the next byte of the words that begin so.
    """
    result, rank_left = jnp.uint32(0), jnp.uint32(rank)
    for shift in (24, 16, 8, 0):
        same_prefix = (words >> shift) >> 8 == (result >> shift) >> 8
        counts = count_cells((words >> shift) & 0xFF, 256, same_prefix)
        cumulative = jnp.cumsum(counts, dtype=jnp.uint32)
        below = cumulative < rank_left
        rank_left = rank_left - jnp.where(below, cumulative, 0).max()
        result = result | (below.sum(dtype=jnp.uint32) << shift)
    return result
