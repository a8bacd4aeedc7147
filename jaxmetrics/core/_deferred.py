"""`Deferred`: a shard of the state a device, and no collective until `reduce`."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmetrics.core import _inputs, _reduction
from jaxmetrics.core._decoding import on_host
from jaxmetrics.core._jax import abstract_mesh, is_tracer, manual_axes
from jaxmetrics.core._mesh import (
    as_axes,
    explicit_spec,
    put,
    tracks_variance,
    vary,
    varying,
)
from jaxmetrics.core._reduction import is_metric


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["state"],
    meta_fields=["mesh", "axes", "rows", "specs"],
)
@dataclasses.dataclass(frozen=True, eq=False)
class Deferred:
    """Metrics whose leaves carry a leading shard axis; made by `metrics.deferred`.

    `update` works under jit with global arrays, inside scan, with donation, and
    inside shard_map over the same axes. It adds no collective along the deferred
    axes. Outputs that vary over none of these (a loss that is averaged already, a
    learning rate) are counted once. Every process calls `reduce` and `compute`.
    """

    state: Any
    mesh: Mesh
    axes: tuple[str, ...]
    rows: tuple[str, ...]
    specs: tuple[tuple[str, P], ...]

    @classmethod
    def start(
        cls, metrics: Any, mesh: Mesh, rows: tuple[str, ...], specs: Mapping[str, P]
    ) -> Self:
        """The empty state of `metrics`, one shard a device along the deferred axes.

        Args:
          metrics: a metric or a collection.
          mesh: the mesh of the step.
          rows: the mesh axes of the outputs' leading axis.
          specs: the partition of outputs that are sharded otherwise.
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
        known = set().union(*metrics._names())
        strange = [name for name in specs if name not in known]
        if strange:
            raise TypeError(
                f"deferred: no metric reads output {strange[0]!r}; they read "
                f"{sorted(known)}. Name one of these."
            )
        new = cls(metrics, mesh, axes, rows, tuple(sorted(specs.items())))
        return new._stacked(metrics._identity())

    @property
    def shards(self) -> int:
        """How many shards the state has."""
        return math.prod(self.mesh.shape[axis] for axis in self.axes)

    def update(self, **outputs: Any) -> Self:
        """The state with one batch more, each device counting its own rows.

        Raises:
          TypeError: if an output is missing, misspelt or of a wrong type.
          ValueError: if the shards do not divide an output's rows.
        """
        required, optional = self.state._names()
        _inputs.refuse_misspelt(required, optional, outputs)
        read = required | optional
        outputs = {
            name: _inputs.at_the_door(name, x)
            for name, x in outputs.items()
            if name in read and x is not None
        }
        if on_host((self, outputs)):
            return _updated(self, outputs)
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
        """The state of both samples, shard by shard."""
        if jax.tree.structure(self) != jax.tree.structure(other):
            raise TypeError(
                f"Cannot merge {self!r} with {other!r}: only states deferred alike add "
                "up. Reduce both first."
            )
        merged = jax.vmap(lambda a, b: a.merge(b))(self.state, other.state)
        return dataclasses.replace(self, state=merged)

    def empty(self) -> Self:
        """The identity, sharded as this state is; works inside jit."""
        identity = self.state._identity()
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
        """The metrics of all shards, replicated: at most three collectives."""
        return _reduced(self)

    def compute(self) -> Any:
        """The computed values of all shards; every process calls it."""
        return self.reduce().compute()

    def __getitem__(self, name: str) -> Deferred:
        """One metric of a deferred collection, deferred."""
        return dataclasses.replace(self, state=self.state[name])

    def __repr__(self) -> str:
        """The metrics, how many shards and along which axes."""
        return f"Deferred({self.state!r}, shards={self.shards}, axes={self.axes})"

    def _updated(self, stacked: Any, outputs: Mapping[str, Any]) -> Any:
        state = jax.tree.map(self._own_shard, stacked)
        tracked = [axis for axis in self.axes if tracks_variance(axis)]

        def one(old: Any) -> Any:
            new = old._updated(outputs)
            seen = varying(old._given(outputs))
            apart = [axis for axis in tracked if axis not in seen]
            if not apart:
                return new
            first = functools.reduce(
                jnp.logical_and, [lax.axis_index(axis) == 0 for axis in apart]
            )
            return jax.tree.map(lambda n, o: jnp.where(first, n, o), new, old)

        new = jax.tree.map(one, state, is_leaf=is_metric)
        return jax.tree.map(lambda x: x[None], new)

    def _own_shard(self, x: jax.Array) -> jax.Array:
        if x.ndim == 0 or x.shape[0] != 1:
            raise ValueError(
                f"deferred: inside shard_map the state has shape {x.shape}, not one "
                f"shard a device. Pass it with in_specs=P({self.axes}); deferred "
                "metrics do not work under pmap."
            )
        return x[0]

    def _spec(self, name: str, x: Any) -> P:
        spec = dict(self.specs).get(name)
        if spec is None:
            given = explicit_spec(x)
            if given is not None:
                spec = P(*(self._mine(part) for part in given))
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

    def _mine(self, part: Any) -> Any:
        axes = tuple(a for a in as_axes(part or ()) if a in self.axes)
        return axes or None

    def _refuse_other_mesh(self, manual: list[str]) -> None:
        here = abstract_mesh()
        if manual or (not here.empty and here.axis_names != self.mesh.axis_names):
            raise ValueError(
                f"deferred: the state is sharded over {self.axes} of a mesh with "
                f"{self.mesh.axis_names}, but this code runs over {here.axis_names} "
                f"with {manual_axes()} manual. Call update under jit, or inside a "
                "shard_map over all deferred axes; pmap is not supported."
            )

    def _mesh(self) -> Mesh | None:
        """None where the context has a mesh: shard_map then takes that one."""
        return self.mesh if abstract_mesh().empty else None

    def _stacked(self, identity: Any) -> Self:
        sharding = NamedSharding(self.mesh, P(self.axes))

        def stack(x: Any) -> jax.Array:
            return put(np.broadcast_to(x, (self.shards, *np.shape(x))), sharding)

        return dataclasses.replace(self, state=jax.tree.map(stack, identity))


@jax.jit
def _updated(deferred: Deferred, outputs: Mapping[str, Any]) -> Deferred:
    """One launch for an update outside jit."""
    return deferred._with_batch(outputs)


@jax.jit
def _reduced(deferred: Deferred) -> Any:
    def total(stacked: Any) -> Any:
        state = jax.tree.map(lambda x: x[0], stacked)
        return _reduction.reduce(state, deferred.axes)

    return jax.shard_map(
        total,
        mesh=deferred._mesh(),
        axis_names=set(deferred.mesh.axis_names),
        in_specs=(P(deferred.axes),),
        out_specs=P(),
    )(deferred.state)


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
