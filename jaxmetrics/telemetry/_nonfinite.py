"""Where the first value that is nan or infinite came up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import without_explicit_axes
from jaxmetrics.telemetry._groups import Globs, floats_of, matches


def first_nonfinite(tree: Any, stacked: Globs = ()) -> jax.Array:
    """The place of the first nan or infinity, an int32 for `name_of`; -1 of none.

    Places are the floating arrays of the tree. The first is that of the tree's order,
    of a dict that of its items, so that what `taps` collected is in the order of
    execution; where jit or grad have sorted the keys, numbers in names count as
    numbers, layer 7 before layer 10. Put what is computed first in front:
    `first_nonfinite({"forward": tapped, "loss": loss, "grads": grads})`.

    Args:
      tree: Arrays, as tapped values or gradients.
      stacked: Globs of the paths whose arrays hold layers on their leading axis, as
        what a scan over layers returns; each layer is a place, with all arrays of its
        glob before those of the next layer.

    Raises:
      ValueError: A glob matches nothing, or stacked arrays have other numbers of
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
        bad = ~finite[order]
        return jnp.where(bad.any(), jnp.asarray(order)[jnp.argmax(bad)], -1)

    return without_explicit_axes(first, [place.value for place in places])


def name_of(tree: Any, place: Any, stacked: Globs = ()) -> str | None:
    """The name of a place that `first_nonfinite` found; None of -1.

    Args:
      tree: The same tree, or one of its structure and shapes (`jax.eval_shape`).
      place: The number, on the host.
      stacked: As in `first_nonfinite`.

    Raises:
      IndexError: The tree has no such place.
    """
    names = [name for its in _places(tree, stacked) for name in its.place_names()]
    if int(place) >= len(names):
        raise IndexError(
            f"name_of() got place {int(place)} of a tree with {len(names)} places. "
            "Pass the tree, and the stacked, that first_nonfinite() was given."
        )
    return names[int(place)] if place >= 0 else None


class _Place(NamedTuple):
    """An array, and the number of its first place; it has one for each layer."""

    names: tuple[str, ...]
    value: Any
    number: int
    glob: str | None  # of its stack
    layers: int

    def place_names(self) -> list[str]:
        if self.glob is None:
            return ["/".join(self.names)]
        i = _fixed(self.glob)
        layers = map(str, range(self.layers))
        return ["/".join((*self.names[:i], n, *self.names[i:])) for n in layers]


def _places(tree: Any, stacked: Globs) -> list[_Place]:
    """In the order of JAX, which does not change where a tree leaves jit."""
    globs = (stacked,) if isinstance(stacked, str) else stacked
    places, number = [], 0
    layers: dict[str, int] = {}
    for leaf in floats_of(tree):
        glob = next((g for g in globs if matches(g, leaf.path)), None)
        its = 1
        if glob is not None:
            shape = np.shape(leaf.value)
            its = shape[0] if shape else 0
            if not its or layers.setdefault(glob, its) != its:
                raise ValueError(
                    f"first_nonfinite: stacked={glob!r} takes {leaf.path!r} of shape "
                    f"{shape}; expected {layers.get(glob, 'some')} layers on the "
                    "leading axis. Give a glob of one stack."
                )
        places.append(_Place(leaf.names, leaf.value, number, glob, its))
        number += its
    if missing := [glob for glob in globs if glob not in layers]:
        raise ValueError(
            f"first_nonfinite: stacked={missing[0]!r} matches no array. Give a glob of "
            "paths such as 'layers/**'."
        )
    return places


def _order(tree: Any, places: list[_Place]) -> list[int]:
    """The numbers of the places, in the order of execution."""
    by_names = {place.names: place for place in places}
    stacks: dict[str, list[_Place]] = {}
    runs: list[list[_Place]] = []
    for names in _in_order(tree, ()):
        place = by_names[names]
        if place.glob is None:
            runs.append([place])
        elif place.glob in stacks:
            stacks[place.glob].append(place)
        else:
            runs.append(stacks.setdefault(place.glob, [place]))
    return [
        place.number + layer
        for run in runs
        for layer in range(run[0].layers)
        for place in run
    ]


def _in_order(tree: Any, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if type(tree) in (list, tuple):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        for leaf in floats_of(tree):
            yield (*names, *leaf.names)
        return
    keys = list(tree)
    if keys == sorted(keys, key=str):  # maybe by JAX
        keys = sorted(keys, key=_natural)
    for key in keys:
        yield from _in_order(tree[key], (*names, str(key)))


def _is_finite(x: Any, place: _Place) -> jax.Array:
    x = jnp.asarray(x)
    axes = tuple(range(0 if place.glob is None else 1, x.ndim))
    return jnp.isfinite(x).all(axis=axes).reshape(-1)


def _fixed(glob: str) -> int:
    """How many names of a glob come before its first wildcard."""
    names = glob.split("/")
    wild = (i for i, name in enumerate(names) if any(c in name for c in "*?["))
    return next(wild, len(names))


def _natural(key: Any) -> list[Any]:
    parts = re.split(r"(\d+)", str(key))
    return [int(part) if part.isdigit() else part for part in parts]
