"""The leaf kind that keeps rows."""

from __future__ import annotations

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
from jaxmetrics.core._kinds import Axes, Count, Rounds, State


class Buffer:
    """At most `capacity` rows, and how many were seen: a multiset, exact or refused.

    The first two parts are the limbs of the number seen, the others the rows' bits.
    """

    dtype, fill = np.uint32, 0

    def __init__(self, capacity: int) -> None:
        """Room for `capacity` rows in all, on every shard."""
        self.capacity = capacity
        self.parts = capacity + 2

    def encode(self, value: Any) -> State:
        """Parts of (rows, mask) with leading batch axes; masked rows are left out."""
        rows, mask = value
        rows = jnp.asarray(rows).astype(jnp.float32)
        mask = jnp.asarray(mask)
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
        """The rows of both; those beyond the capacity are counted, not kept."""
        mine = self._kept(a).astype(jnp.int32)
        index = _counting_up(self.capacity, a)
        other = jnp.take_along_axis(
            b[2:], jnp.clip(index - mine, 0, self.capacity - 1), axis=0
        )
        rows = jnp.where(index < mine, a[2:], other)
        seen = jnp.stack(limbs_add((a[0], a[1]), (b[0], b[1])))
        return jnp.concatenate([seen, rows])

    def decode(self, state: State, host: bool) -> Any:
        """Rows [n, ...] on the host; under jit [capacity, ...], nan where none is.

        Raises:
          ValueError: on the host, if more rows were seen than there is room for.
        """
        seen = Count().decode(state[:2], True) if host else limbs_to_float(state[:2])
        if not host:
            index, rows = _counting_up(self.capacity, state), floats(state[2:])
            valid = (index < seen) & (seen <= self.capacity)
            return jnp.where(valid, rows, jnp.float32(jnp.nan))
        most = int(np.max(seen))
        if most > self.capacity:
            raise ValueError(
                f"a buffer of capacity {self.capacity} saw {most} rows: some are lost. "
                "Use a larger capacity, or a sketch."
            )
        rows = np.ascontiguousarray(state[2:]).view(np.float32)[:most]
        valid = _counting_up(most, state) < seen
        return np.where(valid, rows.astype(np.float64), np.nan)

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Every shard learns how many rows the others hold, then puts its own after."""
        shards, me = lax.axis_size(axes), lax.axis_index(axes)
        kept = self._kept(state)
        slots = jnp.zeros((shards, *kept.shape), jnp.uint32).at[me].set(kept)
        (counts,) = yield [("max", slots)]
        before = jnp.cumsum(counts, axis=0, dtype=jnp.uint32) - counts
        first = before[me].astype(jnp.int32)
        index = _counting_up(self.capacity, state) - first
        inside = (index >= 0) & (index < kept.astype(jnp.int32))
        rows = jnp.take_along_axis(
            state[2:], jnp.clip(index, 0, self.capacity - 1), axis=0
        )
        rows = jnp.where(inside, rows, jnp.uint32(0))
        digits, rows = yield [("sum", limbs_to_digits(state[:2])), ("sum", rows)]
        return jnp.concatenate([jnp.stack(digits_to_limbs(digits)), rows])

    def _kept(self, state: State) -> jax.Array:
        full = jnp.uint32(self.capacity)
        return jnp.where(state[1] > 0, full, jnp.minimum(state[0], full))


def _counting_up(length: int, state: Any) -> Any:
    xp = np if isinstance(state, np.ndarray) else jnp
    return xp.arange(length, dtype=np.int32).reshape(-1, *[1] * (state.ndim - 1))
