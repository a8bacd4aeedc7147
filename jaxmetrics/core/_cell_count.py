"""Count indices into many cells by products of one-hot rows, as a TPU is fastest at.

A scatter is fastest on CPU and GPU, but a TPU runs it one row after another. There the
matrix unit multiplies one-hot rows instead: with a lower digit of base 64, index 131 is
the outer product of one-hot rows for 2 (131 // 64) and 3 (131 % 64), and the sum of
these products over the batch is the table of counts. Both give the same integers.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arrays import is_known
from jaxmetrics.core._counting import count_at

_LOW_CELLS = 64  # values of the lower digit of an index
_MOST_ROWS = 1 << 24  # up to which a count in float32 is exact


def count_cells(index: jax.Array, cells: int, valid: jax.Array) -> jax.Array:
    """Return how often a valid index names each cell, uint32 `[cells]`."""
    index = jnp.where(valid, index.astype(jnp.int32), cells)
    scatter = functools.partial(cells_by_scatter, cells=cells)

    def product(index: jax.Array) -> jax.Array:
        return cells_by_product(index.ravel(), cells)

    return by_platform(scatter, product, index)


def by_platform(
    scatter: Any, product: Any, index: jax.Array, *words: Any, keep: int = 0
) -> Any:
    """Call `product` on a TPU, and `scatter` elsewhere or for too many rows.

    Args:
      scatter: Function of the index and the words.
      product: The same, which sums over the rows in float32.
      index: Integers `[..., *kept]`: all but the kept axes are rows.
      *words: Further arrays.
      keep: Number of kept axes.
    """
    shape = index.shape[: index.ndim - keep]
    rows = math.prod(shape) if is_known(*shape) else None
    if rows is None or rows >= _MOST_ROWS:
        return scatter(index, *words)
    return lax.platform_dependent(index, *words, default=scatter, tpu=product)


def cells_by_scatter(index: jax.Array, cells: int) -> jax.Array:
    """Count with one addition per row."""
    return count_at(index, (cells,))


def cells_by_product(index: jax.Array, cells: int) -> jax.Array:
    """Return how often each cell is named, uint32 `[cells]`.

    Args:
      index: int32 `[rows]`; those outside `[0, cells)` are not counted.
      cells: Number of cells.
    """
    upper = one_hot_rows(index // _LOW_CELLS, cells // _LOW_CELLS + 1)
    lower = one_hot_rows(index % _LOW_CELLS, _LOW_CELLS)
    return product_over_rows(upper, lower).ravel()[:cells]


def one_hot_rows(index: jax.Array, length: int) -> jax.Array:
    """Return bfloat16 `[rows, length]`, 1 at each index."""
    number = np.arange(length, dtype=np.int32)[None]
    return (index[:, None] == number).astype(jnp.bfloat16)


def product_over_rows(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return `a.T @ b` of zeros and ones, exactly: bfloat16 summed in float32."""
    over_rows = (((0,), (0,)), ((), ()))
    counts = lax.dot_general(a, b, over_rows, preferred_element_type=jnp.float32)
    return counts.astype(jnp.uint32)
