"""A metric over the last updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmetrics.core._decoding import describe, on_states
from jaxmetrics.core._leaves import UNSET, max_leaf
from jaxmetrics.core._mesh import replicated_once
from jaxmetrics.core._metric import Direction, Metric
from jaxmetrics.core._reduction import fold
from jaxmetrics.core._wrapper import refuse_data, stacked


class Windowed(Metric):
    """A metric over the last `window` updates.

    The updates are kept in a ring of states, so the window is exact. Order matters:
    `merge` appends the other's updates, and does not commute. Shards that saw the
    same number of updates reduce update by update.

    Args:
      metric: The metric.
      window: Number of updates; the state is that many times larger.

    Example:
      >>> import jaxmetrics as jm
      >>> recent = jm.Windowed(jm.Mean("loss"), window=2)
      >>> for loss in (8.0, 1.0, 2.0):
      ...     recent = recent.update(loss=loss)
      >>> float(recent.compute())
      1.5
    """

    metric: Metric
    window: int = 100
    # Integers, kept as float32 maxima: shards saw the same updates, so that the maximum
    # over shards is the value of each of them.
    next_slot: Array = max_leaf()
    filled: Array = max_leaf()

    _stacks_children = True

    def __post_init__(self) -> None:
        """Make room for the updates."""
        fresh = self.filled is UNSET
        super().__post_init__()
        if fresh:
            refuse_data(type(self).__name__, self.metric)
            self.__dict__.update(vars(self.identity()))

    @property
    def higher_is_better(self) -> Direction:  # type: ignore[override]
        """As of the metric inside."""
        return self.metric.higher_is_better

    def validate(self) -> None:
        """Refuse a window below 1."""
        if self.window < 1:
            raise ValueError(f"Windowed: window is at least 1, got {self.window}.")

    @on_states
    def compute(self) -> Any:
        """Return the metric's value over the window."""
        total = _total
        for _ in range(np.ndim(self.next_slot)):  # leading axes, as of shards
            total = jax.vmap(total)
        return total(self).compute()

    def merge(self, other: Any) -> Self:
        """Append the other's updates; the last `window` of both stay."""
        self._refuse_other(other)
        append = type(self)._appended
        for _ in range(np.ndim(self.next_slot)):  # leading axes, as of an ensemble
            append = jax.vmap(append)
        return append(self, other)

    def _appended(self, other: Any) -> Self:
        slots = jnp.arange(self.window, dtype=jnp.int32)
        next_slot, other_next = _index(self.next_slot), _index(other.next_slot)
        count = _index(other.filled)
        age = (slots - next_slot) % self.window
        source = (other_next - count + age) % self.window
        newer = age < count
        appended = take(other.metric, source)

        def choose(ring: Any, new: Any) -> Any:
            wide = newer.reshape(-1, *[1] * (new.ndim - 1))
            return jnp.where(wide, new, ring)

        return self.with_fields(
            metric=jax.tree.map(choose, self.metric, appended),
            next_slot=_slot((next_slot + count) % self.window),
            filled=_slot(jnp.minimum(_index(self.filled) + count, self.window)),
        )

    def merge_shards(self, other: Any) -> Self:
        """Return the state of two shards of the same updates: update by update."""
        return self._merged(other, jax.vmap(lambda a, b: a.merge_shards(b)))

    def contribution(self, outputs: Mapping[str, Any]) -> Self:
        """Return a window of one batch, without a check of the outputs' names."""
        return self.identity().updated(outputs)

    def updated(self, outputs: Mapping[str, Any]) -> Self:
        """Return the window with one more batch, without a check of the names."""
        if np.ndim(self.next_slot):
            raise ValueError(
                f"{describe(self, state=False)}: got a stack of windows of shape "
                f"{np.shape(self.next_slot)}; update takes one window. Update each in "
                "jax.vmap, or take the total with reduce()."
            )
        slot = _index(self.next_slot)
        batch = self.metric.contribution(outputs)
        ring, batch = replicated_once(self.metric, batch)
        filled = jnp.minimum(_index(self.filled) + 1, self.window)
        return self.with_fields(
            metric=put_at(ring, slot, batch),
            next_slot=_slot((slot + 1) % self.window),
            filled=_slot(filled),
        )

    def identity(self) -> Self:
        """Return the empty window with host arrays: the identity of `merge`."""
        ring = stacked(self.metric.identity(), self.window)
        return self.with_fields(metric=ring).replace(next_slot=0.0, filled=0.0)


@jax.jit
def _total(windowed: Windowed) -> Metric:
    slots = jnp.arange(windowed.window, dtype=jnp.int32)
    oldest_first = (slots + _index(windowed.next_slot)) % windowed.window
    updates = take(windowed.metric, oldest_first)
    return fold(updates, over_time=True)


def put_at(stack: Any, index: Any, state: Any) -> Any:
    """Return the stack with one of its states replaced."""
    return jax.tree.map(lambda s, x: jnp.asarray(s).at[index].set(x), stack, state)


def take(stack: Any, order: Any) -> Any:
    """Return the states of a stack in another order."""
    return jax.tree.map(lambda s: jnp.take(jnp.asarray(s), order, axis=0), stack)


def _index(slot: Any) -> Any:
    return jnp.asarray(slot).astype(jnp.int32)


def _slot(index: Any) -> Any:
    return index.astype(jnp.float32)
