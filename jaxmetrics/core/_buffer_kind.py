"""Leaf kind that keeps rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arithmetic import (
    bits,
    digits_to_limbs,
    floats,
    limbs_add,
    limbs_to_digits,
    limbs_to_float,
)
from jaxmetrics.core._counting import mask_like
from jaxmetrics.core._kinds import Axes, Count, Rounds, State, type_of


@dataclasses.dataclass(frozen=True)
class Buffer:
    """A multiset of at most `capacity` rows, and the number of rows seen.

    The first two parts are the limbs of that number, the others the bits of the rows.

    Args:
      capacity: Number of rows in all, for which every shard has room.
    """

    capacity: int

    dtype, fill = np.uint32, 0

    @property
    def parts(self) -> int:
        """Number of parts of the state."""
        return self.capacity + 2

    def encode(self, value: Any) -> State:
        """Return the parts of (rows, mask), without the rows that are masked."""
        if not (isinstance(value, tuple) and len(value) == 2):
            raise TypeError(
                f"a buffer takes a tuple (rows, mask), got {type_of(value)}. Return "
                "the rows with their mask, or with None for all of them."
            )
        rows, mask = value
        rows = jnp.asarray(rows).astype(jnp.float32)
        mask = jnp.ones(rows.shape[:1], bool) if mask is None else jnp.asarray(mask)
        mask_like(rows, mask)  # refuses one of another type or shape
        rows = rows.reshape(mask.size, *rows.shape[mask.ndim :])
        mask = mask.ravel()
        place = jnp.where(mask, jnp.cumsum(mask, dtype=jnp.int32) - 1, self.capacity)
        kept = jnp.zeros((self.capacity, *rows.shape[1:]), jnp.uint32)
        kept = kept.at[place].set(bits(rows), mode="drop")
        seen = mask.sum(dtype=jnp.uint32)
        limbs = jnp.stack([seen, jnp.zeros_like(seen)])
        limbs = limbs.reshape(2, *[1] * (rows.ndim - 1))
        return jnp.concatenate([jnp.broadcast_to(limbs, (2, *rows.shape[1:])), kept])

    def merge(self, a: State, b: State) -> State:
        """Return the rows of both; those beyond the capacity are counted, not kept."""
        kept = self._kept(a).astype(jnp.int32)[None]
        index = _row_indices(self.capacity, a)
        appended = jnp.take_along_axis(
            b[2:], jnp.clip(index - kept, 0, self.capacity - 1), axis=0
        )
        rows = jnp.where(index < kept, a[2:], appended)
        seen = jnp.stack(limbs_add((a[0], a[1]), (b[0], b[1])))
        return jnp.concatenate([seen, rows])

    def decode(self, state: State, host: bool) -> Any:
        """Return rows [n, ...] on the host, [capacity, ...] padded with nan in jit.

        Raises:
          ValueError: More rows were seen than fit; on the host only.
        """
        seen = Count().decode(state[:2], True) if host else limbs_to_float(state[:2])
        if not host:
            index, rows = _row_indices(self.capacity, state), floats(state[2:])
            valid = index.astype(jnp.float32) < seen[None]
            valid = valid & (seen <= self.capacity)[None]
            return jnp.where(valid, rows, jnp.float32(jnp.nan))
        length = int(np.max(seen))
        if length > self.capacity:
            raise ValueError(
                f"a buffer of capacity {self.capacity} saw {length} rows: some are "
                "lost. Use a larger capacity, or a sketch."
            )
        rows = np.ascontiguousarray(state[2:]).view(np.float32)[:length]
        valid = _row_indices(length, state) < seen
        return np.where(valid, rows.astype(np.float64), np.nan)

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Concatenate the rows of all shards.

        In round one every shard learns how many rows each of the others keeps, in
        round two it writes its own at the place after those of earlier shards; the
        sum of arrays that are zero elsewhere is the concatenation.
        """
        shards, shard = lax.axis_size(axes), lax.axis_index(axes)
        kept = self._kept(state)
        slots = jnp.zeros((shards, *kept.shape), jnp.uint32).at[shard].set(kept)
        (counts,) = yield [("max", slots)]
        before = jnp.cumsum(counts, axis=0, dtype=jnp.uint32) - counts
        first = before[shard].astype(jnp.int32)[None]
        index = _row_indices(self.capacity, state) - first
        inside = (index >= 0) & (index < kept.astype(jnp.int32)[None])
        rows = jnp.take_along_axis(
            state[2:], jnp.clip(index, 0, self.capacity - 1), axis=0
        )
        rows = jnp.where(inside, rows, jnp.uint32(0))
        digits, rows = yield [("sum", limbs_to_digits(state[:2])), ("sum", rows)]
        return jnp.concatenate([jnp.stack(digits_to_limbs(digits)), rows])

    def _kept(self, state: State) -> jax.Array:
        full = jnp.uint32(self.capacity)
        return jnp.where(state[1] > 0, full, jnp.minimum(state[0], full))


def _row_indices(length: int, state: Any) -> Any:
    xp = np if isinstance(state, np.ndarray) else jnp
    return xp.arange(length, dtype=np.int32).reshape(-1, *[1] * (state.ndim - 1))
