"""Mesh axes along which values vary, their meshes, and their placement."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AbstractMesh, AxisType, Mesh, Sharding
from jax.sharding import PartitionSpec as P

from jaxmetrics.core._jax import (
    abstract_mesh,
    array_sharding,
    manual_axes,
    mark_varying,
    varying_axes,
    with_auto_axes,
)


def as_axes(axis: str | Iterable[str]) -> tuple[str, ...]:
    """Return one axis name, or several, as a tuple."""
    return (axis,) if isinstance(axis, str) else tuple(axis)


def varying(tree: Any) -> frozenset[str]:
    """Return the manual axes along which any array of the tree varies."""
    arrays = (x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array))
    return frozenset[str]().union(*map(varying_axes, arrays))


def in_shard_map() -> bool:
    """Return whether values may be parts of arrays, as `shard_map` and pmap cut them.

    >>> in_shard_map()
    False
    """
    return bool(manual_axes())


def tracks_variance(axis: str) -> bool:
    """Return whether `check_vma` is on.

    If it is, the index along an axis is marked as varying; otherwise nothing is.
    """
    return axis in varying(lax.axis_index(axis))


def vary(tree: Any, axes: Iterable[str]) -> Any:
    """Return the values marked as varying over `axes`."""
    manual = [axis for axis in axes if axis in manual_axes()]

    def mark(x: Any) -> Any:
        missing = tuple(axis for axis in manual if axis not in varying(x))
        return mark_varying(x, missing) if missing else x

    return jax.tree.map(mark, tree) if manual else tree


def replicated_once(state: Any, other: Any) -> tuple[Any, Any]:
    """Return two states of one metric that vary along the same axes.

    Inside shard_map with `check_vma`, a total that is the same on all devices may meet
    a batch that is not. The result differs between devices, so that a reduction adds
    all of them up: the total stays on the first device, and the others get the identity
    of `merge`. Without `check_vma` nothing tells that a state is replicated.
    """
    if not in_shard_map():
        return state, other
    axes, others = varying(state), varying(other)
    once = _on_first_device(state, others - axes)
    return once, _on_first_device(other, axes - others)


def _on_first_device(state: Any, axes: Iterable[str]) -> Any:
    indices = [lax.axis_index(axis) for axis in sorted(axes)]
    if not indices:
        return state
    is_first = functools.reduce(jnp.maximum, indices) == 0
    choose = functools.partial(jnp.where, is_first)
    return jax.tree.map(choose, state, state.identity())


def without_explicit_axes(
    function: Callable[[Any], Any], values: Any, like: Any = None
) -> Any:
    """Return `function(values)`, with Explicit axes of the values' mesh as Auto.

    Under Explicit axes each reduction of a sharded value would have to name the
    sharding of its output. Here the output is replicated as a whole.

    Args:
      function: Function of the values.
      values: Tree of arrays.
      like: Tree of arrays with the structure of the output, whose partition the output
        gets in place of being replicated.
    """
    mesh = _mesh_of(values)
    if mesh is None or AxisType.Explicit not in mesh.axis_types:
        return function(values)
    types = zip(mesh.axis_names, mesh.axis_types)
    explicit = tuple(name for name, kind in types if kind == AxisType.Explicit)
    out = P() if like is None else jax.tree.map(lambda x: explicit_spec(x) or P(), like)
    return with_auto_axes(function, mesh, explicit, values, out)


def explicit_spec(x: Any) -> P | None:
    """Return the partition of a value on a mesh with Explicit axes, else None."""
    sharding = array_sharding(x)
    if AxisType.Explicit not in sharding.mesh.axis_types:
        return None
    return sharding.spec


def put(x: Any, sharding: Sharding) -> jax.Array:
    """Place a host array, the same on every process, without communication."""
    x = np.asarray(x)
    places = sharding.addressable_devices_indices_map(x.shape)
    # Transfers that are asked for, which `jax.transfer_guard("disallow")` lets pass.
    parts = jax.device_put([x[index] for index in places.values()], list(places))
    return jax.make_array_from_single_device_arrays(x.shape, sharding, parts)


def mesh_form(mesh: Mesh) -> tuple[Any, ...]:
    """Return a mesh as plain values, to pickle it."""
    ids = [device.id for device in mesh.devices.flat]
    kinds = tuple(kind.name for kind in mesh.axis_types)
    return mesh.devices.shape, ids, mesh.axis_names, kinds


def mesh_of_form(form: tuple[Any, ...]) -> Mesh:
    """Return the mesh of the same devices of this process.

    Raises:
      ValueError: A device is not there.
    """
    shape, ids, names, kinds = form
    devices = {device.id: device for device in jax.devices()}
    if missing := [i for i in ids if i not in devices]:
        raise ValueError(
            f"A deferred state was pickled on devices {ids}, but there is no device "
            f"{missing[0]} among the {len(devices)} here. Pickle metrics.reduce(), or "
            "save it with jm.checkpoint, which restores on other devices."
        )
    grid = np.array([devices[i] for i in ids], object).reshape(shape)
    return Mesh(grid, names, axis_types=tuple(AxisType[kind] for kind in kinds))


def _mesh_of(tree: Any) -> AbstractMesh | None:
    for x in jax.tree.leaves(tree):
        mesh = array_sharding(x).mesh
        if AxisType.Explicit in mesh.axis_types or AxisType.Manual in mesh.axis_types:
            return mesh
    mesh = abstract_mesh()
    return None if mesh.empty else mesh
