"""States by name: their form in a checkpoint, and restoring it in another layout.

A saved state is arrays by name (`"accuracy/correct"`) and a layout, plain JSON:

    {"format": 2,
     "shards": 8,                                 of a deferred state, else 0
     "metrics": {"accuracy": {"class": "Accuracy", "configuration": {...}}},
     "descriptions": {"accuracy": "Accuracy()"},  for error texts only
     "aliases": {"recall.counts": "precision.counts"},  see `_aliases`
     "leaves": {"accuracy/correct": ["accuracy", [2], "uint32"], ...}}

Each leaf has the path of its metric, its shape without the shard axis, and its type.
Arrays without elements are in the layout only: orbax refuses them. Random keys are
saved as their data.
The configuration is complete (see `configuration_of`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.tree_util import DictKey

from jaxmetrics.core._collection import Collection
from jaxmetrics.core._configuration import (
    configuration_differences,
    configuration_of,
    same_configuration,
)
from jaxmetrics.core._decoding import describe, fetch
from jaxmetrics.core._deferred import Deferred
from jaxmetrics.core._mesh import put
from jaxmetrics.core._reduction import fold, is_metric

_FORMAT = 2
_PYTHON_TYPES = {np.dtype(x) for x in (bool, int, float)}  # of numbers of Python


@dataclasses.dataclass(frozen=True)
class Saved:
    """Arrays of a tree by name, and their layout as plain JSON."""

    arrays: Mapping[str, Any]
    layout: Mapping[str, Any]


def state_dict(metrics: Any) -> dict[str, np.ndarray]:
    """Return the raw state as NumPy arrays by name, `"accuracy/correct"`."""
    names = _named(_state(metrics))
    return dict(zip(names, fetch(list(names.values()))))


def saved_form(tree: Any) -> Saved:
    """Return the arrays to save, of deferred states with their shard axis.

    Args:
      tree: Metrics, a collection, a deferred one, or any tree of arrays.

    Raises:
      TypeError: A leaf is neither an array nor a number.
      ValueError: Two leaves have the same name.
    """
    shards = tree.shards if isinstance(tree, Deferred) else 0
    metrics, descriptions, leaves, arrays = {}, {}, {}, {}
    for path, node, named in _nodes(_state(tree)):
        if is_metric(node):
            metrics[path] = configuration_of(node)
            descriptions[path] = describe(node, state=False)
        for name, x in named.items():
            if name in leaves:
                raise ValueError(
                    f"checkpoint: two leaves of the tree are called {name!r}; expected "
                    f"different names. Rename the one whose key contains a '/'."
                )
            leaves[name] = [path, *_outline(name, x, shards)]
            if np.size(x):
                arrays[name] = jax.random.key_data(x) if _is_key(x) else x
    layout = {
        "format": _FORMAT,
        "shards": shards,
        "metrics": metrics,
        "descriptions": descriptions,
        "aliases": _aliases(_state(tree)),
        "leaves": leaves,
    }
    return Saved(arrays, layout)


def saved_leaves(layout: Mapping[str, Any]) -> list[str]:
    """Return the names of the arrays that were saved with a layout."""
    return [name for name, (_, shape, _) in layout["leaves"].items() if 0 not in shape]


def from_saved(
    template: Any, layout: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[Any, list[str]]:
    """Restore a saved state into the layout of a template.

    The state goes metric by metric: one whose leaves were not saved starts empty, and
    an array of no metric keeps the value of the template. One whose configuration,
    shape or type differs is an error, and one that the template lacks is left out.
    Saved on as many shards as the template has, the arrays come back as they are.
    Otherwise the saved shards are folded into one total; a template with shards gets it
    in its first shard, and empty states in the others:

        saved on 8 shards -> template with 4: [total, empty, empty, empty]
        saved on 8 shards -> template without: total
        saved without     -> template with 8: [saved, empty, ...]

    Args:
      template: Metrics of the wanted configuration, placed as the result is to be.
      layout: Layout of `saved_form`.
      arrays: Arrays of `saved_form`, on the host.

    Returns:
      The state, and the paths of saved metrics that the template lacks.

    Raises:
      ValueError: The configuration, shape or type of a metric differs.
    """
    if layout.get("format") != _FORMAT:
        raise ValueError(
            f"checkpoint: the metrics were saved in format {layout.get('format', 1)}; "
            f"this version reads {_FORMAT}. Restore them with the version that saved "
            "them, or leave them out and start with empty metrics."
        )
    state = _state(template)
    shards = template.shards if isinstance(template, Deferred) else 0
    restored = []
    used: set[str] = set()
    aliases = _aliases(state)
    # A layout of an earlier version has no aliases.
    stored = {p: p for p in layout["metrics"]} | layout.get("aliases", {})
    for path, node, named in _nodes(state):
        further = [alias for alias, of in aliases.items() if of == path]
        source = next((stored[p] for p in (path, *further) if p in stored), path)
        if source != path:
            named = {source + n.removeprefix(path): x for n, x in named.items()}
            path = source
        used |= named.keys()
        if not named.keys() & layout["leaves"].keys():
            if is_metric(node):
                empty = _empty(node, shards)
                node = _spread(empty, empty, shards)
            restored.append(node)
            continue
        if (number := _number_of(path, node, layout, arrays)) is not None:
            restored.append(number)
            continue
        _refuse_changed(path, node, named, layout, shards)
        leaves = [_read(arrays, name, x) for name, x in named.items()]
        saved = jax.tree.unflatten(jax.tree.structure(node), leaves)
        restored.append(_relaid(saved, layout["shards"], node, shards))
    treedef = jax.tree.structure(state, is_leaf=is_metric)
    host = jax.tree.unflatten(treedef, restored)
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
    """Return each metric (or bare array) of a tree: path, node, leaves by full name."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_metric)
    nodes = []
    for path, node in paths:
        inner, _ = jax.tree_util.tree_flatten_with_path(node)
        named = {_text((*path, *more)): x for more, x in inner}
        nodes.append((_text(path), node, named))
    return nodes


