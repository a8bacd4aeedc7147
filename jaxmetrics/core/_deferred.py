"""`Deferred`: one shard of the state per device, no collective until `reduce`."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmetrics.core import _reduction
from jaxmetrics.core._calls import by_name
from jaxmetrics.core._collection import Collection
from jaxmetrics.core._decoding import fetch, on_host
from jaxmetrics.core._inputs import as_32bit, refuse_misspelt
from jaxmetrics.core._jax import abstract_mesh, is_tracer, manual_axes
from jaxmetrics.core._merging import refuse_other_shapes
from jaxmetrics.core._mesh import (
    as_axes,
    explicit_spec,
    mesh_form,
    mesh_of_form,
    put,
    vary,
)
from jaxmetrics.core._metric import Metric
from jaxmetrics.core._reduction import is_metric
from jaxmetrics.core._serialization import register_for_export, register_with_flax
from jaxmetrics.core._static import static_bytes, static_of_bytes


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["state"],
    meta_fields=["mesh", "axes", "rows", "specs"],
)
@dataclasses.dataclass(frozen=True, eq=False)
class Deferred:
    """Metrics whose leaves have a leading shard axis; made by `metrics.deferred`.

    `update` works under jit with global arrays, inside scan, with donation, and
    inside shard_map over the same axes. It adds no collective along the deferred
    axes. Outputs that vary over none of these (a loss that is averaged already, a
    learning rate) are counted once. Every process calls `reduce` and `compute`.

    Attributes:
      state: The metric or collection, its leaves with the shard axis.
      mesh: Mesh of the step.
      axes: Mesh axes over which the shard axis is sharded.
      rows: Mesh axes of the outputs' leading axis.
      specs: Partition of outputs that are sharded otherwise, by name.
    """

    state: Metric | Collection
    mesh: Mesh
    axes: tuple[str, ...]
    rows: tuple[str, ...]
    specs: tuple[tuple[str, P], ...]

    def __post_init__(self) -> None:
        """Let flax serialize deferred states, if it was imported."""
        register_with_flax(type(self))

    def __reduce__(self) -> Any:
        """Pickle the shards as NumPy arrays, and the mesh by the ids of its devices.

        Unpickling needs devices of these ids.
        """
        shards = fetch(self.state)
        mesh = mesh_form(self.mesh)
        return _unpickled, (shards, mesh, self.axes, self.rows, self.specs)

    @classmethod
    def start(
        cls,
        metrics: Metric | Collection,
        mesh: Mesh,
        rows: tuple[str, ...],
        specs: Mapping[str, P],
    ) -> Self:
        """Return the empty state of `metrics`, one shard per device of the axes.

        Args:
          metrics: A metric or a collection.
          mesh: Mesh of the step.
          rows: Mesh axes of the outputs' leading axis.
          specs: Partition of outputs that are sharded otherwise.
        """
        named = [_spec_axes(spec) for spec in specs.values()]
        axes = tuple(dict.fromkeys([*rows, *(a for axes in named for a in axes)]))
        unknown = [axis for axis in axes if axis not in mesh.axis_names]
        if unknown:
            raise ValueError(
                f"deferred: axis {unknown[0]!r} is not in the mesh, which has "
                f"{mesh.axis_names}. Name axes of this mesh."
            )
        _refuse_undeferrable(metrics)
        read = metrics.reads().names
        unread = [name for name in specs if name not in read]
        if unread:
            raise TypeError(
                f"deferred: no metric reads output {unread[0]!r}; they read "
                f"{sorted(read)}. Name one of these."
            )
        new = cls(metrics, mesh, axes, rows, tuple(sorted(specs.items())))
        return new._stacked(metrics.identity())

    @property
    def shards(self) -> int:
        """Number of shards."""
        return math.prod(self.mesh.shape[axis] for axis in self.axes)

    @by_name
    def update(self, **outputs: Any) -> Self:
        """Return the state with one batch more; each device counts its own rows.

        Raises:
          TypeError: An output is missing, misspelt or of a wrong type.
          ValueError: The shards do not divide an output's rows.
        """
        reads = self.state.reads()
        refuse_misspelt(reads, outputs)
        selected = reads.select(outputs)
        outputs = {name: as_32bit(name, x) for name, x in selected.items()}
        if on_host((self, outputs)):
            placed = {
                name: jax.tree.map(functools.partial(self._placed, name), x)
                for name, x in outputs.items()
            }
            return _updated(self, placed)
        return self._with_batch(outputs)

    def _with_batch(self, outputs: Mapping[str, Any]) -> Self:
        manual = [axis for axis in self.axes if axis in manual_axes()]
        if len(manual) == len(self.axes):
            return dataclasses.replace(self, state=self._updated(self.state, outputs))
        self._refuse_other_mesh(manual)
        specs = {
            name: jax.tree.map(functools.partial(self._spec, name), x)
            for name, x in outputs.items()
        }
        updated = jax.shard_map(
            self._updated,
            mesh=self._mesh(),
            axis_names=set(self.axes),
            in_specs=(P(self.axes), specs),
            out_specs=P(self.axes),
        )
        return dataclasses.replace(self, state=updated(self.state, outputs))

    def merge(self, other: Self) -> Self:
        """Return the state of both samples, shard by shard."""
        if jax.tree.structure(self) != jax.tree.structure(other):
            raise TypeError(
                f"Cannot merge {self!r} with {other!r}: only states deferred alike add "
                "up. Reduce both first."
            )
        refuse_other_shapes(self.state, other.state)
        return _merged(self, other)

    def empty(self) -> Self:
        """Return the identity, sharded as this state is; works inside jit."""
        identity = self.state.identity()
        if set(self.axes) <= set(manual_axes()):
            shard = jax.tree.map(lambda x: jnp.asarray(x)[None], identity)
            return dataclasses.replace(self, state=vary(shard, self.axes))
        traced = [is_tracer(x) for x in jax.tree.leaves(self.state)]
        if not any(traced):
            return self._stacked(identity)
        fresh = jax.shard_map(
            lambda: jax.tree.map(lambda x: jnp.asarray(x)[None], identity),
            mesh=self._mesh(),
            axis_names=set(self.axes),
            in_specs=(),
            out_specs=P(self.axes),
            check_vma=False,
        )
        return dataclasses.replace(self, state=fresh())

    def reduce(self) -> Any:
        """Return the total of all shards, replicated: at most three collectives."""
        return _reduced(self)

    def compute(self) -> Any:
        """Return the computed values of all shards; every process calls it."""
        return self.reduce().compute()

    def __getitem__(self, name: str) -> Deferred:
        """Return one metric of a deferred collection, deferred."""
        if not isinstance(self.state, Collection):
            raise TypeError(
                f"Deferred[{name!r}] holds the single metric {self.state!r}; names are "
                "those of a collection. Use it without [...]."
            )
        return dataclasses.replace(self, state=self.state[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of a deferred collection, as `in` does."""
        if not isinstance(self.state, Collection):
            raise TypeError(f"{self!r} holds a single metric, which has no name.")
        return iter(self.state)

    def __repr__(self) -> str:
        """Show the metrics, the number of shards and their axes."""
        return f"Deferred({self.state!r}, shards={self.shards}, axes={self.axes})"

    def _updated(self, stacked: Any, outputs: Mapping[str, Any]) -> Any:
        """Update the shard of this device, inside shard_map.

        Along an axis over which no output of a metric varies, every device has the
        same outputs; only the first one counts them.
        """
        state = jax.tree.map(self._own_shard, stacked)
        new = jax.tree.map(lambda m: m.updated(outputs), state, is_leaf=is_metric)
        return jax.tree.map(lambda x: x[None], new)

    def _own_shard(self, x: jax.Array) -> jax.Array:
        if x.ndim == 0 or x.shape[0] != 1:
            raise ValueError(
                f"deferred: inside shard_map the state has shape {x.shape}, not one "
                f"shard a device. Pass it with in_specs=P({self.axes}); deferred "
                "metrics do not work under pmap."
            )
        return x[0]

    def _placed(self, name: str, x: Any) -> jax.Array:
        """Shard an output that is bound to no device, by an explicit transfer."""
        sharding = NamedSharding(self.mesh, self._spec(name, x))
        if not isinstance(x, jax.Array):
            return put(x, sharding)
        bound = x.committed or not sharding.is_fully_addressable
        return x if bound else jax.device_put(x, sharding)

    def _spec(self, name: str, x: Any) -> P:
        spec = dict(self.specs).get(name)
        if spec is None:
            explicit = explicit_spec(x)
            if explicit is not None:
                spec = P(*(self._deferred_axes(part) for part in explicit))
            else:
                spec = P(self.rows) if np.ndim(x) else P()
        for length, part in zip(np.shape(x), spec):
            shards = math.prod(self.mesh.shape[a] for a in as_axes(part or ()))
            if length % shards:
                raise ValueError(
                    f"deferred: output {name!r} of shape {np.shape(x)} is not divided "
                    f"by the {shards} shards of {part}. Pad the batch and pass mask=, "
                    f"or name its partition: deferred(mesh, ..., {name}=P(...))."
                )
        return spec

    def _deferred_axes(self, part: Any) -> Any:
        axes = tuple(a for a in as_axes(part or ()) if a in self.axes)
        return axes or None

    def _refuse_other_mesh(self, manual: list[str]) -> None:
        mesh = abstract_mesh()
        if manual or (not mesh.empty and mesh.axis_names != self.mesh.axis_names):
            raise ValueError(
                f"deferred: the state is sharded over {self.axes} of a mesh with "
                f"{self.mesh.axis_names}, but this code runs over {mesh.axis_names} "
                f"with {manual_axes()} manual. Call update under jit, or inside a "
                "shard_map over all deferred axes; pmap is not supported."
            )

    def _mesh(self) -> Mesh | None:
        """Return None if the context has a mesh: shard_map then takes that one."""
        return self.mesh if abstract_mesh().empty else None

    def _stacked(self, identity: Any) -> Self:
        sharding = NamedSharding(self.mesh, P(self.axes))

        def stack(x: Any) -> jax.Array:
            return put(np.broadcast_to(x, (self.shards, *np.shape(x))), sharding)

        return dataclasses.replace(self, state=jax.tree.map(stack, identity))


