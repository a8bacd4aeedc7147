"""Batches made longer by rows that do not count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, keystr, tree_flatten_with_path

Batch = dict[str, Any]
Layout = list[Any]
"""Of each array its keys, its type, and its shape without rows; plain JSON values."""


def with_mask(who: str, batch: Any) -> tuple[Batch, int]:
    """The batch as plain dicts of arrays with a bool `mask`, and how many rows it has.

    Raises:
      TypeError, ValueError: It is no dict of arrays with as many rows each.
    """
    if not isinstance(batch, Mapping):
        raise TypeError(
            f"{who} got a batch of type {type(batch).__name__}, expected a dict of "
            f"arrays. Name them: dict(inputs=inputs, labels=labels)."
        )
    batch = jax.tree.map(_array, _plain(batch))
    rows = {}
    for path, x in tree_flatten_with_path(batch)[0]:
        name = keystr(path, simple=True, separator="/")
        if x.ndim == 0 or x.dtype.kind in "OSU":
            raise TypeError(
                f"{who} got {name!r} as {x.dtype}{list(x.shape)}, expected numbers "
                f"[rows, ...]. Leave it out of the batch; make arrays of lists."
            )
        rows[name] = len(x)
    if len(set(rows.values())) != 1:
        raise ValueError(
            f"{who} got arrays of {rows or 'no'} rows, expected as many in each. Cut "
            f"them alike, and leave out what has no rows."
        )
    length = next(iter(rows.values()))
    mask = batch.setdefault("mask", np.ones(length, bool))
    if getattr(mask, "dtype", None) != np.bool_:
        kind = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(
            f"{who} got a mask of {kind}, expected bool, True where a row counts. "
            f"Compare it, as in mask > 0, or name it otherwise."
        )
    return batch, length


def lengthened(batch: Batch, rows: int) -> Batch:
    """The batch with its last row repeated up to `rows`, and masked out there."""

    def repeat(x: Any) -> Any:
        xp = np if isinstance(x, np.ndarray) else jnp
        return xp.concatenate([x, xp.repeat(x[-1:], rows - len(x), axis=0)])

    more = rows - len(batch["mask"])
    if more <= 0:
        return batch
    longer = jax.tree.map(repeat, batch)
    longer["mask"] = longer["mask"] & (np.arange(rows) < rows - more).reshape(
        -1, *[1] * (longer["mask"].ndim - 1)
    )
    return longer


def masked_out(batch: Batch) -> Batch:
    """The batch with no row that counts."""
    return batch | {"mask": np.zeros(batch["mask"].shape, bool)}


def layout_of(who: str, batch: Batch) -> Layout:
    """What another process needs to make a batch of this kind.

    Raises:
      TypeError: It is not made of dicts alone.
    """
    layout = []
    paths, _ = tree_flatten_with_path(batch, is_leaf=lambda x: x is None)
    for path, x in paths:
        if x is None or not all(isinstance(k, DictKey) for k in path):
            raise TypeError(
                f"{who} got {type(x).__name__} at {keystr(path)}; between processes a "
                f"batch is made of dicts of arrays. Use dicts, and leave out None."
            )
        layout.append([[k.key for k in path], x.dtype.name, list(x.shape[1:])])
    return layout


def row_bytes(batch: Batch) -> bytes:
    """The first row, in the order of the layout."""
    return b"".join(np.asarray(x[:1]).tobytes() for x in jax.tree.leaves(batch))


def row_from(data: bytes, layout: Layout) -> Batch:
    """The batch of one row that `row_bytes` read on a process."""
    batch: Batch = {}
    at = 0
    for path, name, shape in layout:
        dtype = np.dtype(name)
        size = int(np.prod(shape))
        inner = batch
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        x = np.frombuffer(data, dtype, size, at)
        inner[path[-1]] = x.reshape(1, *shape)
        at += size * dtype.itemsize
    return batch


def _plain(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _plain(x) for key, x in tree.items()}
    return tree


def _array(x: Any) -> Any:
    return x if isinstance(x, jax.Array) else np.asarray(x)
