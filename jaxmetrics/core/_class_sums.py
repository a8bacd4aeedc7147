"""Sums over many classes, on a CPU in blocks.

XLA:CPU computes the terms of one row before it adds them. A row of more than 32,768
terms is a buffer that the C library takes from the system and gives back, row by row,
which costs several times the sum. So a row is split into blocks of about as many
classes as there are blocks: 131,072 are 256 blocks of 512. The sums of the blocks are
stored, 4 bytes for hundreds of logits.

A class is left out of a sum by adding its block again without it. To give each class a
weight would cost as much as the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
from jax import lax

from jaxmetrics.core._arrays import is_known
from jaxmetrics.core._labels import entries_at, unfused

_MANY = 4096  # classes, from which blocks are faster
_FEWEST = 32  # classes in a block, and blocks

Summand = Callable[[jax.Array, jax.Array], jax.Array]


def sum_over_classes(summand: Summand, logits: jax.Array, rows: jax.Array) -> jax.Array:
    """Return the sum over classes of float32 terms, `[...]`.

    Args:
      summand: Elementwise function of logits `[..., classes]` and rows `[..., 1]`.
      logits: Floats `[..., classes]`.
      rows: Numbers of each row `[..., 1]`.
    """

    def at_once(logits: jax.Array, rows: jax.Array) -> jax.Array:
        terms = summand(read_again(logits), rows)
        return unfused(terms.sum(axis=-1, keepdims=True))[..., 0]

    def by_block(logits: jax.Array, rows: jax.Array) -> jax.Array:
        return block_sums(summand, logits, rows).sum(axis=-1)

    if not block_width(logits.shape[-1]):
        return at_once(logits, rows)
    return lax.platform_dependent(logits, rows, cpu=by_block, default=at_once)


def block_width(classes: int) -> int:
    """Return the number of classes in a block; 0 if they are not split.

    >>> block_width(131_072), block_width(1000)
    (512, 0)
    """
    if not is_known(classes) or classes < _MANY:
        return 0
    blocks = next(n for n in range(math.isqrt(classes), 0, -1) if classes % n == 0)
    return classes // blocks if blocks >= _FEWEST else 0


def block_sums(summand: Summand, logits: jax.Array, rows: jax.Array) -> jax.Array:
    """Return the sums of the terms of each block, float32 `[..., blocks]`.

    See `sum_over_classes`. The classes must be split.
    """
    terms = summand(read_again(_blocks(logits)), rows[..., None])
    return unfused(terms.sum(axis=-1, keepdims=True))[..., 0]


def block_of(logits: jax.Array, number: jax.Array) -> jax.Array:
    """Return the block of each number `[..., 1]`: logits `[..., width]`."""
    return entries_at(_blocks(logits), number[..., None], -2)[..., 0, :]


def read_again(logits: jax.Array) -> jax.Array:
    """Return the logits; on a CPU as if they were others.

    XLA:CPU stores logits of 16 bits as float32 if two sums convert them.
    """
    return lax.platform_dependent(
        logits, cpu=lax.optimization_barrier, default=lambda x: x
    )


def _blocks(logits: jax.Array) -> jax.Array:
    width = block_width(logits.shape[-1])
    return logits.reshape(*logits.shape[:-1], -1, width)
