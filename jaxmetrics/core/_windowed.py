"""A metric over the last updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._decoding import on_states
from jaxmetrics.core._leaves import UNSET, max_leaf
from jaxmetrics.core._metric import Metric
from jaxmetrics.core._reduction import fold
from jaxmetrics.core._stacking import put_at, stacked, take


class Windowed(Metric):
    """A metric over the last `window` updates.

    The updates are kept in a ring of states, so the window is exact. Order matters:
    `merge` appends the other's updates, and does not commute. Shards that saw the
    same number of updates reduce update by update.

    Args:
      metric: the metric.
      window: how many updates it looks back; the state is that many times larger.

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
    next_slot: Any = max_leaf()
    filled: Any = max_leaf()

    def __post_init__(self) -> None:
        """Make room for the updates."""
        fresh = self.filled is UNSET
        super().__post_init__()
        if fresh:
            self.__dict__.update(vars(self._emptied(self.metric)))

    def validate(self) -> None:
        """Refuse a window below 1."""
        if self.window < 1:
            raise ValueError(f"Windowed: window is at least 1, got {self.window}.")

    @on_states
    def compute(self) -> Any:
        """The metric's value over the window."""
        total = _total
        for _ in range(np.ndim(self.next_slot)):  # stacked windows
            total = jax.vmap(total)
        return total(self).compute()

    def merge(self, other: Any) -> Self:
        """This one's updates, then the other's; the last `window` of them stay."""
        self._refuse_other(other)
        slots = jnp.arange(self.window, dtype=jnp.int32)
        mine, its = _index(self.next_slot), _index(other.next_slot)
        count = _index(other.filled)
        age = (slots - mine) % self.window
        source = (its - count + age) % self.window
        newer = age < count
        theirs = take(other.metric, source)

        def choose(ring: Any, new: Any) -> Any:
            wide = newer.reshape(-1, *[1] * (new.ndim - 1))
            return jnp.where(wide, new, ring)

        return self._with(
            metric=jax.tree.map(choose, self.metric, theirs),
            next_slot=_slot((mine + count) % self.window),
            filled=_slot(jnp.minimum(_index(self.filled) + count, self.window)),
        )

    def _reduce_merge(self, other: Any) -> Self:
        """Shards of one window: update by update."""
        return super().merge(other)

    def _contribution(self, outputs: Mapping[str, Any]) -> Self:
        return self._identity()._updated(outputs)

    def _updated(self, outputs: Mapping[str, Any]) -> Self:
        at = _index(self.next_slot)
        batch = self.metric._contribution(outputs)
        filled = jnp.minimum(_index(self.filled) + 1, self.window)
        return self._with(
            metric=put_at(self.metric, at, batch),
            next_slot=_slot((at + 1) % self.window),
            filled=_slot(filled),
        )

    def _identity(self) -> Self:
        return self._emptied(self.metric._identity())

    def _emptied(self, metric: Metric) -> Self:
        ring = stacked(metric, self.window)
        return self._with(
            metric=ring,
            next_slot=self._encoded("next_slot", 0.0),
            filled=self._encoded("filled", 0.0),
        )


@jax.jit
def _total(windowed: Windowed) -> Metric:
    slots = jnp.arange(windowed.window, dtype=jnp.int32)
    oldest_first = (slots + _index(windowed.next_slot)) % windowed.window
    updates = take(windowed.metric, oldest_first)
    return fold(updates, over_time=True)


def _index(slot: Any) -> Any:
    return jnp.asarray(slot).astype(jnp.int32)


def _slot(index: Any) -> Any:
    return index.astype(jnp.float32)