def _aliases(tree: Any) -> dict[str, str]:
    """Return by further path of a shared metric the path under which it is stored.

    A collection stores equal metrics under the path of the first. Which one that is
    changes with the order of the metrics, and where one is added or removed.
    """
    holders, _ = jax.tree_util.tree_flatten_with_path(
        tree, is_leaf=lambda x: is_metric(x) or isinstance(x, Collection)
    )
    return {
        _text((*path, DictKey(alias))): _text((*path, DictKey(key)))
        for path, holder in holders
        if isinstance(holder, Collection)
        for alias, key in holder._aliases().items()
    }


def _text(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/") or "value"


def _read(arrays: Mapping[str, np.ndarray], name: str, like: Any) -> np.ndarray:
    """Return a saved array; one without elements was not saved."""
    return np.asarray(arrays[name]) if name in arrays else np.zeros_like(like)


def _outline(name: str, x: Any, shards: int) -> tuple[list[int], str]:
    """Return the shape without the shard axis, and the type."""
    dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    if getattr(dtype, "kind", "V") in "OUSMm":
        raise TypeError(
            f"checkpoint: the leaf {name!r} is a {type(x).__name__} of {dtype}; "
            f"expected arrays and numbers. Save it with the configuration, or leave it "
            f"out of the tree."
        )
    return list(np.shape(x)[1:] if shards else np.shape(x)), str(dtype)


def _number_of(
    path: str, template: Any, layout: Mapping[str, Any], arrays: Mapping[str, Any]
) -> np.ndarray | None:
    """Return a saved number as a template holds it; None for what must not change.

    The type of a number that belongs to no metric may be an accident: the `step=0` of
    flax's `TrainState.create` is an int of Python, and an int32 once a jitted step
    returned it. So if either side has the type of a Python number, the number is
    taken. A template that is itself a number of Python takes one of any type; an array
    takes one that its type holds: 3 as 3.0, but not 0.5 as an integer.
    """
    if path not in arrays or layout["leaves"][path][0] in layout["metrics"]:
        return None
    saved = np.asarray(arrays[path])
    if np.shape(template) or saved.shape or saved.dtype.kind not in "biuf":
        return None
    if type(template) in (bool, int, float):
        return saved
    dtype = getattr(template, "dtype", None)
    weak = isinstance(template, jax.Array) and template.weak_type
    if not (weak or {saved.dtype, dtype} & _PYTHON_TYPES):
        return None
    order = ["b", "i", "u", "f"]  # each kind holds those before it
    if not isinstance(dtype, np.dtype) or dtype.kind not in order:
        return None
    if order.index(dtype.kind) < order.index(saved.dtype.kind):
        return None
    number = saved.astype(dtype)
    return number if saved.dtype.kind == "f" or number == saved else None


def _refuse_changed(
    path: str, node: Any, named: Any, layout: Mapping[str, Any], shards: int
) -> None:
    """Refuse a metric that was saved with another configuration, shape or type."""
    differences = []
    saved = layout["metrics"].get(path)
    current = configuration_of(node) if is_metric(node) else None
    if not same_configuration(saved, current):
        differences += configuration_differences(saved, current)
    for name, x in named.items():
        if name not in layout["leaves"]:
            raise ValueError(
                f"checkpoint: {path} was saved without {name!r}: its class changed. "
                "Give the metric another name, and it starts empty."
            )
        _, old_shape, old_type = layout["leaves"][name]
        shape, dtype = _outline(name, x, shards)
        if (old_shape, old_type) != (shape, dtype):
            old, new = f"{old_type}{old_shape}", f"{dtype}{shape}"
            differences.append(f"{name} was {old}, is {new}")
    if differences and not is_metric(node) and saved is None:
        raise ValueError(
            f"checkpoint: an array was saved with another shape or type: "
            f"{'; '.join(differences)} in the template. Give the template an array of "
            "the saved shape and type."
        )
    if differences:
        before = layout["descriptions"].get(path, "an array")
        now = describe(node, state=False) if is_metric(node) else "an array"
        raise ValueError(
            f"checkpoint: {path} was saved as {before}, and the template has {now}: "
            f"{'; '.join(differences)}. Restore it with the same configuration, or "
            "give the metric another name, and it starts empty."
        )


def _relaid(saved: Any, saved_shards: int, node: Any, shards: int) -> Any:
    if saved_shards == shards:
        return saved
    if saved_shards:
        saved = fetch(fold(saved))
    return _spread(saved, _empty(node, shards), shards)


def _spread(total: Any, empty: Any, shards: int) -> Any:
    """Return a stack with a total in its first shard, and empty states after it."""
    if not shards:
        return total

    def stack(first: Any, other: Any) -> np.ndarray:
        stacked = np.broadcast_to(other, (shards, *np.shape(other))).copy()
        stacked[0] = first
        return stacked

    return jax.tree.map(stack, total, empty)


def _empty(node: Any, shards: int) -> Any:
    if is_metric(node):
        return node.identity()
    zero = jax.tree.map(lambda x: np.zeros(np.shape(x), x.dtype), node)
    return jax.tree.map(lambda x: x[0], zero) if shards else zero


def _is_key(x: Any) -> bool:
    """Return whether a leaf is an array of random keys, as `jax.random.key` makes."""
    return isinstance(x, jax.Array) and jax.numpy.issubdtype(
        x.dtype, jax.dtypes.prng_key
    )


def _put_like(x: Any, like: Any) -> Any:
    """Return an array where the leaf of the template lies, or a number of Python."""
    if x is like:
        return x
    if _is_key(like):
        keys = jax.random.wrap_key_data(x, impl=jax.random.key_impl(like))
        return jax.device_put(keys, like.sharding)
    if type(like) in (bool, int, float, complex):
        return np.asarray(x).item()
    return put(x, like.sharding) if isinstance(like, jax.Array) else x
