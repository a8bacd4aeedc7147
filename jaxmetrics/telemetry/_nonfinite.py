"""Where the first value that is nan or infinite came up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.telemetry._groups import Globs, Leaf, floats_of, matches


def first_nonfinite(tree: Any, stacked: Globs = ()) -> jax.Array:
    """The number of the first place with a nan or an infinity, int32; -1 of none.

    `name_of` tells its name. Places are the floating arrays of the tree in its order:
    of a dict that of its items, so that what `taps` collected is in the order of
    execution; where jit or grad have sorted the keys, numbers in names count as
    numbers, layer 7 before layer 10. Put what is computed first in front:
    `first_nonfinite({"forward": tapped, "loss": loss, "grads": grads})`.

    Args:
      tree: Arrays, as tapped values or gradients.
      stacked: Globs of the paths whose arrays hold layers on their leading axis, as
        what a scan over layers returns; each layer is a place, with its arrays in
        their order, before the next layer.

    Raises:
      ValueError: A glob matches nothing, or stacked arrays have other numbers of
        layers.

    Example:
      >>> tapped = {"embed": jnp.ones(3), "layers": jnp.array([1.0, jnp.nan, jnp.nan])}
      >>> index = first_nonfinite(tapped, stacked="layers")
      >>> name_of(tapped, index, stacked="layers")
      'layers/1'
    """
    flags = [_flags(run) for run in _runs(tree, stacked)]
    if not flags:
        return jnp.int32(-1)
    bad = jnp.concatenate(flags)
    return jnp.where(bad.any(), jnp.argmax(bad).astype(jnp.int32), -1)


def name_of(tree: Any, index: Any, stacked: Globs = ()) -> str | None:
    """The name of a place that `first_nonfinite` found; None of -1.

    Args:
      tree: The same tree, or one of its structure and shapes (`jax.eval_shape`).
      index: The number, on the host.
      stacked: As in `first_nonfinite`.

    Raises:
      IndexError: The tree has no such place.
    """
    names = [name for run in _runs(tree, stacked) for name in run.names]
    index = int(index)
    if index >= len(names):
        raise IndexError(
            f"name_of() got place {index} of a tree with {len(names)} places. Pass "
            "the tree, and the stacked, that first_nonfinite() was given."
        )
    return names[index] if index >= 0 else None


class _Run(NamedTuple):
    """Arrays that follow one another: one, or all those of a stack of layers."""

    leaves: list[Leaf]
    depth: int | None = None  # how many names come before the layer's number

    @property
    def names(self) -> list[str]:
        if self.depth is None:
            return [leaf.path for leaf in self.leaves]
        return [
            "/".join((*leaf.names[: self.depth], str(layer), *leaf.names[self.depth :]))
            for layer in range(np.shape(self.leaves[0].value)[0])
            for leaf in self.leaves
        ]


def _flags(run: _Run) -> jax.Array:
    found = []
    for leaf in run.leaves:
        x = jnp.asarray(leaf.value)
        axes = tuple(range(0 if run.depth is None else 1, x.ndim))
        found.append((~jnp.isfinite(x)).any(axis=axes))
    return jnp.stack(found, axis=-1).reshape(-1)


def _runs(tree: Any, stacked: Globs) -> list[_Run]:
    globs = (stacked,) if isinstance(stacked, str) else stacked
    runs: list[_Run] = []
    of_glob: dict[str, _Run] = {}
    for leaf in _in_order(tree, ()):
        glob = next((g for g in globs if matches(g, leaf.path)), None)
        if glob is None:
            runs.append(_Run([leaf]))
        elif glob in of_glob:
            of_glob[glob].leaves.append(leaf)
        else:
            of_glob[glob] = _Run([leaf], _depth(glob))
            runs.append(of_glob[glob])
    _check(globs, of_glob)
    return runs


def _depth(glob: str) -> int:
    names = glob.split("/")
    fixed = (i for i, name in enumerate(names) if any(c in name for c in "*?["))
    return next(fixed, len(names))


def _check(globs: tuple[str, ...], of_glob: Mapping[str, _Run]) -> None:
    for glob in globs:
        if glob not in of_glob:
            raise ValueError(
                f"first_nonfinite: stacked={glob!r} matches no array. Give a glob of "
                "paths such as 'layers/**'."
            )
        shapes = {leaf.path: np.shape(leaf.value) for leaf in of_glob[glob].leaves}
        if len({shape[:1] for shape in shapes.values()} - {()}) != 1:
            raise ValueError(
                f"first_nonfinite: stacked={glob!r} takes arrays of shapes {shapes}; "
                "expected one number of layers on the leading axis. Give a glob of "
                "one stack."
            )


def _in_order(tree: Any, names: tuple[str, ...]) -> Iterator[Leaf]:
    if type(tree) in (list, tuple):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        for leaf in floats_of(tree):
            yield Leaf((*names, *leaf.names), leaf.value)
        return
    keys = list(tree)
    if keys == sorted(keys, key=str):
        keys = sorted(keys, key=_natural)
    for key in keys:
        yield from _in_order(tree[key], (*names, str(key)))


def _natural(key: Any) -> list[Any]:
    parts = re.split(r"(\d+)", str(key))
    return [int(part) if part.isdigit() else part for part in parts]
