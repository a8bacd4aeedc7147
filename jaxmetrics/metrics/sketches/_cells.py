"""Counting into thousands of cells: by scatter, or by products of one-hot rows.

A scatter is the fastest on CPU and GPU and runs one row after another on TPU, whose
matrix unit multiplies one-hot rows instead. Both give the same integers.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.core import both, count_at

_LOW = 64  # cells of the lower level
_EXACT = 1 << 24  # rows whose float32 count is exact


def kept(values: jax.Array, mask: Any) -> jax.Array:
    """Which entries a mask leaves, in the values' shape; a scalar takes no mask."""
    everything = jnp.ones(values.shape, bool)
    return both(everything, mask if values.ndim else None)


def count_cells(index: jax.Array, cells: int, valid: jax.Array) -> jax.Array:
    """How often each of the cells is named by a valid index, uint32 `[cells]`."""
    index = jnp.where(valid, index.astype(jnp.int32), cells).ravel()
    scatter = functools.partial(cells_by_scatter, cells=cells)
    product = functools.partial(cells_by_product, cells=cells)
    return _by_platform(scatter, product, index)


def count_marks(index: jax.Array, cells: int, marks: jax.Array) -> jax.Array:
    """How often each mark is set in each cell, uint32 `[cells, marks]`.

    Args:
      index: integers `[rows]`.
      cells: how many there are; a row of another index falls out.
      marks: bool `[rows, marks]`.
    """
    scatter = functools.partial(marks_by_scatter, cells=cells)
    product = functools.partial(marks_by_product, cells=cells)
    return _by_platform(scatter, product, index.astype(jnp.int32), marks)


def cells_by_scatter(index: jax.Array, cells: int) -> jax.Array:
    """One addition a row."""
    return count_at(index, (cells,))


def cells_by_product(index: jax.Array, cells: int) -> jax.Array:
    """A product of two narrow one-hot matrices, of the upper and lower digit."""
    upper = _one_hot(index // _LOW, cells // _LOW + 1)
    lower = _one_hot(index % _LOW, _LOW)
    return _product(upper, lower).ravel()[:cells]


def marks_by_scatter(index: jax.Array, marks: jax.Array, cells: int) -> jax.Array:
    """One addition a mark."""
    number = jnp.arange(marks.shape[-1], dtype=jnp.int32)
    index = jnp.broadcast_to(index[:, None], marks.shape)
    number = jnp.broadcast_to(number, marks.shape)
    return count_at((index, number), (cells, marks.shape[-1]), marks)


def marks_by_product(index: jax.Array, marks: jax.Array, cells: int) -> jax.Array:
    """A product of the one-hot matrix of the cells with the marks."""
    return _product(_one_hot(index, cells), marks.astype(jnp.bfloat16))


def _by_platform(scatter: Any, product: Any, index: jax.Array, *more: Any) -> Any:
    if index.size >= _EXACT:
        return scatter(index, *more)
    return lax.platform_dependent(index, *more, default=scatter, tpu=product)


def _one_hot(index: jax.Array, length: int) -> jax.Array:
    number = jnp.arange(length, dtype=jnp.int32)
    return (index[:, None] == number).astype(jnp.bfloat16)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Exact: ones and zeros in bfloat16, summed in float32."""
    over_rows = (((0,), (0,)), ((), ()))
    counts = lax.dot_general(a, b, over_rows, preferred_element_type=jnp.float32)
    return counts.astype(jnp.uint32)
