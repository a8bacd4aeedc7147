"""Select the rows of the lowest keys, without gathering a batch that is sharded.

A row is one entry of several arrays of uint32, its words. Rows are ordered by the first
word, those of equal first words by the second, and so on. So a caller that makes the id
a word says which of equal values are kept: those of the lowest ids. A row whose first
word is `EMPTY` is none.

A sort of a batch that is sharded over devices gathers it under plain jit. Instead the
k-th row is found by counting: the leading bytes of all first words give the byte at
which k rows are reached, those of the words that begin with it the next byte, and so
on. The further words are only looked at if equal first words straddle the limit. For
k = 3 and words of two digits:

    words            52 17 31 17 50 13
    leading digits   1: 3 rows, 3: 1, 5: 2      the third row begins with 1
    next digits      of 17 17 13: 3: 1, 7: 2    the third row is 17
    selected         the rows before 17, and as many of 17 as make three

The selected rows are then copied to k slots: a row's slot is the number of selected
rows ahead of it, from running counts in blocks that lie on one device, and the blocks'
totals. Devices exchange tables of 256 counts, a total for each block, and k rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import count_cells, is_known

EMPTY = np.uint32(0xFFFFFFFF)  # first word of a row that is none
_SIGN = np.uint32(1 << 31)
_CELLS = 256  # values of a byte
_BLOCKS = (256, 8)  # most of the leading axis, and of all others


def words_of_ids(ids: jax.Array) -> jax.Array:
    """Return integers as words of the same order."""
    return ids.astype(jnp.int32).astype(jnp.uint32) ^ _SIGN


def ids_of_words(words: jax.Array) -> jax.Array:
    """Return the int32 that `words_of_ids` made the words of."""
    return (words ^ _SIGN).astype(jnp.int32)


def lowest_rows(words: Sequence[jax.Array], k: int) -> list[jax.Array]:
    """Return the k lowest rows in order.

    Args:
      words: uint32 arrays of one shape, the first word of all rows, the second, ...
      k: Number of rows.

    Returns:
      uint32 `[k]` for each word. If there are fewer rows, the rest has words `EMPTY`.
    """
    size = words[0].size
    if not is_known(size):
        words = [jnp.pad(x.ravel(), [(0, k)], constant_values=EMPTY) for x in words]
        return _first(_selected(words, k), k)
    if size <= max(k, _CELLS):  # no more than would be exchanged to find the k-th
        return _first([x.ravel() for x in words], k)
    return _first(_selected(words, k), k)


def merged_rows(
    words: Sequence[jax.Array], others: Sequence[jax.Array], k: int
) -> list[jax.Array]:
    """Return the k lowest rows of two results of `lowest_rows`, `[..., k]` each."""
    return _first([jnp.concatenate(pair, -1) for pair in zip(words, others)], k)


def _first(words: Sequence[jax.Array], k: int) -> list[jax.Array]:
    """Sort rows along the last axis; return the first k, with `EMPTY` for the rest."""
    words = [jnp.where(words[0] == EMPTY, EMPTY, x) for x in words]
    missing = max(0, k - words[0].shape[-1])
    padding = [(0, 0)] * (words[0].ndim - 1) + [(0, missing)]
    words = [jnp.pad(x, padding, constant_values=EMPTY) for x in words]
    return [x[..., :k] for x in lax.sort(words, num_keys=len(words))]


def _selected(words: Sequence[jax.Array], k: int) -> list[jax.Array]:
    """Return the k lowest of more than k rows, in any order.

    Those before the k-th row are fewer than k; the others are equal to it.
    """
    limit = _row_at(words, k)
    selected = _is_before(words, limit) & (words[0] != EMPTY)
    slot = np.arange(1, k + 1, dtype=np.int32)
    if is_known(selected.size):
        words = [_in_blocks(x) for x in words]
        index = _indices(_in_blocks(selected), slot)
    else:
        rank = jnp.cumsum(selected, dtype=jnp.int32)
        index = ((rank[None] < slot[:, None]).sum(-1, dtype=jnp.int32),)
    is_before = slot <= selected.sum(dtype=jnp.int32)
    rows = [x.at[index].get(mode="clip") for x in words]
    return [jnp.where(is_before, row, at) for row, at in zip(rows, limit)]


def _row_at(words: Sequence[jax.Array], rank: int) -> list[jax.Array]:
    """Return the words of the row of a rank (from 1) in ascending order.

    Where all rows of its first word are up to the rank, the other words are `EMPTY`.
    """
    every = jnp.ones(words[0].shape, bool)
    first, left, equal = _word_at(words[0], every, jnp.uint32(rank))
    among = words[0] == first

    def search() -> list[jax.Array]:
        row, rest, rows = [], left, among
        for word in words[1:]:
            limit, rest, _ = _word_at(word, rows, rest)
            rows = rows & (word == limit)
            row.append(limit)
        return row

    def skip() -> list[jax.Array]:
        return [first | EMPTY for _ in words[1:]]

    return [first, *lax.cond((left < equal) & (first != EMPTY), search, skip)]


def _word_at(
    words: jax.Array, rows: jax.Array, rank: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the word of a rank among some rows, byte by byte from the leading one.

    Returns:
      The word, its rank among the equal words (from 1), and the number of these.
    """
    word, equal = jnp.uint32(0), jnp.uint32(0)
    for shift in (24, 16, 8, 0):
        same_prefix = (words >> shift) >> 8 == (word >> shift) >> 8
        counts = count_cells((words >> shift) & 0xFF, _CELLS, rows & same_prefix)
        cumulative = jnp.cumsum(counts, dtype=jnp.uint32)
        below = cumulative < rank
        byte = below.sum(dtype=jnp.uint32)
        rank = rank - jnp.where(below, cumulative, 0).max()
        equal = jnp.where(np.arange(_CELLS, dtype=np.uint32) == byte, counts, 0).max()
        word = word | (byte << shift)
    return word, rank, equal


