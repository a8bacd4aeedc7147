"""Pad batches with masked rows, and describe their layout to other processes."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, keystr, tree_flatten_with_path

from jaxmetrics.record import refuse_masked

Batch = dict[str, Any]
Layout = list[Any]
"""Keys, dtype and shape without rows of each array, as plain JSON values."""


def pad_batch(batch: Mapping[str, Any], multiple: int) -> dict[str, Any]:
    """Return a batch padded to a multiple of rows, with a bool `mask`.

    The padding repeats the last row, so that labels stay valid and nothing becomes NaN.
    Metrics that are passed `mask=batch["mask"]` ignore it.

    Args:
      batch: Arrays `[rows, ...]` by name, or nested trees of arrays. A bool `mask`
        `[rows, ...]` in the batch is kept, and is False in the padding.
      multiple: Number of which the number of rows becomes a multiple.

    Raises:
      TypeError: The batch holds other values, or a mask that is not bool.
      ValueError: The arrays differ in the number of rows.

    Example:
      >>> padded = pad_batch({"labels": np.array([3, 1, 2])}, 2)
      >>> padded["labels"].tolist(), padded["mask"].tolist()
      ([3, 1, 2, 2], [True, True, True, False])
    """
    is_integer = isinstance(multiple, Integral) and not isinstance(multiple, bool)
    if not is_integer or multiple < 1:
        raise ValueError(
            f"pad_batch() got multiple={multiple!r}, expected a positive int. Pass the "
            f"number of devices that share the rows."
        )
    batch, rows = with_mask("pad_batch()", batch)
    return pad_to(batch, round_up(rows, int(multiple)))


def with_mask(call: str, batch: Any) -> tuple[Batch, int]:
    """Return a batch as plain dicts of arrays with a bool `mask`, and its row count.

    Raises:
      TypeError, ValueError: It is not a dict of arrays with equal numbers of rows.
    """
    if not isinstance(batch, Mapping):
        raise TypeError(
            f"{call} got a batch of type {type(batch).__name__}, expected a dict of "
            f"arrays. Name them: dict(inputs=inputs, labels=labels)."
        )
    batch = _as_dicts(batch)
    for path, x in tree_flatten_with_path(batch)[0]:
        refuse_masked(f"{call}, {_name(path)!r},", x)
    batch = jax.tree.map(_as_array, batch)
    rows = {}
    for path, x in tree_flatten_with_path(batch)[0]:
        name, is_key = _name(path), jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        if x.ndim == 0 or is_key or x.dtype.kind in "OSU":
            advice = "make arrays of lists"
            if is_key:
                advice = "or pass jax.random.key_data() of the keys"
            raise TypeError(
                f"{call} got {name!r} as {x.dtype}{list(x.shape)}, expected numbers "
                f"[rows, ...]. Leave it out of the batch; {advice}."
            )
        rows[name] = len(x)
    if len(set(rows.values())) != 1:
        raise ValueError(
            f"{call} got arrays of {rows or 'no'} rows, expected an equal number in "
            f"each. Slice them alike, and leave out arrays without rows."
        )
    length = next(iter(rows.values()))
    mask = batch.setdefault("mask", np.ones(length, bool))
    if getattr(mask, "dtype", None) != np.bool_:
        kind = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(
            f"{call} got a mask of {kind}, expected bool, True where a row counts. "
            f"Convert it, as in mask > 0, or rename it."
        )
    return batch, length


def pad_to(batch: Batch, rows: int) -> Batch:
    """Return the batch with its last row repeated up to `rows`, masked out."""

    def repeat(x: Any) -> Any:
        xp = np if isinstance(x, np.ndarray) else jnp
        return xp.concatenate([x, xp.repeat(x[-1:], rows - len(x), axis=0)])

    missing = rows - len(batch["mask"])
    if missing <= 0:
        return batch
    padded = jax.tree.map(repeat, batch)
    padded["mask"] = padded["mask"] & (np.arange(rows) < rows - missing).reshape(
        -1, *[1] * (padded["mask"].ndim - 1)
    )
    return padded


def mask_out(batch: Batch) -> Batch:
    """Return the batch with a mask that is False everywhere."""
    return batch | {"mask": np.zeros(batch["mask"].shape, bool)}


def round_up(rows: int, multiple: int) -> int:
    """Return the smallest multiple that is at least `rows`."""
    return -(-rows // multiple) * multiple


def layout_of(call: str, batch: Batch) -> Layout:
    """Describe a batch so that another process can build one of the same layout.

    Raises:
      TypeError: The batch has other containers than dicts.
    """
    layout = []
    paths, _ = tree_flatten_with_path(batch, is_leaf=lambda x: x is None)
    for path, x in paths:
        if x is None or not all(isinstance(k, DictKey) for k in path):
            raise TypeError(
                f"{call} got {type(x).__name__} at {keystr(path)}; between processes a "
                f"batch is made of dicts of arrays. Use dicts, and leave out None."
            )
        layout.append([[k.key for k in path], x.dtype.name, list(x.shape[1:])])
    return layout


def serialize_row(batch: Batch) -> bytes:
    """Return the first row of a batch as bytes, in the order of its layout."""
    return b"".join(np.asarray(x[:1]).tobytes() for x in jax.tree.leaves(batch))


def deserialize_row(data: bytes, layout: Layout) -> Batch:
    """Return the batch of one row that `serialize_row` wrote."""
    batch: Batch = {}
    offset = 0
    for path, name, shape in layout:
        dtype = np.dtype(name)
        size = int(np.prod(shape))
        inner = batch
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        x = np.frombuffer(data, dtype, size, offset)
        inner[path[-1]] = x.reshape(1, *shape)
        offset += size * dtype.itemsize
    return batch


def _name(path: Any) -> str:
    return keystr(path, simple=True, separator="/")


def _as_dicts(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _as_dicts(x) for key, x in tree.items()}
    return tree


def _as_array(x: Any) -> Any:
    return x if isinstance(x, jax.Array) else np.asarray(x)
