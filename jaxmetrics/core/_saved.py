"""States by name: how they are saved, and how they come back in another layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxmetrics.core._decoding import describe, fetch
from jaxmetrics.core._deferred import Deferred
from jaxmetrics.core._mesh import put
from jaxmetrics.core._reduction import fold, is_metric


@dataclasses.dataclass(frozen=True)
class Saved:
    """The arrays of a tree by name, and what they are, as plain JSON values."""

    arrays: Mapping[str, Any]
    layout: Mapping[str, Any]


def state_dict(metrics: Any) -> dict[str, np.ndarray]:
    """The raw state by name (`"accuracy/correct"`), as NumPy, to save as you like."""
    names = _named(_state(metrics))
    return dict(zip(names, fetch(list(names.values()))))


def saved_form(tree: Any) -> Saved:
    """The arrays to save, with the shard axis of deferred states.

    Returns:
      Arrays by name, and a layout: the number of shards, and for each leaf the metric
      that owns it, its shape without the shard axis, and its type.
    """
    shards = tree.shards if isinstance(tree, Deferred) else 0
    leaves = {}
    for path, node, named in _nodes(_state(tree)):
        for name, x in named.items():
            shape = np.shape(x)[1:] if shards else np.shape(x)
            leaves[name] = [path, _owner(node), list(shape), _type(x)]
    return Saved(_named(_state(tree)), {"shards": shards, "leaves": leaves})


def from_saved(
    template: Any, layout: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[Any, list[str]]:
    """The saved state in the template's layout, and the names that it has no place for.

    Raises:
      ValueError: if a metric's configuration, shape or type is another.
    """
    state = _state(template)
    wanted = template.shards if isinstance(template, Deferred) else 0
    nodes, treedef = jax.tree.flatten(state, is_leaf=is_metric)
    found = []
    used: set[str] = set()
    for (path, node, named), _ in zip(_nodes(state), nodes, strict=True):
        used |= named.keys()
        if not named.keys() & arrays.keys():
            found.append(_spread(_empty(node, wanted), None, wanted))
            continue
        _refuse_changed(path, node, named, layout["leaves"], wanted)
        leaves = [np.asarray(arrays[name]) for name in named]
        saved = jax.tree.unflatten(jax.tree.structure(node), leaves)
        found.append(_relaid(saved, layout["shards"], node, wanted))
    host = jax.tree.unflatten(treedef, found)
    placed = jax.tree.map(_put_like, host, state)
    removed = sorted({layout["leaves"][n][0] for n in layout["leaves"].keys() - used})
    if isinstance(template, Deferred):
        placed = dataclasses.replace(template, state=placed)
    return placed, removed


def _state(tree: Any) -> Any:
    return tree.state if isinstance(tree, Deferred) else tree


def _named(tree: Any) -> dict[str, Any]:
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {_text(path): x for path, x in paths}


def _nodes(tree: Any) -> list[tuple[str, Any, dict[str, Any]]]:
    """Each metric (or bare array) of a tree: path, node, its leaves by full name."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_metric)
    nodes = []
    for path, node in paths:
        inner, _ = jax.tree_util.tree_flatten_with_path(node)
        named = {_text((*path, *more)): x for more, x in inner}
        nodes.append((_text(path), node, named))
    return nodes


def _text(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/") or "value"


def _type(x: Any) -> str:
    return str(x.dtype if isinstance(x, jax.Array) else np.asarray(x).dtype)


def _owner(node: Any) -> str:
    return describe(node, state=False) if is_metric(node) else ""


def _refuse_changed(
    path: str, node: Any, named: Any, leaves: Mapping[str, Any], shards: int
) -> None:
    for name, x in named.items():
        if name not in leaves:
            raise ValueError(
                f"checkpoint: {path} was saved without {name!r}: its class changed. "
                "Give the metric another name, and it starts empty."
            )
        _, owner, shape, dtype = leaves[name]
        here = list(np.shape(x)[1:] if shards else np.shape(x))
        mine = (_owner(node), here, _type(x))
        if (owner, shape, dtype) != mine:
            raise ValueError(
                f"checkpoint: {name} was saved as {owner} {dtype}{shape}, and here it "
                f"is {mine[0]} {mine[2]}{here}. Restore it with the same "
                "configuration, or give the metric another name, and it starts empty."
            )


def _relaid(saved: Any, shards: int, node: Any, wanted: int) -> Any:
    if shards == wanted:
        return saved
    if shards:
        saved = fetch(fold(saved))
    return _spread(saved, _empty(node, wanted), wanted)


def _spread(total: Any, empty: Any, shards: int) -> Any:
    """A total in the first of some shards, the others empty."""
    if not shards:
        return total
    rest = total if empty is None else empty

    def stack(first: Any, other: Any) -> np.ndarray:
        stacked = np.broadcast_to(other, (shards, *np.shape(other))).copy()
        stacked[0] = first
        return stacked

    return jax.tree.map(stack, total, rest)


def _empty(node: Any, shards: int) -> Any:
    if is_metric(node):
        return node._identity()
    zero = jax.tree.map(lambda x: np.zeros(np.shape(x), x.dtype), node)
    return jax.tree.map(lambda x: x[0], zero) if shards else zero


def _put_like(x: np.ndarray, like: Any) -> Any:
    return put(x, like.sharding) if isinstance(like, jax.Array) else x