def _is_before(words: Sequence[jax.Array], limit: Sequence[jax.Array]) -> jax.Array:
    """Return where a row is before another one."""
    is_before = words[-1] < limit[-1]
    for word, at in zip(words[-2::-1], limit[-2::-1]):
        is_before = (word < at) | ((word == at) & is_before)
    return is_before


def _in_blocks(x: jax.Array) -> jax.Array:
    """Return an array as `[blocks of axis 0, blocks of axis 1, ..., rows of a block]`.

    Each axis is split into a power of two of equal blocks, so that with as many devices
    along it or fewer a block lies on one device.
    """
    shape, (most, left) = [], _BLOCKS
    for axis, length in enumerate(x.shape):
        blocks = math.gcd(length, left if axis else most)
        left = left // blocks if axis else left
        shape += [blocks, length // blocks]
    order = [*range(0, 2 * x.ndim, 2), *range(1, 2 * x.ndim, 2)]
    return x.reshape(shape).transpose(order).reshape(*shape[::2], -1)


def _indices(selected: jax.Array, slot: np.ndarray) -> tuple[jax.Array, ...]:
    """Return the indices of the selected rows in blocks, an array for each axis.

    Args:
      selected: Bool, as `_in_blocks` returns it.
      slot: Numbers of selected rows, from 1; of those that do not exist the index is
        any.
    """
    *blocks, length = selected.shape
    running = jnp.cumsum(selected, axis=-1, dtype=jnp.int32)
    ends = jnp.cumsum(running[..., -1].ravel(), dtype=jnp.int32)
    block = (ends[None] < slot[:, None]).sum(-1, dtype=jnp.int32)
    before = jnp.where(block > 0, ends.at[block - 1].get(mode="clip"), 0)
    wanted, place = slot - before, jnp.unravel_index(block, blocks)
    bits = length.bit_length()

    def halve(i: jax.Array, index: jax.Array) -> jax.Array:
        trial = index + (jnp.int32(1) << (bits - 1 - i))
        count = running.at[*place, trial - 1].get(mode="clip")
        return jnp.where((trial <= length) & (count < wanted), trial, index)

    return *place, lax.fori_loop(0, bits, halve, jnp.zeros_like(wanted))
