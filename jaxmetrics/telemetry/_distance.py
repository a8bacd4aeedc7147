"""Distance between two trees of parameters."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import is_on_device, without_explicit_axes
from jaxmetrics.telemetry._group_sums import (
    SQUARES,
    GroupSums,
    Scaled,
    require_same_structure,
    sum_of_products,
)
from jaxmetrics.telemetry._groups import Groups, float_leaves, resolve_groups


def distance(a: Any, b: Any) -> jax.Array:
    """Return the L2 norm of the difference of two trees, float32.

    NumPy arrays and arrays on devices give the same number. Outside jit NumPy arrays
    are transferred one after another, each to the devices of its counterpart, so a
    tree kept on the host never lies on the devices as a whole. Arrays of integers and
    bools are left out, as in `norms`.

    Raises:
      ValueError: The trees differ in structure or shapes.

    >>> float(distance({"w": jnp.ones(4)}, {"w": np.zeros(4)}))
    2.0
    """
    return drift(a, b, groups={}, key="distance")["distance"]


def drift(
    params: Any, since: Any, groups: Groups = None, key: str = "delta/norm"
) -> dict[str, jax.Array]:
    """Return the distance of parameters from a reference, overall and by group.

    Args:
      params: Parameters.
      since: Reference: parameters of an earlier step, their average, or any others.
      groups: Groups of arrays, as in `norms`.
      key: Key of the overall distance; `"ema/delta_norm"` for the distance from an
        average. Default `"delta/norm"`.

    Raises:
      ValueError: The trees differ in structure or shapes, or a glob matches nothing.

    >>> values = drift({"w": jnp.ones(4)}, {"w": jnp.zeros(4)})
    >>> {key: float(value) for key, value in values.items()}
    {'delta/norm': 2.0, 'delta/norm/w': 2.0}
    """
    require_same_structure("distance", ("the first", params), ("the second", since))
    leaves = float_leaves(params)
    sums = GroupSums.of(leaves, resolve_groups(params, groups))
    xs = [leaf.value for leaf in leaves]
    ys = [leaf.value for leaf in float_leaves(since)]
    if any(isinstance(x, np.ndarray) for x in (*xs, *ys)):
        pairs = map(_on_same_devices, xs, ys)
        partial = [_squares(x, y, n) for (x, y), n in zip(pairs, sums.parts)]
        distances = _norms_of(partial, sums)
    else:
        distances = _norms(xs, ys, sums)
    return {key + suffix: distances[i] for i, suffix in enumerate(sums.suffixes)}


@functools.partial(jax.jit, static_argnums=2)
def _norms(xs: list[Any], ys: list[Any], sums: GroupSums) -> jax.Array:
    def norms(pairs: tuple[list[Any], list[Any]]) -> jax.Array:
        return sums.norms_of(list(map(_squared_difference, *pairs, sums.parts)))

    return without_explicit_axes(norms, (xs, ys))


@functools.partial(jax.jit, static_argnums=2)
def _squares(x: Any, y: Any, layers: int) -> Scaled:
    def squares(pair: tuple[Any, Any]) -> Scaled:
        return _squared_difference(*pair, layers)

    return without_explicit_axes(squares, (x, y))


def _squared_difference(x: Any, y: Any, layers: int) -> Scaled:
    x, y = jnp.asarray(x), jnp.asarray(y)
    dtype = _common_dtype(x, y)
    difference = x.astype(dtype) - y.astype(dtype)
    return sum_of_products(difference, difference, layers, SQUARES)


@functools.partial(jax.jit, static_argnums=1)
def _norms_of(partial: list[Scaled], sums: GroupSums) -> jax.Array:
    return sums.norms_of(partial)


def _on_same_devices(x: Any, y: Any) -> tuple[Any, Any]:
    if isinstance(x, np.ndarray) and is_on_device(y):
        return jax.device_put(x, y.sharding), y
    if isinstance(y, np.ndarray) and is_on_device(x):
        return x, jax.device_put(y, x.sharding)
    return x, y


def _common_dtype(x: jax.Array, y: jax.Array) -> Any:
    # Not by promotion, which users may have set to strict.
    double = any(a.dtype.name in ("float64", "complex128") for a in (x, y))
    if jnp.iscomplexobj(x) or jnp.iscomplexobj(y):
        return jnp.complex128 if double else jnp.complex64
    return jnp.float64 if double else jnp.float32
