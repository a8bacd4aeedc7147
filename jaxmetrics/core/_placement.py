"""Placement of states: replicated on a mesh, or one shard on each device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import jax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmetrics.core._arrays import is_on_device
from jaxmetrics.core._mesh import as_axes, put, vary

if TYPE_CHECKING:
    from jaxmetrics.core._deferred import Deferred


class Placed:
    """Base of metrics and collections: their placement on devices."""

    holds_state = True

    def place(self, mesh: Mesh) -> Self:
        """Return the state replicated on a mesh, so that no later step compiles again.

        Args:
          mesh: Mesh on which the batches are sharded; Auto or Explicit axes.
        """
        replicated = NamedSharding(mesh, P())
        return jax.tree.map(lambda x: put(x, replicated), self)

    def deferred(
        self, mesh: Mesh, axis: str | tuple[str, ...] = "data", **specs: P
    ) -> Deferred:
        """Return the empty state in deferred form: one shard on each device.

        Its update adds no collective; `reduce` and `compute` sum the shards.

        Args:
          mesh: Mesh of the train step.
          axis: Every mesh axis over which the outputs' leading axis is sharded.
          **specs: Partition of outputs that are sharded otherwise, by name:
            `loss=P("data", "seq")`. On Explicit meshes it is read from the value.
        """
        from jaxmetrics.core._deferred import Deferred

        metrics: Any = self  # a metric or a collection
        return Deferred.start(metrics, mesh, as_axes(axis), specs)

    def _placed_like(self, identity: Self, axis: Any) -> Self:
        if axis is not None:
            return vary(identity, as_axes(axis))
        return jax.tree.map(_put_like, identity, self)


def _put_like(x: Any, placed: Any) -> Any:
    committed = is_on_device(placed) and placed.committed
    return put(x, placed.sharding) if committed else x
