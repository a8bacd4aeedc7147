"""Counting into thousands of cells: by scatter, or by products of one-hot rows.

A scatter is the fastest on CPU and GPU and runs one row after another on TPU, whose
matrix unit multiplies one-hot rows instead. Both give the same integers.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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


def count_bits(
    index: jax.Array, word: jax.Array, cells: int, bits: int, valid: jax.Array
) -> jax.Array:
    """How many words each cell has, and how many with each bit set.

    Args:
      index: integers `[rows]`, the cell of each word.
      word: uint32 `[rows]`.
      cells: how many there are.
      bits: how many of a word's bits are counted, from the lowest.
      valid: bool `[rows]`; other rows fall out.

    Returns:
      uint32 `[cells, 1 + bits]`.
    """
    index = jnp.where(valid, index.astype(jnp.int32), cells)
    scatter = functools.partial(bits_by_scatter, cells=cells, bits=bits)
    product = functools.partial(bits_by_product, cells=cells, bits=bits)
    return _by_platform(scatter, product, index, word)


def cells_by_scatter(index: jax.Array, cells: int) -> jax.Array:
    """One addition a row."""
    return count_at(index, (cells,))


def cells_by_product(index: jax.Array, cells: int) -> jax.Array:
    """A product of two narrow one-hot matrices, of the upper and lower digit."""
    upper = _one_hot(index // _LOW, cells // _LOW + 1)
    lower = _one_hot(index % _LOW, _LOW)
    return _product(upper, lower).ravel()[:cells]


def bits_by_scatter(
    index: jax.Array, word: jax.Array, cells: int, bits: int
) -> jax.Array:
    """One addition for each hexadecimal digit, whose counts then tell those of bits."""
    shifts = range(0, bits, 4)
    digits = [((word >> shift) & 15).astype(jnp.int32) for shift in shifts]
    counts = [count_at(16 * index + digit, (16 * cells,)) for digit in digits]
    table = jnp.stack(counts).reshape(-1, cells, 16)
    digit = np.arange(16, dtype=np.uint32)
    has = [(table * (digit >> bit & 1)).sum(-1, dtype=jnp.uint32) for bit in range(4)]
    found = jnp.stack(has, -1).transpose(1, 0, 2).reshape(cells, -1)[:, :bits]
    return jnp.concatenate([table[0].sum(-1, dtype=jnp.uint32)[:, None], found], axis=1)


def bits_by_product(
    index: jax.Array, word: jax.Array, cells: int, bits: int
) -> jax.Array:
    """A product of the one-hot matrix of the cells with the bits, and with ones."""
    has = (word[:, None] >> np.arange(bits, dtype=np.uint32)) & 1
    has = jnp.concatenate([jnp.ones_like(has[:, :1]), has], axis=1)
    return _product(_one_hot(index, cells), has.astype(jnp.bfloat16))


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
