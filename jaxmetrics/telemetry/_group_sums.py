"""Sums over a tree and its groups that read each array once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.telemetry._groups import Group, Leaf, float_leaves


class GroupSums(NamedTuple):
    """Plan of the sums over a tree: one over the whole tree, then one per group.

    Each array gives one partial sum, or one per layer if a group takes it as stacked
    layers; each sum of the plan adds some of the partial sums. Hashable and built at
    trace time, so it can be a static argument.

    With arrays `a` (3 stacked layers) and `b`, the partial sums are numbered
    `a/0, a/1, a/2, b`; the whole tree adds `(0, 1, 2, 3)` and layer 1 of `a` `(1,)`.

    Attributes:
      suffixes: Suffix of the key of each sum: `""`, then `"/head"`.
      parts: Number of layers of each array; 0 for one sum over all axes.
      members: Numbers of the partial sums that each sum adds.
      counts: Number of values in each sum.
    """

    suffixes: tuple[str, ...]
    parts: tuple[int, ...]
    members: tuple[tuple[int, ...], ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, leaves: list[Leaf], groups: Mapping[str, Group]) -> GroupSums:
        """Plan the sums over arrays and groups of them.

        Raises:
          ValueError: Arrays of a stacked group differ in the number of layers.
        """
        shapes = [np.shape(leaf.value) for leaf in leaves]
        parts = [0] * len(leaves)
        for name, group in groups.items():
            if group.stacked:
                layers = _layers(name, [(leaves[i], shapes[i]) for i in group.members])
                for i in group.members:
                    parts[i] = layers
        ends = np.cumsum([0] + [layers or 1 for layers in parts])
        sizes = [math.prod(shape) for shape in shapes]

        def whole(members: Any) -> tuple[tuple[int, ...], int]:
            spans = (range(ends[i], ends[i + 1]) for i in members)
            count = sum(sizes[i] for i in members)
            return tuple(part for span in spans for part in span), count

        table = {"": whole(range(len(leaves)))}
        for name, (members, stacked) in groups.items():
            if not stacked:
                table[f"/{name}"] = whole(members)
                continue
            count = sum(sizes[i] for i in members)
            layers = parts[members[0]]
            for layer in range(layers):
                numbers = tuple(int(ends[i]) + layer for i in members)
                table[f"/{name}/{layer}"] = numbers, count // layers
        summed, counts = zip(*table.values())
        return cls(tuple(table), tuple(parts), summed, counts)

    @property
    def sizes(self) -> np.ndarray:
        """Number of values in each sum, float32."""
        return np.array(self.counts, np.float32)

    def sums(self, xs: list[Any], ys: list[Any]) -> jax.Array:
        """Return the sums of the products of two lists of arrays, `[sums]`."""
        return self.totals(list(map(sum_of_products, xs, ys, self.parts)))

    def totals(self, partial: list[jax.Array]) -> jax.Array:
        """Add the partial sums of the arrays, `[sums]`."""
        if not partial:
            return jnp.zeros(len(self.suffixes), jnp.float32)
        sums = jnp.concatenate(partial)
        selected = np.zeros((len(self.members), len(sums)), bool)
        for row, members in zip(selected, self.members):
            row[list(members)] = True
        # Selected, not multiplied by 0 or 1: a NaN stays in the sums it belongs to.
        return jnp.where(selected, sums, jnp.float32(0)).sum(axis=1)


def sum_of_products(x: Any, y: Any, layers: int = 0) -> jax.Array:
    """Return the float32 sum of the products of two arrays, `[1]` or `[layers]`.

    For complex numbers it is the real part of x times the conjugate of y.
    """
    # Not flattened: that would gather an array sharded over several of its axes.
    x, y = jnp.asarray(x), jnp.asarray(y)
    product = _real(x) * _real(y)
    if jnp.iscomplexobj(x) and jnp.iscomplexobj(y):
        product = product + _real(jnp.imag(x)) * _real(jnp.imag(y))
    axes = tuple(range(1 if layers else 0, product.ndim))
    return product.sum(axis=axes).reshape(-1)


def _real(x: jax.Array) -> jax.Array:
    return jnp.real(x).astype(jnp.float32)


def require_same_structure(
    call: str, first: tuple[str, Any], second: tuple[str, Any]
) -> None:
    """Refuse two named trees of different paths or shapes.

    Raises:
      ValueError: The trees differ; the error names the first array that does.
    """
    (name, tree), (other_name, other_tree) = first, second
    shapes, other_shapes = _shapes(tree), _shapes(other_tree)
    for path in {**shapes, **other_shapes}:
        if shapes.get(path) != other_shapes.get(path):
            raise ValueError(
                f"{call}: {path!r} is {_describe(shapes, path)} in {name} and "
                f"{_describe(other_shapes, path)} in {other_name}; expected trees of "
                "one structure. Pass the trees of the same parameters."
            )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {leaf.path: np.shape(leaf.value) for leaf in float_leaves(tree)}


def _layers(name: str, arrays: list[tuple[Leaf, tuple[int, ...]]]) -> int:
    leading = {leaf.path: shape[:1] for leaf, shape in arrays}
    (first, layers), *_ = leading.items()
    for path, size in leading.items():
        if size != layers or not size or not size[0]:
            raise ValueError(
                f"groups: {name!r} takes arrays as stacked layers, of which {first!r} "
                f"has {list(layers)} and {path!r} {list(size)}; expected one number of "
                "layers, on the leading axis. Use a glob that matches only the stack."
            )
    return layers[0]


def _describe(shapes: dict[str, tuple[int, ...]], path: str) -> str:
    return f"of shape {shapes[path]}" if path in shapes else "absent"
