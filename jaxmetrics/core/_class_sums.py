"""Sums over many classes, on a CPU in blocks.

XLA:CPU computes the terms of one row before it adds them. A row of more than 32,768
terms is a buffer that the C library takes from the system and gives back, row by row,
which costs several times the sum. So a row is split into blocks of about as many
classes as there are blocks: 131,072 are 256 blocks of 512. The sums of the blocks are
stored, 4 bytes for hundreds of logits.

More than 32,768 classes whose number has no such divisor are split into blocks of 1,024
and a shorter last one. XLA:CPU copies a block that is no reshaped row, so a loop reads
one block of all rows at a time.

A class is left out of a sum by adding its block again without it. To give each class a
weight would cost as much as the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.core._arrays import is_known
from jaxmetrics.core._labels import class_index, entries_at, entries_from, unfused

_MANY = 4096  # classes, from which blocks are faster
_FEWEST = 16  # blocks of equal width
_LONGEST = 32_768  # terms of a row that need no buffer of the system's
_WIDTH = 1024  # classes in a block, if not all blocks are equal

Summand = Callable[[jax.Array, jax.Array], jax.Array]


def sum_over_classes(summand: Summand, logits: jax.Array, rows: jax.Array) -> jax.Array:
    """Return the sum over classes of float32 terms, `[...]`.

    Args:
      summand: Elementwise function of logits `[..., classes]` and rows `[..., 1]`.
      logits: Floats `[..., classes]`.
      rows: Numbers of each row `[..., 1]`.
    """

    def by_block(logits: jax.Array, rows: jax.Array) -> jax.Array:
        # XLA:CPU would store logits of 16 bits as float32 for this and another sum.
        loop = logits.dtype.itemsize == 2
        return block_sums(summand, logits, rows, loop=loop).sum(axis=-1)

    if not block_width(logits.shape[-1]):
        return _row_sums(summand, logits, rows)
    at_once = partial(_row_sums, summand)
    return lax.platform_dependent(logits, rows, cpu=by_block, default=at_once)


def block_width(classes: int) -> int:
    """Return the number of classes in a block; 0 if they are not split.

    >>> block_width(131_072), block_width(50_257), block_width(50_277)
    (512, 1733, 1024)
    >>> block_width(1000), block_width(32_003)
    (0, 0)
    """
    if not is_known(classes) or classes < _MANY:
        return 0
    blocks = next(n for n in range(math.isqrt(classes), 0, -1) if classes % n == 0)
    if blocks >= _FEWEST and classes // blocks <= _LONGEST:
        return classes // blocks
    return _WIDTH if classes > _LONGEST else 0


def block_sums(
    summand: Summand, logits: jax.Array, rows: jax.Array, *, loop: bool = False
) -> jax.Array:
    """Return the sums of the terms of each block, float32 `[..., blocks]`.

    See `sum_over_classes`. The classes must be split; with `loop` they are read by a
    loop over blocks of another width also if there are equal ones.
    """
    classes = logits.shape[-1]
    width = _WIDTH if loop else block_width(classes)
    if classes % width == 0 and not loop:
        blocks = logits.reshape(*logits.shape[:-1], -1, width)
        return _row_sums(summand, blocks, rows[..., None])

    def sums_from(first: jax.Array, width: int = width) -> jax.Array:
        # That the logits depend on `first` keeps their conversion inside the loop.
        x, first = lax.optimization_barrier((logits, first))
        block = lax.dynamic_slice_in_dim(x, first, width, axis=-1)
        return _row_sums(summand, block, rows)

    whole = classes // width * width
    sums = lax.map(sums_from, jnp.arange(0, whole, width, dtype=jnp.int32))
    sums = jnp.moveaxis(sums, 0, -1)
    if whole == classes:
        return sums
    last = sums_from(jnp.int32(whole), classes - whole)
    return jnp.concatenate([sums, last[..., None]], axis=-1)


def block_of(logits: jax.Array, number: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the logits of each class's block, and which of them are others of it.

    Args:
      logits: Floats `[..., classes]`.
      number: int32 `[..., 1]`, numbers of classes.

    Returns:
      block: Floats `[..., width]`; with classes of the block before it where the last
        block is shorter.
      others: Bool `[..., width]`, False for the class itself and for other blocks.
    """
    classes = logits.shape[-1]
    width = block_width(classes)
    if classes % width == 0:
        blocks = logits.reshape(*logits.shape[:-1], -1, width)
        block = entries_at(blocks, (number // width)[..., None], -2)[..., 0, :]
        return block, class_index(block) != number % width
    first = jnp.minimum(number // width * width, classes - width)
    block = entries_from(logits, first, width)
    own = first + class_index(block)
    return block, (own // width == number // width) & (own != number)


def read_again(logits: jax.Array) -> jax.Array:
    """Return the logits; on a CPU as if they were others.

    XLA:CPU stores logits of 16 bits as float32 if two sums convert them.
    """
    return lax.platform_dependent(
        logits, cpu=lax.optimization_barrier, default=lambda x: x
    )


def _row_sums(summand: Summand, logits: jax.Array, rows: jax.Array) -> jax.Array:
    terms = summand(read_again(logits), rows)
    return unfused(terms.sum(axis=-1, keepdims=True))[..., 0]
