"""Select the arrays of a tree to measure, and group them by name, glob or label."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, GetAttrKey, SequenceKey

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


Groups = Mapping[str, Globs | Stacked] | Callable[[Any], Any] | int | Any | None


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


def float_leaves(tree: Any) -> list[Leaf]:
    """Return the real and complex arrays of a tree in its order.

    Counters, random keys, integer codes and leaves that are not arrays, such as
    functions and strings, are left out. Python numbers count in lists, tuples and
    dicts; fields of other objects, such as the rate of a dropout module, are
    configuration. An nnx variable is its value.
    """
    return [leaf for leaf in _leaves(tree) if leaf is not None]


def resolve_groups(tree: Any, groups: Groups = None) -> dict[str, Group]:
    """Return the members of each group, as indices of `float_leaves(tree)`.

    Raises:
      ValueError: A glob matches no array, labels do not fit the tree, or a number of
        names is not positive.
    """
    leaves = float_leaves(tree)
    if groups is None:
        groups = 1
    if isinstance(groups, int):
        _require_depth(groups)
        return _by_name("/".join(leaf.names[:groups]) or None for leaf in leaves)
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


def _require_depth(names: int) -> None:
    if isinstance(names, bool) or names < 1:
        raise ValueError(
            f"groups: got {names!r}; expected a positive number of names of a path. "
            f"Pass 1 for one group per outermost key, or {{}} for no groups."
        )


def _by_label(tree: Any, labels: Any) -> dict[str, Group]:
    try:
        labels = jax.tree.broadcast(labels, tree)
    except ValueError as error:
        raise ValueError(
            f"groups: the labels do not fit the tree: {error}. Pass labels with the "
            "structure of the tree or a prefix of it, as for optax.multi_transform."
        ) from error
    pairs = zip(jax.tree.leaves(labels), _leaves(tree), strict=True)
    return _by_name(str(label) for label, leaf in pairs if leaf is not None)


def _by_name(names: Iterable[str | None]) -> dict[str, Group]:
    members: dict[str, tuple[int, ...]] = {}
    for i, name in enumerate(names):
        if name is not None:
            members[name] = (*members.get(name, ()), i)
    return {name: Group(indices) for name, indices in members.items()}


def _leaves(tree: Any) -> list[Leaf | None]:
    """Return each leaf of a tree in its order, None for those that do not count."""
    leaves: list[Leaf | None] = []
    for keys, value in jax.tree_util.tree_leaves_with_path(tree):
        if not _is_float_array(value) and not _is_number(value, tree, keys):
            leaves.append(None)
            continue
        if keys and keys[-1] == GetAttrKey("value"):
            keys = keys[:-1]
        names = (jax.tree_util.keystr((key,), simple=True) for key in keys)
        leaves.append(Leaf(tuple(names), value))
    return leaves


def _is_float_array(value: Any) -> bool:
    # Not by the attribute `dtype`, which classes such as jnp.float32 have too.
    arrays = jax.Array | jax.ShapeDtypeStruct | np.ndarray | np.generic
    return isinstance(value, arrays) and jnp.issubdtype(value.dtype, jnp.inexact)


def _is_number(value: Any, tree: Any, keys: tuple[Any, ...]) -> bool:
    """Return whether a leaf is a Python number in lists, tuples and dicts only."""
    if isinstance(value, bool) or not isinstance(value, int | float | complex):
        return False
    for key in keys:
        if isinstance(key, DictKey):
            tree = tree[key.key]
        elif isinstance(key, SequenceKey):
            tree = tree[key.idx]
        elif isinstance(key, GetAttrKey) and isinstance(tree, tuple):
            tree = getattr(tree, key.name)
        else:
            return False
    return True
