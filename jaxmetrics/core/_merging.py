"""Refusal of states that do not add up."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxmetrics.core._decoding import describe
from jaxmetrics.core._mesh import varying


def refuse_other_shapes(ours: Any, theirs: Any) -> None:
    """Refuse to merge states of one structure whose leaves differ in shape.

    Broadcasting would count a total once for each state of a stack.

    Args:
      ours: A metric, a collection, or a deferred one.
      theirs: Another state of the same tree structure.

    Raises:
      ValueError: A leaf has other leading axes, such as that of shards.
    """
    pairs = list(zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True))
    if all(np.shape(a) == np.shape(b) for a, b in pairs):
        return
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(ours)]
    path, a, b = next(
        (path, a, b) for path, (a, b) in zip(paths, pairs) if np.shape(a) != np.shape(b)
    )
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    raise ValueError(
        f"Cannot merge states of {describe(ours, state=False)} of different shapes: "
        f"{name!r} is {np.shape(a)} in one and {np.shape(b)} in the other. If one "
        "is a stack of states that were not reduced yet, merge with its .reduce()."
    )


def refuse_parts(ours: Any, theirs: Any) -> None:
    """Refuse to merge states that hold a part of an update each, in shard_map.

    For a metric that compares whole updates. Without `check_vma` nothing tells that
    devices hold parts.

    Raises:
      ValueError: The states vary along axes of the mesh.
    """
    axes = sorted(varying((ours, theirs)))
    if axes:
        name = type(ours).__name__
        over = axes[0] if len(axes) == 1 else tuple(axes)
        raise ValueError(
            f"{name} compares whole updates, but each device along {over!r} holds a "
            f"part of one. Reduce the update, then merge it: state.merge("
            f"state.from_model_output(...).reduce({over!r}))."
        )
