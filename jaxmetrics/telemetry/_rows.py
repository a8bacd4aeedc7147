"""Sums over a tree and its groups, of which each array is read once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.telemetry._groups import Group, Leaf, floats_of


class Rows(NamedTuple):
    """The rows of a table of sums: the whole tree first, then its groups.

    Each array gives one partial sum, or one a layer if a group takes it as stacked
    layers; a row is a sum of partial sums. It is hashable, and made at trace time.

    Attributes:
      suffixes: What each row adds to a key: `""`, then `"/head"`.
      parts: How many partial sums each array gives, 0 for one over all axes.
      members: The numbers of the partial sums of each row.
      counts: How many values each row has.
    """

    suffixes: tuple[str, ...]
    parts: tuple[int, ...]
    members: tuple[tuple[int, ...], ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, leaves: list[Leaf], groups: Mapping[str, Group]) -> Rows:
        """The rows of some arrays and groups of them.

        Raises:
          ValueError: Arrays of a stacked group have other numbers of layers.
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
            total = sum(sizes[i] for i in members)
            return tuple(part for span in spans for part in span), total

        table = {"": whole(range(len(leaves)))}
        for name, (members, stacked) in groups.items():
            if not stacked:
                table[f"/{name}"] = whole(members)
                continue
            total = sum(sizes[i] for i in members)
            for layer in range(parts[members[0]]):
                row = tuple(int(ends[i]) + layer for i in members)
                table[f"/{name}/{layer}"] = row, total // parts[members[0]]
        picked, counts = zip(*table.values())
        return cls(tuple(table), tuple(parts), picked, counts)

    @property
    def sizes(self) -> np.ndarray:
        """How many values each row has, float32."""
        return np.array(self.counts, np.float32)

    def sums(self, xs: list[Any], ys: list[Any]) -> jax.Array:
        """The sum of the products of two lists of arrays in each row, `[rows]`."""
        return self.totals(list(map(products, xs, ys, self.parts)))

    def totals(self, partial: list[jax.Array]) -> jax.Array:
        """The rows of the arrays' partial sums."""
        if not partial:
            return jnp.zeros(len(self.suffixes), jnp.float32)
        sums = jnp.concatenate(partial)
        chosen = np.zeros((len(self.members), len(sums)), bool)
        for row, members in zip(chosen, self.members):
            row[list(members)] = True
        # Chosen, not multiplied with: a nan stays in the rows that it belongs to.
        return jnp.where(chosen, sums, jnp.float32(0)).sum(axis=1)


def products(x: Any, y: Any, layers: int = 0) -> jax.Array:
    """The float32 sum of the products of two arrays, `[1]`, or of each layer's.

    Of complex numbers it is the real part of x times the conjugate of y.
    """
    # Not ravelled: that would gather an array sharded over several of its axes.
    x, y = jnp.asarray(x), jnp.asarray(y)
    product = _real(x) * _real(y)
    if jnp.iscomplexobj(x) and jnp.iscomplexobj(y):
        product = product + _real(jnp.imag(x)) * _real(jnp.imag(y))
    axes = tuple(range(1 if layers else 0, product.ndim))
    return product.sum(axis=axes).reshape(-1)


def _real(x: jax.Array) -> jax.Array:
    return jnp.real(x).astype(jnp.float32)


def same_paths(call: str, one: tuple[str, Any], other: tuple[str, Any]) -> None:
    """Refuse two trees, given with their names, of other structures or shapes.

    Raises:
      ValueError: Names the first array that differs.
    """
    (name, a), (another, b) = one, other
    mine, its = (
        {leaf.path: np.shape(leaf.value) for leaf in floats_of(tree)} for tree in (a, b)
    )
    for path in {**mine, **its}:
        if mine.get(path) != its.get(path):
            raise ValueError(
                f"{call}: {path!r} is {_shown(mine, path)} in {name} and "
                f"{_shown(its, path)} in {another}; expected trees of one structure. "
                "Pass the trees of the same parameters."
            )


def _layers(name: str, arrays: list[tuple[Leaf, tuple[int, ...]]]) -> int:
    found = {leaf.path: shape[:1] for leaf, shape in arrays}
    (first, layers), *_ = found.items()
    for path, its in found.items():
        if its != layers or not its or not its[0]:
            raise ValueError(
                f"groups: {name!r} takes arrays as stacked layers, of which {first!r} "
                f"has {list(layers)} and {path!r} {list(its)}; expected one number of "
                "layers, on the leading axis. Give a glob of the stack alone."
            )
    return layers[0]


def _shown(shapes: dict[str, tuple[int, ...]], path: str) -> str:
    return f"of shape {shapes[path]}" if path in shapes else "absent"