@jax.jit
def _updated(deferred: Deferred, outputs: Mapping[str, Any]) -> Deferred:
    """Update outside jit in one launch."""
    return deferred._with_batch(outputs)


@jax.jit
def _merged(deferred: Deferred, other: Deferred) -> Deferred:
    merged = jax.vmap(lambda a, b: a.merge(b))(deferred.state, other.state)
    return dataclasses.replace(deferred, state=merged)


@jax.jit
def _reduced(deferred: Deferred) -> Any:
    return reduce_with_marks(deferred, None)


def reduce_with_marks(deferred: Deferred, marks: Any) -> Any:
    """Return the total of all shards, and the marks of all of them if there are any.

    Args:
      deferred: The state.
      marks: Array of uint32 with a leading shard axis, as `_reduction.reduce` takes
        it, or None.
    """

    def total(stacked: Any, marks: Any) -> Any:
        state, marks = jax.tree.map(lambda x: x[0], (stacked, marks))
        return _reduction.reduce(state, deferred.axes, marks)

    return jax.shard_map(
        total,
        mesh=deferred._mesh(),
        axis_names=set(deferred.mesh.axis_names),
        in_specs=(P(deferred.axes), P(deferred.axes)),
        out_specs=P(),
    )(deferred.state, marks)


def _unpickled(
    shards: Any,
    mesh: Any,
    axes: tuple[str, ...],
    rows: tuple[str, ...],
    specs: tuple[tuple[str, P], ...],
) -> Deferred:
    mesh = mesh_of_form(mesh)
    sharding = NamedSharding(mesh, P(axes))
    state = jax.tree.map(lambda x: put(x, sharding), shards)
    return Deferred(state, mesh, axes, rows, specs)


def _static_bytes(static: tuple[Any, ...]) -> bytes:
    """Return the static part of a deferred state as bytes."""
    mesh, *others = static
    return static_bytes((mesh_form(mesh), *others))


def _static_of_bytes(data: bytes) -> tuple[Any, ...]:
    mesh, *others = static_of_bytes(data)
    return (mesh_of_form(mesh), *others)


register_for_export(Deferred, _static_bytes, _static_of_bytes)


def _refuse_undeferrable(tree: Any) -> None:
    for metric in jax.tree.leaves(tree, is_leaf=is_metric):
        if metric._not_deferred:
            raise TypeError(
                f"{type(metric).__name__} has no deferred form: "
                f"{metric._not_deferred}. Use place(mesh), or reduce the update in "
                "shard_map."
            )
        for name in metric._children:
            _refuse_undeferrable(getattr(metric, name))


def _spec_axes(spec: P) -> list[str]:
    return [axis for part in spec for axis in as_axes(part or ())]
