"""Sums of products over a tree and its groups, exact beyond the range of float32.

Squares leave the range of float32 where values are above 1.8e19 or below 1e-19. Each
sum is therefore computed twice, of `(x * scale) * x` for a large and for a small scale,
and the first is used if it is finite. For four values of 1e-25 the first is 7.4e-31 at
a scale of 2**64, and the norm is sqrt(7.4e-31) / 2**32 = 2e-25. For four values of 1e20
it is inf; the second is 470 at a scale of 2**-126, and the norm is
sqrt(470) * 2**63 = 2e20. The second loses values below 1, which are too small to matter
where the first is inf. Values below 3e-29 are lost in both.

A scale from the largest value would need another pass over the arrays and, for sharded
arrays, another collective before that of the sums. Both sums are exchanged at once, and
compilers for accelerators compute them in one pass. That for CPUs does not: there one
sum is computed in float64. Both factors are not scaled alike,
`(x * scale) * (x * scale)`: XLA may compute that as `(x * x) * scale**2`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import as_narrow, as_wide, in_float64
from jaxmetrics.telemetry._groups import Group, Leaf, float_leaves

Scaled = tuple[jax.Array, jax.Array]
"""Values of a sum at the large and at the small scale, float32."""

Exponents = tuple[int, int]
"""Exponents of the large and of the small scale, which are powers of two."""

SQUARES: Exponents = (64, -126)
_PRODUCTS: Exponents = (64, -63)


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

    def norms(self, xs: list[Any]) -> jax.Array:
        """Return the square roots of the sums of squares, `[sums]`."""
        return self.norms_of(self._partial_sums(xs, xs, SQUARES))

    def norms_of(self, partial: list[Scaled]) -> jax.Array:
        """Return the norms from the sums of squares of each array, `[sums]`."""
        first, second = self._totals(partial)
        usable = jnp.isfinite(first)
        # Roots of 1 where they are not used: the derivative of a root of 0 is inf.
        roots = [jnp.sqrt(jnp.where(usable, first, 1))]
        roots.append(jnp.sqrt(jnp.where(usable, 1, second)))
        pairs = zip(roots, SQUARES)
        return jnp.where(usable, *(x * np.float32(2.0 ** (-e // 2)) for x, e in pairs))

    def cosines(
        self, xs: list[Any], ys: list[Any], x_norms: jax.Array, y_norms: jax.Array
    ) -> jax.Array:
        """Return the sums of products divided by both norms, NaN if one is 0.

        Also NaN if the product of the norms is above 3e57.
        """
        products = self._totals(self._partial_sums(xs, ys, _PRODUCTS))
        (x, x_exponents), (y, y_exponents) = jnp.frexp(x_norms), jnp.frexp(y_norms)
        shifts = (2 - x_exponents - y_exponents - e for e in _PRODUCTS)
        # The product of the mantissas is in [1/4, 1), so no quotient exceeds its sum.
        cosines = (jnp.ldexp(p * 0.25 / (x * y), n) for p, n in zip(products, shifts))
        cosine = jnp.where(jnp.isfinite(products[0]), *cosines)
        return jnp.where(jnp.isfinite(cosine), cosine, jnp.nan)

    def _partial_sums(
        self, xs: list[Any], ys: list[Any], exponents: Exponents
    ) -> list[Scaled]:
        pairs = zip(xs, ys, self.parts)
        return [sum_of_products(x, y, layers, exponents) for x, y, layers in pairs]

    def _totals(self, partial: list[Scaled]) -> Scaled:
        # Not as one array of both, whose parts would be exchanged array by array.
        large, small = zip(*partial) if partial else ([], [])
        return self._total(large), self._total(small)

    def _total(self, partial: Sequence[jax.Array]) -> jax.Array:
        if not partial:
            return jnp.zeros(len(self.suffixes), jnp.float32)
        sums = jnp.concatenate(partial)
        selected = np.zeros((len(self.members), len(sums)), bool)
        for row, members in zip(selected, self.members):
            row[list(members)] = True
        # Selected, not multiplied by 0 or 1: a NaN stays in the sums it belongs to.
        return jnp.where(selected, sums, jnp.float32(0)).sum(axis=1)


def sum_of_products(x: Any, y: Any, layers: int, exponents: Exponents) -> Scaled:
    """Return the scaled sums of the products of two arrays, `[1]` or `[layers]`.

    For complex numbers it is the real part of x times the conjugate of y.

    Args:
      x: Values that are multiplied by the scale first.
      y: Values of the same shape.
      layers: Number of layers on the leading axis; 0 for one sum over all axes.
      exponents: Exponents of the scales, as powers of two.
    """
    # Not flattened: that would gather an array sharded over several of its axes.
    x, y = jnp.asarray(x), jnp.asarray(y)
    factors = [(_real(x), _real(y))]
    if jnp.iscomplexobj(x) and jnp.iscomplexobj(y):
        factors.append((_real(jnp.imag(x)), _real(jnp.imag(y))))
    axes = tuple(range(1 if layers else 0, x.ndim))
    scaled = functools.partial(_scaled_sums, axes=axes, exponents=exponents)
    wide = functools.partial(_wide_sums, axes=axes, exponents=exponents)
    return lax.platform_dependent(factors, default=scaled, cpu=wide)


def _scaled_sums(factors: Any, axes: Any, exponents: Exponents) -> Scaled:
    def scaled_sum(exponent: int) -> jax.Array:
        scale = np.float32(2.0**exponent)
        products = [(a * scale) * b for a, b in factors]
        return functools.reduce(jnp.add, products).sum(axis=axes).reshape(-1)

    large, small = exponents
    return scaled_sum(large), scaled_sum(small)


@in_float64
def _wide_sums(factors: Any, axes: Any, exponents: Exponents) -> Scaled:
    """Return the same from one sum: float64 has no need of scales."""
    products = [(as_wide(a) * as_wide(b)).sum(axis=axes) for a, b in factors]
    total = functools.reduce(jnp.add, products).reshape(-1)
    large, small = (as_narrow(total * 2.0**exponent) for exponent in exponents)
    return large, small


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
