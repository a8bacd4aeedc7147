"""Where a state lives: replicated on a mesh, or one shard a device."""

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
    """What metrics and collections share: they are placed on devices alike."""

    holds_state = True

    def place(self, mesh: Mesh) -> Self:
        """The same state, replicated on a mesh, so that no later step compiles again.

        Args:
          mesh: the mesh that the batches are sharded on; Auto or Explicit axes.
        """
        replicated = NamedSharding(mesh, P())
        return jax.tree.map(lambda x: put(x, replicated), self)

    def deferred(
        self, mesh: Mesh, axis: str | tuple[str, ...] = "data", **specs: P
    ) -> Deferred:
        """The empty state in deferred form: a shard a device, no collective a step.

        Args:
          mesh: the mesh of the train step.
          axis: every mesh axis over which the outputs' leading axis is sharded.
          **specs: the partition of outputs that are sharded otherwise, by name:
            `loss=P("data", "seq")`. On Explicit meshes it is read from the value.
        """
        from jaxmetrics.core._deferred import Deferred

        return Deferred.start(self, mesh, as_axes(axis), specs)

    def _placed_like(self, identity: Self, axis: Any) -> Self:
        if axis is not None:
            return vary(identity, as_axes(axis))
        return jax.tree.map(_put_like, identity, self)


def _put_like(x: Any, placed: Any) -> Any:
    committed = is_on_device(placed) and placed.committed
    return put(x, placed.sharding) if committed else x
