"""Norms of gradients, updates and parameters: overall, by group and by layer."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core import without_explicit_axes
from jaxmetrics.telemetry._groups import Groups, floats_of, groups_of
from jaxmetrics.telemetry._rows import Rows, same_paths

_UPDATE, _GRAD, _PARAM = "update", "grad", "param"


def grad_norm(tree: Any) -> jax.Array:
    """The L2 norm of all floating arrays of a tree, float32; 0 of an empty one.

    Squares are summed in float32 whatever the arrays are. Counters, random keys and
    integer codes are left aside. NaN if any value is, inf from a square beyond
    float32 (values past 1.8e19); values below 1e-19 count as 0. Of sharded arrays
    only sums are exchanged; inside `shard_map` it is the norm of the local part.

    >>> float(grad_norm({"bias": [3.0], "kernel": [[0.0, 4.0]]}))
    5.0
    """
    rows = Rows.of(floats_of(tree), {})
    return _statistics({_GRAD: _values(tree)}, rows)["grad/norm"]


def norms(
    grads: Any = None, updates: Any = None, params: Any = None, groups: Groups = None
) -> dict[str, jax.Array]:
    """Norms of the trees that are given, float32 scalars by key.

    For each tree `grad`, `update` or `param`, its L2 norm (see `grad_norm`) and its
    root mean square. With updates and params also the ratio of their norms, with
    updates and grads the cosine of the angle between them, -1 in plain descent. Each
    is there overall and for each group: `grad/norm`, `grad/norm/head`, `grad/rms`,
    `update/ratio`, `update/cosine`. A ratio to nothing is nan.

    Args:
      grads: Gradients.
      updates: What is added to the parameters, of the same structure.
      params: Parameters, of the same structure.
      groups: A mapping of names to globs of paths, such as `"head/**"`, to tuples of
        them, or to `Stacked` ones; or labels, as optax takes them, as a tree or a
        function of the tree (flat labels as a function). None groups by the
        outermost key, {} by nothing.

    Raises:
      ValueError: No tree is given, the trees differ in structure, or a glob matches
        nothing.

    Example:
      >>> grads = {"body": {"w": jnp.ones((2, 2))}, "head": {"w": jnp.zeros(3)}}
      >>> found = norms(grads, groups={"head": "head/**"})
      >>> {key: round(float(value), 3) for key, value in found.items()}
      {'grad/norm': 2.0, 'grad/norm/head': 0.0, 'grad/rms': 0.756, 'grad/rms/head': 0.0}
    """
    trees = {_GRAD: grads, _UPDATE: updates, _PARAM: params}
    trees = {kind: tree for kind, tree in trees.items() if tree is not None}
    if not trees:
        raise ValueError(
            "norms() got no tree; expected at least one of grads, updates and params. "
            "Pass one by its name."
        )
    first, *others = trees.items()
    for other in others:
        same_paths("norms()", first, other)
    rows = Rows.of(floats_of(first[1]), groups_of(first[1], groups))
    return _statistics({kind: _values(tree) for kind, tree in trees.items()}, rows)


def clip_ratio(norm: Any, max_norm: float) -> jax.Array:
    """What clipping to a norm multiplies the gradient by: 1, or less if it clips.

    The share of clipped steps is `jm.Mean("clipped")` of `clip_ratio(...) < 1`.

    >>> float(clip_ratio(4.0, max_norm=1.0)), float(clip_ratio(0.0, max_norm=1.0))
    (0.25, 1.0)
    """
    norm = jnp.asarray(norm, jnp.float32)
    return jnp.where(norm > max_norm, max_norm / norm, jnp.where(norm >= 0, 1.0, norm))


@functools.partial(jax.jit, static_argnames="rows")
def _statistics(
    trees: Mapping[str, list[jax.Array]], rows: Rows
) -> dict[str, jax.Array]:
    # Compiled by itself, so that outside of jit it is one launch.
    return without_explicit_axes(functools.partial(_measured, rows), trees)


def _measured(rows: Rows, trees: Mapping[str, list[jax.Array]]) -> dict[str, jax.Array]:
    sums = {kind: rows.sums(leaves, leaves) for kind, leaves in trees.items()}
    found = {}
    for kind, squares in sums.items():
        found[f"{kind}/norm"] = jnp.sqrt(squares)
        found[f"{kind}/rms"] = jnp.sqrt(squares / rows.sizes)
    if _UPDATE in trees and _PARAM in trees:
        found["update/ratio"] = _ratio(found["update/norm"], found["param/norm"])
    if _UPDATE in trees and _GRAD in trees:
        dots = rows.sums(trees[_UPDATE], trees[_GRAD])
        aligned = _ratio(dots, found["grad/norm"])
        found["update/cosine"] = _ratio(aligned, found["update/norm"])
    return {
        key + suffix: values[i]
        for i, suffix in enumerate(rows.suffixes)
        for key, values in found.items()
    }


def _values(tree: Any) -> list[Any]:
    return [leaf.value for leaf in floats_of(tree)]


def _ratio(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(b == 0, jnp.nan, a / jnp.where(b == 0, 1, b))
