"""Locate the first NaN or infinity in a tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import without_explicit_axes
from jaxmetrics.telemetry._groups import Globs, float_leaves, matches_glob


def first_nonfinite(tree: Any, stacked: Globs = ()) -> jax.Array:
    """Return the place of the first NaN or infinity, an int32 for `name_of`, or -1.

    Places are the floating-point arrays of the tree, in the order of the tree. Dicts
    are in the order of their items, so values of `taps` are in the order of execution.
    If jit or grad have sorted the keys, numbers in names are compared as numbers: layer
    7 comes before layer 10. Put values that are computed first in front:
    `first_nonfinite({"forward": tapped, "loss": loss, "grads": grads})`.

    Args:
      tree: Arrays, such as tapped values or gradients.
      stacked: Globs of the paths whose arrays hold layers on their leading axis, as a
        scan over layers returns them. Each layer is a place, and all arrays of the glob
        come before those of the next layer.

    Raises:
      ValueError: A glob matches nothing, or stacked arrays differ in the number of
        layers.

    Example:
      >>> tapped = {"embed": jnp.ones(3), "layers": jnp.array([1.0, jnp.nan, jnp.nan])}
      >>> place = first_nonfinite(tapped, stacked="layers")
      >>> name_of(tapped, place, stacked="layers")
      'layers/1'
    """
    places = _places(tree, stacked)
    if not places:
        return jnp.int32(-1)
    order = np.array(_order(tree, places), np.int32)

    def first(values: list[Any]) -> jax.Array:
        finite = jnp.concatenate(list(map(_is_finite, values, places)))
        nonfinite = ~finite[order]
        return jnp.where(nonfinite.any(), jnp.asarray(order)[jnp.argmax(nonfinite)], -1)

    return without_explicit_axes(first, [place.value for place in places])


def name_of(tree: Any, place: Any, stacked: Globs = ()) -> str | None:
    """Return the name of a place of `first_nonfinite`; None for -1.

    Args:
      tree: The same tree, or one of its structure and shapes (`jax.eval_shape`).
      place: Number of the place, on the host.
      stacked: Globs of stacked arrays, as in `first_nonfinite`.

    Raises:
      IndexError: The tree has no such place.
    """
    names = [name for array in _places(tree, stacked) for name in array.place_names()]
    if int(place) >= len(names):
        raise IndexError(
            f"name_of() got place {int(place)} of a tree with {len(names)} places. "
            "Pass the same tree and stacked= as to first_nonfinite()."
        )
    return names[int(place)] if place >= 0 else None


class _Place(NamedTuple):
    """An array, and the number of its first place; a stack has one place per layer."""

    names: tuple[str, ...]
    value: Any
    number: int
    glob: str | None  # the glob that declares the array as stacked
    layers: int

    def place_names(self) -> list[str]:
        if self.glob is None:
            return ["/".join(self.names)]
        i = _fixed_names(self.glob)
        layers = map(str, range(self.layers))
        return ["/".join((*self.names[:i], n, *self.names[i:])) for n in layers]


def _places(tree: Any, stacked: Globs) -> list[_Place]:
    """Return the places in JAX's order, which is the same inside and outside jit."""
    globs = (stacked,) if isinstance(stacked, str) else stacked
    places, number = [], 0
    layers: dict[str, int] = {}
    for leaf in float_leaves(tree):
        glob = next((g for g in globs if matches_glob(g, leaf.path)), None)
        size = 1
        if glob is not None:
            shape = np.shape(leaf.value)
            size = shape[0] if shape else 0
            if not size or layers.setdefault(glob, size) != size:
                raise ValueError(
                    f"first_nonfinite: stacked={glob!r} matches {leaf.path!r} of shape "
                    f"{shape}; expected {layers.get(glob, 'one or more')} layers on "
                    "the leading axis. Use a glob that matches one stack."
                )
        places.append(_Place(leaf.names, leaf.value, number, glob, size))
        number += size
    if missing := [glob for glob in globs if glob not in layers]:
        raise ValueError(
            f"first_nonfinite: stacked={missing[0]!r} matches no array. Pass a glob of "
            "paths such as 'layers/**'."
        )
    return places


def _order(tree: Any, places: list[_Place]) -> list[int]:
    """Return the numbers of the places, in the order of execution."""
    by_names = {place.names: place for place in places}
    stacks: dict[str, list[_Place]] = {}
    blocks: list[list[_Place]] = []  # single arrays, and stacks of several arrays
    for names in _names_in_order(tree, ()):
        place = by_names[names]
        if place.glob is None:
            blocks.append([place])
        elif place.glob in stacks:
            stacks[place.glob].append(place)
        else:
            blocks.append(stacks.setdefault(place.glob, [place]))
    return [
        place.number + layer
        for block in blocks
        for layer in range(block[0].layers)
        for place in block
    ]


def _names_in_order(tree: Any, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if type(tree) in (list, tuple):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        for leaf in float_leaves(tree):
            yield (*names, *leaf.names)
        return
    keys = list(tree)
    if keys == sorted(keys, key=str):  # possibly sorted by JAX
        keys = sorted(keys, key=_natural_sort_key)
    for key in keys:
        yield from _names_in_order(tree[key], (*names, str(key)))


def _is_finite(x: Any, place: _Place) -> jax.Array:
    x = jnp.asarray(x)
    axes = tuple(range(0 if place.glob is None else 1, x.ndim))
    return jnp.isfinite(x).all(axis=axes).reshape(-1)


def _fixed_names(glob: str) -> int:
    """Count the names of a glob before its first wildcard."""
    names = glob.split("/")
    wild = (i for i, name in enumerate(names) if any(c in name for c in "*?["))
    return next(wild, len(names))


def _natural_sort_key(key: Any) -> list[Any]:
    parts = re.split(r"(\d+)", str(key))
    return [int(part) if part.isdigit() else part for part in parts]
