"""Norms of gradients, updates and parameters: overall, by group and by layer."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import without_explicit_axes
from jaxmetrics.telemetry._group_sums import GroupSums, require_same_structure
from jaxmetrics.telemetry._groups import Groups, float_leaves, resolve_groups

_UPDATE, _GRAD, _PARAM = "update", "grad", "param"


def grad_norm(tree: Any) -> jax.Array:
    """Return the L2 norm of all floating-point arrays of a tree, float32.

    As exact as float32 for any dtype: no square overflows or underflows, so values of
    1e20 and 1e-25 count as in float64; values below 3e-29 count as 0. NaN if any value
    is NaN, inf if a value is inf or the norm is above 1.7e38; an empty tree has norm 0.

    The tree may be a module of Equinox or another object with leaves that are not
    arrays. Counters, random keys, integer codes, functions, strings and None are
    ignored. Python numbers count in lists, tuples and dicts; as fields of modules they
    are configuration. For sharded arrays only sums are exchanged; inside `shard_map`
    it is the norm of the local part.

    >>> float(grad_norm({"bias": [3.0], "kernel": [[0.0, 4.0]]}))
    5.0
    """
    sums = GroupSums.of(float_leaves(tree), {})
    return _statistics({_GRAD: _values(tree)}, sums)["grad/norm"]


def norms(
    grads: Any = None, updates: Any = None, params: Any = None, groups: Groups = None
) -> dict[str, jax.Array]:
    """Return norms of gradients, updates and parameters, float32 scalars by key.

    For each tree, `grad`, `update` or `param`, the L2 norm (see `grad_norm`) and the
    root mean square. With updates and params also the ratio of their norms, with
    updates and grads the cosine of the angle between them, -1 in plain descent. Each is
    computed overall and for each group: `grad/norm`, `grad/norm/head`, `grad/rms`,
    `update/ratio`, `update/cosine`. Ratios with a denominator of 0 are NaN, also the
    cosine if the product of the norms is above 3e57.

    Args:
      grads: Gradients.
      updates: Updates that are added to the parameters, of the same structure.
      params: Parameters, of the same structure.
      groups: A mapping of names to globs of paths such as `"head/**"`, to tuples of
        globs, or to `Stacked`; or labels as for `optax.multi_transform`, as a tree or a
        function of the tree (flat labels only as a function). Or a number: one group
        for each different beginning of a path of that many names, so that a large one
        gives every array a group of its own. Default 1: one group per outermost key;
        `{}` for no groups.

    Raises:
      ValueError: No tree is passed, the trees differ in structure, or a glob matches
        nothing.

    Example:
      >>> grads = {"body": {"w": jnp.ones((2, 2))}, "head": {"w": jnp.zeros(3)}}
      >>> values = norms(grads, groups={"head": "head/**"})
      >>> {key: round(float(value), 3) for key, value in values.items()}
      {'grad/norm': 2.0, 'grad/norm/head': 0.0, 'grad/rms': 0.756, 'grad/rms/head': 0.0}
    """
    trees = {_GRAD: grads, _UPDATE: updates, _PARAM: params}
    trees = {kind: tree for kind, tree in trees.items() if tree is not None}
    if not trees:
        raise ValueError(
            "norms() got no tree; expected at least one of grads, updates and params. "
            "Pass one by name."
        )
    first, *others = trees.items()
    for other in others:
        require_same_structure("norms()", first, other)
    sums = GroupSums.of(float_leaves(first[1]), resolve_groups(first[1], groups))
    return _statistics({kind: _values(tree) for kind, tree in trees.items()}, sums)


def clip_ratio(norm: Any, max_norm: float) -> jax.Array:
    """Return the factor by which clipping to `max_norm` scales a gradient, in [0, 1].

    1 if nothing is clipped, NaN for a NaN norm. The fraction of clipped steps is
    `jm.Mean("clipped")` of `clip_ratio(...) < 1`.

    >>> float(clip_ratio(4.0, max_norm=1.0)), float(clip_ratio(0.0, max_norm=1.0))
    (0.25, 1.0)
    """
    norm = jnp.asarray(norm, jnp.float32)
    return jnp.where(norm > max_norm, max_norm / norm, jnp.where(norm >= 0, 1.0, norm))


@functools.partial(jax.jit, static_argnames="sums")
def _statistics(
    trees: Mapping[str, list[jax.Array]], sums: GroupSums
) -> dict[str, jax.Array]:
    # Compiled separately, so that outside jit it is a single launch.
    return without_explicit_axes(functools.partial(_measure, sums), trees)


def _measure(
    sums: GroupSums, trees: Mapping[str, list[jax.Array]]
) -> dict[str, jax.Array]:
    statistics = {}
    for kind, leaves in trees.items():
        statistics[f"{kind}/norm"] = sums.norms(leaves)
        statistics[f"{kind}/rms"] = statistics[f"{kind}/norm"] / np.sqrt(sums.sizes)
    if _UPDATE in trees and _PARAM in trees:
        statistics["update/ratio"] = _ratio(
            statistics["update/norm"], statistics["param/norm"]
        )
    if _UPDATE in trees and _GRAD in trees:
        statistics["update/cosine"] = sums.cosines(
            trees[_UPDATE],
            trees[_GRAD],
            statistics["update/norm"],
            statistics["grad/norm"],
        )
    return {
        key + suffix: values[i]
        for i, suffix in enumerate(sums.suffixes)
        for key, values in statistics.items()
    }


def _values(tree: Any) -> list[Any]:
    return [leaf.value for leaf in float_leaves(tree)]


def _ratio(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(b == 0, jnp.nan, a / jnp.where(b == 0, 1, b))
