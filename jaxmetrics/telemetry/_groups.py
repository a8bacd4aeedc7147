"""Which arrays of a tree are measured, and which of them together."""

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
    """A group of arrays whose leading axis is the layer: one entry for each layer.

    What `lax.scan` or flax's scanned layers hold. `{"block": Stacked("blocks/**")}`
    gives `grad/norm/block/0`, `grad/norm/block/1` and so on.

    Args:
      globs: The paths, as in `norms`.
    """

    globs: Globs


Groups = Mapping[str, Globs | Stacked] | Callable[[Any], Any] | Any | None


class Group(NamedTuple):
    """Positions among a tree's paths, and whether the arrays are stacked layers."""

    members: tuple[int, ...]
    stacked: bool = False


class Leaf(NamedTuple):
    """An array of a tree, its keys' names, and its place among all leaves."""

    names: tuple[str, ...]
    value: Any

    @property
    def path(self) -> str:
        """The names, as in `"head/kernel"`."""
        return "/".join(self.names)


def leaves_of(tree: Any) -> list[Leaf]:
    """The leaves of a tree, in its order; a variable of nnx is its value."""
    leaves = []
    for keys, value in jax.tree_util.tree_leaves_with_path(tree):
        if keys and keys[-1] == jax.tree_util.GetAttrKey("value"):
            keys = keys[:-1]
        names = (jax.tree_util.keystr((key,), simple=True) for key in keys)
        leaves.append(Leaf(tuple(names), value))
    return leaves


def floats_of(tree: Any) -> list[Leaf]:
    """The leaves that are real or complex numbers: no counters, keys or codes."""
    return [leaf for leaf in leaves_of(tree) if _is_float(leaf.value)]


def groups_of(tree: Any, groups: Groups = None) -> dict[str, Group]:
    """The members of each group, as positions in `floats_of(tree)`.

    Raises:
      ValueError: A glob matches no array, or labels do not fit the tree.
    """
    leaves = floats_of(tree)
    if groups is None:
        return _by_name(leaf.names[0] if leaf.names else None for leaf in leaves)
    if callable(groups):
        return _by_label(tree, groups(tree))
    if not isinstance(groups, Mapping) or not all(
        isinstance(globs, str | tuple | Stacked) for globs in groups.values()
    ):
        return _by_label(tree, groups)
    found = {}
    for name, globs in groups.items():
        if isinstance(globs, Stacked):
            found[name] = Group(_matching(name, globs.globs, leaves), stacked=True)
        else:
            found[name] = Group(_matching(name, globs, leaves))
    return found


def matches(globs: Globs, path: str) -> bool:
    """Whether a path fits a glob: `*` within a name, `**` any number of names.

    >>> matches("head/**", "head/kernel"), matches("*/bias", "head/dense/bias")
    (True, False)
    """
    parts = path.split("/")
    globs = (globs,) if isinstance(globs, str) else globs
    return any(_fits(glob.split("/"), parts) for glob in globs)


def _fits(glob: list[str], parts: list[str]) -> bool:
    if not glob:
        return not parts
    if glob[0] == "**":
        return any(_fits(glob[1:], parts[i:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], glob[0]) and _fits(glob[1:], parts[1:])


def _matching(name: str, globs: Globs, leaves: list[Leaf]) -> tuple[int, ...]:
    members = tuple(i for i, leaf in enumerate(leaves) if matches(globs, leaf.path))
    if not members:
        tops = sorted({leaf.names[0] for leaf in leaves if leaf.names})
        raise ValueError(
            f"groups: {name!r} is {globs!r}, which matches none of {len(leaves)} "
            f"arrays under {tops}. Give a glob of paths such as 'head/**', or labels "
            "as a function of the tree: groups=lambda params: labels."
        )
    return members


def _by_label(tree: Any, labels: Any) -> dict[str, Group]:
    try:
        labels = jax.tree.broadcast(labels, tree)
    except ValueError as error:
        raise ValueError(
            f"groups: the labels do not fit the tree: {error}. Give them the structure "
            "of the tree or the beginning of it, as optax.multi_transform takes them."
        ) from error
    values = [leaf.value for leaf in leaves_of(tree)]
    pairs = zip(jax.tree.leaves(labels), values, strict=True)
    return _by_name(str(label) for label, value in pairs if _is_float(value))


def _by_name(names: Iterable[str | None]) -> dict[str, Group]:
    found: dict[str, tuple[int, ...]] = {}
    for i, name in enumerate(names):
        if name is not None:
            found[name] = (*found.get(name, ()), i)
    return {name: Group(members) for name, members in found.items()}


def _is_float(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return True  # a number someone typed
    dtype = getattr(value, "dtype", None) or jnp.result_type(value)
    return jnp.issubdtype(dtype, jnp.inexact)
