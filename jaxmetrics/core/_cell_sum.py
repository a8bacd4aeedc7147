"""Sums of values by cell, as pairs of float32: a histogram with weights.

A scatter adds in float32, one value after another, and stops at 2^24 where each value
is 1. Here values become integers first. Each is written in digits of 14 bits below e,
the least exponent with |value| < 2**e in its cell, as sign * (d[0] * 2**(e-14) +
d[1] * 2**(e-28) + ...). The digits are scattered as int32, whose sums are exact and do
not depend on the order. With e = 1 the value 1.5 becomes 12288, 0, 0, ..., and
1.5 * 2**-14 becomes 0, 12288, 0, ... Digits are so narrow that those of a block of rows
do not overflow, and so many that what is dropped of all rows is below 2^-46 of the
largest value. Blocks are added as halves of 16 bits. A CPU scatters float64 into few
cells, with a table for each chain of rows.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arithmetic import (
    Pair,
    bits,
    exponent_above,
    floats,
    pair_add,
    scale,
)
from jaxmetrics.core._arrays import is_known
from jaxmetrics.core._mesh import vary, varying
from jaxmetrics.core._pair_sum import as_pair, node, reduced
from jaxmetrics.core._wide import CHAIN, as_wide, in_float64, wide_pair, wide_sum

FEW_CELLS = 64  # up to which a comparison with each cell is faster on TPU

_BLOCK = 1 << 20  # rows that are scattered at once
_SMALL_BLOCK = 1 << 12  # of a number of rows that is not known
_MOST_ROWS = 1 << 31  # that such a number may be
_COMPARED = 1 << 14  # rows that are compared with all cells at once
_WIDEST_DIGIT = 14
_SHARDS = 512  # into which rows may be split without moving them in the blocks' loop


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def sum_cells(values: jax.Array, index: jax.Array, cells: int) -> Pair:
    """Return the sum of the values in each cell, as (hi, lo), each `[cells]`.

    The error is at most 9 * 2^-48 of the sum of magnitudes in the cell, but for
    subnormal numbers. Infinities and NaN pass. No sort, and on TPU no scatter for few
    cells.

    Args:
      values: float32 `[rows]`.
      index: int32 `[rows]`, at least 0; rows of cells that do not exist are dropped.
      cells: Number of cells.
    """
    return _sum(values, index, cells)


@sum_cells.defjvp
def _sum_cells_jvp(cells: int, primals: Any, tangents: Any) -> Any:
    """Differentiate the sum: all of the tangent is in `hi`."""
    values, index = primals
    slope = _scattered(tangents[0], index, cells)
    zero = vary(jnp.zeros_like(slope), varying(slope))
    return sum_cells(values, index, cells), (slope, zero)


@functools.partial(jax.jit, static_argnames="cells", inline=True)
def _sum(values: jax.Array, index: jax.Array, cells: int) -> Pair:
    if not values.size:
        nothing = vary(jnp.zeros(cells, jnp.float32), varying(values))
        return nothing, nothing
    comparison = functools.partial(_by_comparison, cells=cells)
    digits = functools.partial(_by_digits, cells=cells)
    if not is_known(values.size):
        return digits(values, index)
    few_rows, few_cells = values.size * cells <= _COMPARED, cells <= FEW_CELLS
    default = comparison if few_rows else digits
    if not few_cells:
        return default(values, index)
    wide = functools.partial(_by_tables, cells=cells)
    return lax.platform_dependent(
        values, index, default=default, tpu=comparison, cpu=wide
    )


@in_float64
def _by_tables(values: jax.Array, index: jax.Array, cells: int) -> Pair:
    """Scatter each chain of rows into a table of float64 of its own."""
    outer = math.gcd(values.size, _SHARDS)
    inner = values.size // outer
    tables = -(-inner // CHAIN)
    table = jnp.arange(inner, dtype=jnp.int32)[None] // CHAIN
    index = index.reshape(outer, inner)
    index = jnp.where(index < cells, index + cells * table, tables * cells)

    def scattered(values: jax.Array, index: jax.Array) -> jax.Array:
        total = jnp.zeros(tables * cells, jnp.float64)
        return total.at[index].add(as_wide(values), mode="drop")

    total = jax.vmap(scattered)(values.reshape(outer, inner), index)
    return wide_pair(wide_sum(total.reshape(outer, tables, cells), (0, 1)))


def _by_comparison(values: jax.Array, index: jax.Array, cells: int) -> Pair:
    """Compare blocks of rows with all cells; no values move between shards of rows."""
    outer = math.gcd(values.size, _SHARDS)
    inner = values.size // outer
    width = max(1, min(inner, _COMPARED // outer))
    missing = ((0, 0), (0, -inner % width))
    values = jnp.pad(values.reshape(outer, inner), missing)
    index = jnp.pad(index.reshape(outer, inner), missing, constant_values=cells)
    cell = jnp.arange(cells, dtype=jnp.int32)[None, None]

    def compared(start: Any) -> Any:
        rows, at = (
            lax.dynamic_slice_in_dim(x, start, width, axis=1)[..., None]
            for x in (values, index)
        )
        return reduced((jnp.where(at == cell, rows, jnp.float32(0)),), (1,))

    def add(block: jax.Array, total: Any) -> Any:
        return node(total, compared(block * width))

    total, blocks = compared(0), values.shape[1] // width
    if blocks > 1:
        total = lax.fori_loop(1, blocks, add, total)
    return as_pair(reduced(total, (0,)))


def _by_digits(values: jax.Array, index: jax.Array, cells: int) -> Pair:
    finite = jnp.isfinite(values)
    special = _special(values, index, cells)
    values = jnp.where(finite, values, jnp.float32(0))
    largest = _largest(bits(jnp.abs(values)), index, cells)

    rows = values.size if is_known(values.size) else _MOST_ROWS
    width = min(_WIDEST_DIGIT, 30 - _log2_above(min(rows, _BLOCK)))
    count = math.ceil((46 + _log2_above(rows)) / width)

    def block_sum(values: jax.Array, index: jax.Array) -> jax.Array:
        larger = largest.at[index].get(mode="clip")

        def digit_sum(k: jax.Array) -> jax.Array:
            digit = lax.optimization_barrier(_digit(values, larger, width, k))
            table = jnp.zeros(cells, jnp.int32)
            return table.at[index].add(digit, mode="drop")

        # A loop: in one fusion with the scatter, digits are not vectorised on CPU.
        return lax.map(digit_sum, jnp.arange(count, dtype=jnp.int32))

    low, high = block_sums(block_sum, values, index, cells)
    exponent = exponent_above(floats(largest))
    return _from_halves(low, high, width, exponent, special)


def _special(values: jax.Array, index: jax.Array, cells: int) -> jax.Array:
    """Return what the infinities and NaN in each cell sum to, else 0.

    By maxima of integers: for a sum of floats the compiler of TPUs may sort the rows.
    """
    infinity = jnp.float32(jnp.inf)
    above = _largest((~(values < infinity)).astype(jnp.uint32), index, cells)
    below = _largest((~(values > -infinity)).astype(jnp.uint32), index, cells)
    up = jnp.where(above > 0, infinity, jnp.float32(0))
    return up + jnp.where(below > 0, -infinity, jnp.float32(0))


def _largest(words: jax.Array, index: jax.Array, cells: int) -> jax.Array:
    """Return the largest uint32 of each cell, 0 without rows."""
    return jnp.zeros(cells, jnp.uint32).at[index].max(words, mode="drop")


def block_sums(
    block_sum: Any, values: jax.Array, index: jax.Array, cells: int
) -> tuple[jax.Array, jax.Array]:
    """Return the low 16 bits and the rest of integer sums over blocks of rows.

    Args:
      block_sum: Function of values and index that returns int32 sums `[..., cells]`;
        they must not overflow for 2^20 rows.
      values: Array `[rows]`.
      index: int32 `[rows]`, `cells` for rows that are dropped.
      cells: Number of cells.
    """
    if not is_known(values.size):
        outer, width = 1, _SMALL_BLOCK
    elif values.size <= _BLOCK:
        sums = block_sum(values, index)
        return sums & 0xFFFF, sums >> 16
    else:
        outer = math.gcd(values.size, _SHARDS)
        width = _BLOCK // outer
    inner = values.size // outer
    # At least one block, which is not evident if the number of rows is not known.
    more = 0 if is_known(inner) else width
    missing = ((0, 0), (0, -inner % width + more))
    values = jnp.pad(values.reshape(outer, inner), missing)
    index = jnp.pad(index.reshape(outer, inner), missing, constant_values=cells)

    def add(block: jax.Array, total: tuple[jax.Array, jax.Array]) -> Any:
        part = functools.partial(
            lax.dynamic_slice_in_dim, start_index=block * width, slice_size=width
        )
        sums = block_sum(part(values, axis=1).ravel(), part(index, axis=1).ravel())
        low = total[0] + (sums & 0xFFFF)
        return low & 0xFFFF, total[1] + (sums >> 16) + (low >> 16)

    first = jax.eval_shape(block_sum, values.ravel(), index.ravel())
    zero = vary(jnp.zeros(first.shape, first.dtype), varying((values, index)))
    blocks = values.shape[1] // width
    blocks = blocks if is_known(blocks) else jnp.asarray(blocks, jnp.int32)
    return lax.fori_loop(0, blocks, add, (zero, zero))


def _digit(values: jax.Array, larger: jax.Array, width: int, k: jax.Array) -> jax.Array:
    """Return a digit below the exponent of a larger magnitude, of the value's sign.

    A value is m * 2**(exponent - 150), with 24 bits in m and its stored exponent. The
    unit of digit k, 2**(exponent of the larger one - 126 - width * (k + 1)), is
    2**shift of the unit of m.

    Args:
      values: float32, finite; subnormal ones count as 0.
      larger: Bits of a magnitude at least as large as each value's.
      width: Bits of a digit.
      k: Number of the digit, int32.
    """
    word = bits(values)
    exponent = (word >> 23) & 0xFF
    m = jnp.where(exponent == 0, jnp.uint32(0), (word & 0x7FFFFF) | 0x800000)
    below = (larger >> 23).astype(jnp.int32) - exponent.astype(jnp.int32)
    shift = below + (24 - width * (k + 1))
    right = m >> jnp.clip(shift, 0, 31).astype(jnp.uint32)
    left = m << jnp.clip(-shift, 0, width).astype(jnp.uint32)
    digit = jnp.where(shift >= 0, right, left) & ((1 << width) - 1)
    digit = digit.astype(jnp.int32)
    return jnp.where(word >> 31 == 1, -digit, digit)


def _from_halves(
    low: jax.Array,
    high: jax.Array,
    width: int,
    exponent: jax.Array,
    special: jax.Array,
) -> Pair:
    """Return the pair of the digits' sums, added from the smallest on."""
    zero = jnp.zeros_like(special)
    powers = -width * np.arange(len(low), 0, -1)
    units = np.stack([2.0**powers, 2.0 ** (powers + 16)], axis=1).astype(np.float32)

    def add(total: Pair, digit: Any) -> tuple[Pair, None]:
        low, high, unit = digit
        for k, half in enumerate((low, high)):
            total = pair_add(total, (half.astype(jnp.float32) * unit[k], zero))
        return total, None

    start = (zero, zero)
    total, _ = lax.scan(add, start, (low[::-1], high[::-1], jnp.asarray(units)))
    hi, lo = (scale(part, exponent) for part in total)
    hi = hi + special
    return hi, jnp.where(jnp.isfinite(hi), lo, jnp.float32(0))


def _scattered(values: jax.Array, index: jax.Array, cells: int) -> jax.Array:
    return jnp.zeros(cells, jnp.float32).at[index].add(values, mode="drop")


def _log2_above(n: int) -> int:
    """Return the least integer e with n <= 2**e."""
    return max(n - 1, 0).bit_length()
