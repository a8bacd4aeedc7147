"""Select the arrays of a tree to measure, and group them by name, glob or label."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Globs = str | tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Stacked:
    """A group of arrays whose leading axis is the layer: one entry per layer.

    For arrays that `lax.scan` or flax's scanned layers stack.
    `{"block": Stacked("blocks/**")}` gives `grad/norm/block/0`, `grad/norm/block/1` and
    so on.

    Args:
      globs: Globs of the paths, as in `norms`.
    """

    globs: Globs


Groups = Mapping[str, Globs | Stacked] | Callable[[Any], Any] | Any | None


class Group(NamedTuple):
    """Indices among the float leaves of a tree; `stacked` if the arrays are layers."""

    members: tuple[int, ...]
    stacked: bool = False


class Leaf(NamedTuple):
    """An array of a tree, and the names of the keys on its path."""

    names: tuple[str, ...]
    value: Any

    @property
    def path(self) -> str:
        """The names joined, as in `"head/kernel"`."""
        return "/".join(self.names)


def named_leaves(tree: Any) -> list[Leaf]:
    """Return the leaves of a tree in its order; an nnx variable is its value."""
    leaves = []
    for keys, value in jax.tree_util.tree_leaves_with_path(tree):
        if keys and keys[-1] == jax.tree_util.GetAttrKey("value"):
            keys = keys[:-1]
        names = (jax.tree_util.keystr((key,), simple=True) for key in keys)
        leaves.append(Leaf(tuple(names), value))
    return leaves


def float_leaves(tree: Any) -> list[Leaf]:
    """Return the real and complex leaves: no counters, random keys or integer codes."""
    return [leaf for leaf in named_leaves(tree) if _is_float(leaf.value)]


def resolve_groups(tree: Any, groups: Groups = None) -> dict[str, Group]:
    """Return the members of each group, as indices of `float_leaves(tree)`.

    Raises:
      ValueError: A glob matches no array, or labels do not fit the tree.
    """
    leaves = float_leaves(tree)
    if groups is None:
        return _by_name(leaf.names[0] if leaf.names else None for leaf in leaves)
    if callable(groups):
        return _by_label(tree, groups(tree))
    if not isinstance(groups, Mapping) or not all(
        isinstance(globs, str | tuple | Stacked) for globs in groups.values()
    ):
        return _by_label(tree, groups)
    resolved = {}
    for name, globs in groups.items():
        stacked = isinstance(globs, Stacked)
        members = _matching(name, globs.globs if stacked else globs, leaves)
        resolved[name] = Group(members, stacked)
    return resolved


def matches_glob(globs: Globs, path: str) -> bool:
    """Return whether a path matches: `*` within a name, `**` any number of names.

    >>> matches_glob("head/**", "head/dense/bias")
    True
    >>> matches_glob("*/bias", "head/dense/bias")
    False
    """
    parts = path.split("/")
    globs = (globs,) if isinstance(globs, str) else globs
    return any(_matches_parts(glob.split("/"), parts) for glob in globs)


def _matches_parts(glob: list[str], parts: list[str]) -> bool:
    if not glob:
        return not parts
    if glob[0] == "**":
        return any(_matches_parts(glob[1:], parts[i:]) for i in range(len(parts) + 1))
    return (
        bool(parts)
        and fnmatchcase(parts[0], glob[0])
        and _matches_parts(glob[1:], parts[1:])
    )


def _matching(name: str, globs: Globs, leaves: list[Leaf]) -> tuple[int, ...]:
    members = tuple(
        i for i, leaf in enumerate(leaves) if matches_glob(globs, leaf.path)
    )
    if not members:
        tops = sorted({leaf.names[0] for leaf in leaves if leaf.names})
        raise ValueError(
            f"groups: {name!r} is {globs!r}, which matches none of {len(leaves)} "
            f"arrays under {tops}. Pass a glob of paths such as 'head/**', or labels "
            "as a function of the tree: groups=lambda params: labels."
        )
    return members


def _by_label(tree: Any, labels: Any) -> dict[str, Group]:
    try:
        labels = jax.tree.broadcast(labels, tree)
    except ValueError as error:
        raise ValueError(
            f"groups: the labels do not fit the tree: {error}. Pass labels with the "
            "structure of the tree or a prefix of it, as for optax.multi_transform."
        ) from error
    values = [leaf.value for leaf in named_leaves(tree)]
    pairs = zip(jax.tree.leaves(labels), values, strict=True)
    return _by_name(str(label) for label, value in pairs if _is_float(value))


def _by_name(names: Iterable[str | None]) -> dict[str, Group]:
    members: dict[str, tuple[int, ...]] = {}
    for i, name in enumerate(names):
        if name is not None:
            members[name] = (*members.get(name, ()), i)
    return {name: Group(indices) for name, indices in members.items()}


def _is_float(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return True  # a Python number, typed by a user without a decimal point
    dtype = getattr(value, "dtype", None) or jnp.result_type(value)
    return jnp.issubdtype(dtype, jnp.inexact)
