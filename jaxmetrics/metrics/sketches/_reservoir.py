"""A uniform sample of an output's values that no split of the data changes."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import Array, Statistic, count_leaf, count_where, leaf
from jaxmetrics.metrics.sketches._cells import count_cells, kept
from jaxmetrics.metrics.sketches._hashing import require_integers, salted, words

_VACANT = np.uint32(0xFFFFFFFF)  # the priority of a place that nothing has taken
_SPARE = 8  # rows of one priority: more need as many collisions of a 32-bit hash
_ROWS = ("priorities", "ids", "sample")
_FILLS = (_VACANT, -1, np.nan)  # of a vacant place


class Reservoir(Statistic):
    """A uniform sample of an output's values, each with its id.

    Every value gets a priority by a hash of its id and itself, and the `capacity`
    smallest priorities stay (bottom-k): the same sample whatever the sharding, the
    batches or their order, and all values while there are no more than `capacity`. The
    rank of a quantile of the sample has a standard error of at most
    `0.5 / sqrt(capacity)`, 3 % by default.

    Give each observation an id of its own, such as `step * rows + row`: observations
    that agree in id and value are drawn together. NaN and infinities are counted in
    `nonfinite`, the others in `seen`; see `metric.plain()`. The state takes
    `12 capacity` bytes; its reduction over devices costs as much for each of them.

    Args:
      output: the output's name; `values` of any shape, `ids` integers of the same.
      capacity: how many values stay.
      seed: another one draws another sample.

    Returns by `compute`: `values` [capacity], nan where nothing was drawn, and `ids`
    [capacity], there -1; in the order of their priorities.

    Example:
      >>> import jaxmetrics as jm
      >>> some = jm.Reservoir("loss", capacity=4)
      >>> found = jm.evaluate(some, loss=[0.5, 0.25, 1.0], ids=[10, 11, 12])
      >>> sorted(found["ids"].tolist())
      [-1, 10, 11, 12]
    """

    capacity: int = dataclasses.field(default=256, kw_only=True)
    seed: int = dataclasses.field(default=0, kw_only=True)
    priorities: Array = leaf("capacity", dtype=np.uint32, fill=0xFFFFFFFF)
    ids: Array = leaf("capacity", dtype=np.int32, fill=-1)
    sample: Array = leaf("capacity", fill=np.nan)
    seen: Array = count_leaf()
    nonfinite: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a capacity below 1."""
        if self.capacity < 1:
            raise ValueError(f"Reservoir: capacity is at least 1, got {self.capacity}.")

    def observe(self, *, values: Any, ids: Any, mask: Any = None) -> dict[str, Any]:
        """The batch's smallest priorities, their ids and values."""
        values, ids = jnp.asarray(values), jnp.asarray(ids)
        require_integers("Reservoir", "ids", ids)
        if ids.shape != values.shape:
            raise ValueError(
                f"ids have shape {ids.shape} and values {values.shape}; each value "
                "needs an id."
            )
        values = values.astype(jnp.float32)
        valid = kept(values, mask)
        finite = jnp.isfinite(values) & valid
        word = words(values)
        priority = salted(salted(words(ids), self.seed) ^ word, 1)
        priority = jnp.where(
            finite, jnp.minimum(priority, _VACANT - np.uint32(1)), _VACANT
        )
        ids = jnp.where(finite, ids.astype(jnp.int32), -1)
        # zero has no sign here: a gather over devices may drop it
        values = lax.bitcast_convert_type(word, jnp.float32)
        sample = jnp.where(finite, values, jnp.float32(np.nan))
        rows = (priority.ravel(), ids.ravel(), sample.ravel())
        if values.size > self.capacity + _SPARE:
            rows = self._preselected(*rows)
        priorities, ids, sample = self._first(*rows)
        return dict(
            priorities=priorities,
            ids=ids,
            sample=sample,
            seen=count_where(finite),
            nonfinite=count_where(valid & ~finite),
        )

    def merge(self, other: Any) -> Self:
        """The smallest priorities of both."""
        merged = super().merge(other)
        pairs = ((getattr(self, n), getattr(other, n)) for n in _ROWS)
        rows = [jnp.concatenate([jnp.asarray(x) for x in pair], -1) for pair in pairs]
        return merged.replace(**dict(zip(_ROWS, self._first(*rows))))

    def compute(self) -> dict[str, Any]:
        """The sample and its ids."""
        return dict(values=self.sample, ids=self.ids)

    def _first(self, priorities: Any, ids: Any, sample: Any) -> list[jax.Array]:
        """Rows in the order of their priorities, as many as there are places."""
        short = max(0, self.capacity - priorities.shape[-1])
        rows = [
            jnp.pad(row, [(0, short)], constant_values=fill)
            for row, fill in zip((priorities, ids, sample), _FILLS)
        ]
        rows[2] = lax.bitcast_convert_type(rows[2], jnp.uint32)
        rows = [row[: self.capacity] for row in lax.sort(rows, num_keys=3)]
        return [*rows[:2], lax.bitcast_convert_type(rows[2], jnp.float32)]

    def _preselected(self, *rows: jax.Array) -> tuple[jax.Array, ...]:
        """The rows of the smallest priorities, a few more than places.

        Found by counting, digit by digit: a sort would gather a sharded batch.
        """
        priority = rows[0]
        limit = _at_rank(priority, self.capacity)
        chosen = (priority <= limit) & (priority != _VACANT)
        reached = jnp.cumsum(chosen, dtype=jnp.int32)
        wanted = jnp.arange(1, self.capacity + _SPARE + 1, dtype=jnp.int32)
        place = jnp.searchsorted(reached, wanted)
        return tuple(
            jnp.take(row, place, mode="fill", fill_value=fill)
            for row, fill in zip(rows, _FILLS)
        )


def _at_rank(words: jax.Array, rank: int) -> jax.Array:
    """The word of this rank in ascending order, found digit by digit."""
    limit, rank_left = jnp.uint32(0), jnp.uint32(rank)
    for shift in (24, 16, 8, 0):
        alike = (words >> shift) >> 8 == (limit >> shift) >> 8
        digits = count_cells((words >> shift) & 0xFF, 256, alike)
        reached = jnp.cumsum(digits, dtype=jnp.uint32)
        below = reached < rank_left
        rank_left = rank_left - jnp.where(below, reached, 0).max()
        limit = limit | (below.sum(dtype=jnp.uint32) << shift)
    return limit
