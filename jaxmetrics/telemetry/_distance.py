"""How far apart two trees of parameters are."""

from __future__ import annotations

import functools
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxmetrics.core import without_explicit_axes
from jaxmetrics.telemetry._groups import Groups, floats_of, groups_of
from jaxmetrics.telemetry._rows import Rows, products, same_paths


def distance(a: Any, b: Any) -> jax.Array:
    """The L2 norm of the difference of two trees, float32.

    Arrays on devices and NumPy arrays give the same number. Outside of jit NumPy
    arrays are sent one after another, each to where its counterpart lies, so that a
    tree that is kept on the host never lies on the devices as a whole.

    Raises:
      ValueError: The trees differ in structure or shapes.

    >>> float(distance({"w": jnp.ones(4)}, {"w": np.zeros(4)}))
    2.0
    """
    return drift(a, b, groups={}, key="distance")["distance"]


def drift(
    params: Any, since: Any, groups: Groups = None, key: str = "delta/norm"
) -> dict[str, jax.Array]:
    """The distance of parameters from others, overall and of each group.

    Args:
      params: Parameters.
      since: Those of an earlier step, an average of them, or any others.
      groups: As in `norms`.
      key: Its name; `"ema/delta_norm"` is for the distance from an average.

    Raises:
      ValueError: The trees differ in structure or shapes, or a glob matches nothing.

    >>> found = drift({"w": jnp.ones(4)}, {"w": jnp.zeros(4)})
    >>> {key: float(value) for key, value in found.items()}
    {'delta/norm': 2.0, 'delta/norm/w': 2.0}
    """
    same_paths("distance", ("the first", params), ("the second", since))
    leaves = floats_of(params)
    rows = Rows.of(leaves, groups_of(params, groups))
    xs = [leaf.value for leaf in leaves]
    ys = [leaf.value for leaf in floats_of(since)]
    if any(isinstance(x, np.ndarray) for x in (*xs, *ys)):
        pairs = map(_beside, xs, ys)
        squares = _totals(
            [_squares(x, y, n) for (x, y), n in zip(pairs, rows.parts)], rows
        )
    else:
        squares = _all_squares(xs, ys, rows)
    found = jnp.sqrt(squares)
    return {key + suffix: found[i] for i, suffix in enumerate(rows.suffixes)}


@functools.partial(jax.jit, static_argnums=2)
def _all_squares(xs: list[Any], ys: list[Any], rows: Rows) -> jax.Array:
    def totals(pairs: tuple[list[Any], list[Any]]) -> jax.Array:
        return rows.totals(list(map(_apart, *pairs, rows.parts)))

    return without_explicit_axes(totals, (xs, ys))


@functools.partial(jax.jit, static_argnums=2)
def _squares(x: Any, y: Any, layers: int) -> jax.Array:
    return without_explicit_axes(lambda pair: _apart(pair[0], pair[1], layers), (x, y))


def _apart(x: Any, y: Any, layers: int) -> jax.Array:
    x, y = jnp.asarray(x), jnp.asarray(y)
    apart = x.astype(_wide(x, y)) - y.astype(_wide(x, y))
    return products(apart, apart, layers)


@functools.partial(jax.jit, static_argnums=1)
def _totals(partial: list[jax.Array], rows: Rows) -> jax.Array:
    return rows.totals(partial)


def _beside(x: Any, y: Any) -> tuple[Any, Any]:
    if isinstance(x, np.ndarray) and _is_placed(y):
        return jax.device_put(x, y.sharding), y
    if isinstance(y, np.ndarray) and _is_placed(x):
        return x, jax.device_put(y, x.sharding)
    return x, y


def _is_placed(x: Any) -> TypeGuard[jax.Array]:
    return isinstance(x, jax.Array) and not isinstance(x, Tracer)


def _wide(x: jax.Array, y: jax.Array) -> Any:
    # Not by promotion, which users may have made strict.
    double = any(a.dtype.name in ("float64", "complex128") for a in (x, y))
    if jnp.iscomplexobj(x) or jnp.iscomplexobj(y):
        return jnp.complex128 if double else jnp.complex64
    return jnp.float64 if double else jnp.float32
