"""Sums of values by cell, as pairs of float32: a histogram with weights.

A scatter adds in float32, one value after another, and stops at 2^24 where each value
is 1. Here values become integers first. All values of a cell are written as multiples
of powers of two, relative to e, the least exponent with |value| < 2**e in that cell:
with 14 bits a digit, as d[0] * 2**(e-14) + d[1] * 2**(e-28) + ... The digits are
scattered as int32, whose sums are exact and do not depend on the order. With e = 0 the
value 0.3 becomes 4915, 3277, -6554, ...: 0.3 is 4915.2 * 2**-14, and 0.2 is 3276.8 *
2**-14. Digits are so narrow that those of a block of rows do not overflow, and so many
that what is dropped is below 2^-48 of the largest value. Blocks are added as halves of
16 bits.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.core._arithmetic import (
    Pair,
    bits,
    exponent_above,
    floats,
    pair_add,
    scale,
)
from jaxmetrics.core._mesh import vary, varying
from jaxmetrics.core._pair_sum import pair_sum

FEW_CELLS = 64  # up to which a comparison with each cell is faster on TPU

_BLOCK = 1 << 20  # rows that are scattered at once
_WIDEST_DIGIT = 14
_SHARDS = 256  # into which rows may be split without moving them in the blocks' loop


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def sum_cells(values: jax.Array, index: jax.Array, cells: int) -> Pair:
    """Return the sum of the values in each cell, as (hi, lo), each `[cells]`.

    The error is below 2^-47 of the sum of magnitudes in the cell, but for subnormal
    numbers. Infinities and NaN pass. No sort, and on TPU no scatter for few cells.

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
    digits = functools.partial(_by_digits, cells=cells)
    if cells > FEW_CELLS:
        return digits(values, index)
    comparison = functools.partial(_by_comparison, cells=cells)
    return lax.platform_dependent(values, index, default=digits, tpu=comparison)


def _by_comparison(values: jax.Array, index: jax.Array, cells: int) -> Pair:
    """Sum over all rows for one cell after the other."""

    def sum_of(cell: jax.Array) -> Pair:
        return pair_sum((jnp.where(index == cell, values, jnp.float32(0)),), (0,))

    return lax.map(sum_of, jnp.arange(cells, dtype=jnp.int32))


def _by_digits(values: jax.Array, index: jax.Array, cells: int) -> Pair:
    finite = jnp.isfinite(values)
    special = _scattered(jnp.where(finite, jnp.float32(0), values), index, cells)
    values = jnp.where(finite, values, jnp.float32(0))
    largest = jnp.zeros(cells, jnp.uint32).at[index].max(bits(abs(values)), mode="drop")
    exponent = exponent_above(floats(largest))

    rows = values.size
    width = min(_WIDEST_DIGIT, 30 - _log2_above(min(rows, _BLOCK)))
    count = math.ceil((46 + _log2_above(rows)) / width)

    def block_sum(values: jax.Array, index: jax.Array) -> jax.Array:
        own = exponent.at[index].get(mode="clip")
        x = scale(values, -own)
        digits = []
        for _ in range(count):
            x = x * jnp.float32(2.0**width)
            digit = jnp.round(x)
            digits.append(digit.astype(jnp.int32))
            x = x - digit
        table = jnp.zeros((count, cells), jnp.int32)
        return table.at[:, index].add(jnp.stack(digits), mode="drop")

    low, high = block_sums(block_sum, values, index, cells)
    return _from_halves(low, high, width, exponent, special)


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
    if values.size <= _BLOCK:
        sums = block_sum(values, index)
        return sums & 0xFFFF, sums >> 16
    outer = math.gcd(values.size, _SHARDS)
    width = _BLOCK // outer
    inner = values.size // outer
    missing = ((0, 0), (0, -inner % width))
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
    return lax.fori_loop(0, values.shape[1] // width, add, (zero, zero))


def _from_halves(
    low: jax.Array,
    high: jax.Array,
    width: int,
    exponent: jax.Array,
    special: jax.Array,
) -> Pair:
    """Return the pair of the digits' sums, added from the smallest on."""
    zero = jnp.zeros_like(special)
    total = (zero, zero)
    for k in range(len(low) - 1, -1, -1):
        for half, shift in ((low[k], 0), (high[k], 16)):
            unit = jnp.float32(2.0 ** (shift - width * (k + 1)))
            total = pair_add(total, (half.astype(jnp.float32) * unit, zero))
    hi, lo = (scale(part, exponent) for part in total)
    hi = hi + special
    return hi, jnp.where(jnp.isfinite(hi), lo, jnp.float32(0))


def _scattered(values: jax.Array, index: jax.Array, cells: int) -> jax.Array:
    return jnp.zeros(cells, jnp.float32).at[index].add(values, mode="drop")


def _log2_above(n: int) -> int:
    """Return the least integer e with n <= 2**e."""
    return max(n - 1, 0).bit_length()
