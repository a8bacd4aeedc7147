"""Refusal of states that do not add up."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxmetrics.core._decoding import describe


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
