"""Count the bits of words by index into thousands of cells."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    by_platform,
    count_at,
    one_hot_rows,
    product_over_rows,
)


def count_bits(
    index: jax.Array, word: jax.Array, cells: int, bits: int, valid: jax.Array
) -> jax.Array:
    """Return the number of words in each cell, and of those with each bit set.

    Args:
      index: Integers `[rows]`, the cell of each word.
      word: uint32 `[rows]`.
      cells: Number of cells.
      bits: Number of bits of a word to count, from the lowest.
      valid: Bool `[rows]`; other rows are not counted.

    Returns:
      uint32 `[cells, 1 + bits]`.
    """
    index = jnp.where(valid, index.astype(jnp.int32), cells)
    scatter = functools.partial(bits_by_scatter, cells=cells, bits=bits)
    product = functools.partial(bits_by_product, cells=cells, bits=bits)
    return by_platform(scatter, product, index, word)


def bits_by_scatter(
    index: jax.Array, word: jax.Array, cells: int, bits: int
) -> jax.Array:
    """Count the hexadecimal digits of the words, and add these up to counts of bits."""
    shifts = range(0, bits, 4)
    digits = [((word >> shift) & 15).astype(jnp.int32) for shift in shifts]
    counts = [count_at(16 * index + digit, (16 * cells,)) for digit in digits]
    table = jnp.stack(counts).reshape(-1, cells, 16)
    digit = np.arange(16, dtype=np.uint32)[None, None]
    with_bit = [
        (table * (digit >> bit & 1)).sum(-1, dtype=jnp.uint32) for bit in range(4)
    ]
    with_bit = jnp.stack(with_bit, -1).transpose(1, 0, 2).reshape(cells, -1)
    words = table[0].sum(-1, dtype=jnp.uint32)
    return jnp.concatenate([words[:, None], with_bit[:, :bits]], axis=1)


def bits_by_product(
    index: jax.Array, word: jax.Array, cells: int, bits: int
) -> jax.Array:
    """Count with a product of the one-hot cells and the words' bits, and ones."""
    with_bit = (word[:, None] >> np.arange(bits, dtype=np.uint32)[None]) & 1
    columns = jnp.concatenate([jnp.ones_like(with_bit[:, :1]), with_bit], axis=1)
    return product_over_rows(one_hot_rows(index, cells), columns.astype(jnp.bfloat16))
