"""Exact and compensated arithmetic on 32-bit words, for states without float64.

A *pair* is (hi, lo), two float32 whose sum is the value (Dekker 1971, Knuth's
TwoSum). *Limbs* are (lo, hi), two uint32 that make one 64-bit counter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Pair = tuple[jax.Array, jax.Array]
Limbs = tuple[jax.Array, jax.Array]

_SIGN = 1 << 31
_ZERO = np.float32(0)
SMALLEST_NORMAL = np.float32(2.0**-126)  # devices flush smaller magnitudes to 0
ROUNDING = 2.0**-44
"""Deviations of equal values from their mean are smaller, relative to the mean."""
# Others are narrower. Those of 64 bits exist under `jax_enable_x64` only.
INTEGERS = (np.int32, np.uint32, np.int64, np.uint64)


def bits(x: jax.Array) -> jax.Array:
    """Read float32 as the uint32 with the same bits."""
    return lax.bitcast_convert_type(x, jnp.uint32)


def floats(x: jax.Array) -> jax.Array:
    """Read uint32 as the float32 with the same bits."""
    return lax.bitcast_convert_type(x, jnp.float32)


def two_sum(a: jax.Array, b: jax.Array) -> Pair:
    """Return `a + b` and its rounding error, exactly."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def renormalise(hi: jax.Array, lo: jax.Array) -> Pair:
    """Return the same sum with |lo| at most half an ulp of hi; needs |hi| >= |lo|."""
    s = hi + lo
    return s, jnp.where(jnp.isfinite(s), lo - (s - hi), jnp.float32(0))


def pair_add(a: Pair, b: Pair) -> Pair:
    """Add two pairs, with a relative error of about 2^-48; infinities and NaN pass."""
    s, e = two_sum(a[0], b[0])
    t, f = two_sum(a[1], b[1])
    s, e = renormalise(s, jnp.where(jnp.isfinite(s), e + t, jnp.float32(0)))
    return renormalise(s, jnp.where(jnp.isfinite(s), e + f, jnp.float32(0)))


def integer_pair(x: jax.Array) -> Pair:
    """Return integers as pairs, exactly below 2^40."""
    low = x & jnp.asarray(0xFFFF, x.dtype)
    high = x - low  # a multiple of 2^16, so at most 24 bits and exact in float32
    return two_sum(high.astype(jnp.float32), low.astype(jnp.float32))


def difference(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return `a - b` in float32, also right of integers that float32 would round.

    The error is at most one rounding for floats, two for integers beyond 2^24.

    >>> float(difference(jnp.int32(16777217), jnp.int32(16777216)))
    1.0
    """
    (a, low_a), (b, low_b) = _as_pair(a), _as_pair(b)
    return a - b if low_a is low_b else (a - b) + (low_a - low_b)


def is_less(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return `a < b`, also right of integers that float32 would round.

    NaN is not less than anything. Integers may be compared with floats.

    >>> bool(is_less(jnp.int32(16777216), jnp.int32(16777217)))
    True
    """
    (a, low_a), (b, low_b) = _as_pair(a), _as_pair(b)
    return (a < b) | ((a == b) & (low_a < low_b))


def _as_pair(x: jax.Array) -> tuple[jax.Array, jax.Array | np.float32]:
    """Return an array as float32, and what this rounds off its integers."""
    if x.dtype in INTEGERS:
        return integer_pair(x)
    return x.astype(jnp.float32), _ZERO


def limbs_add(a: Limbs, b: Limbs) -> Limbs:
    """Add two 64-bit counters."""
    lo = a[0] + b[0]
    return lo, a[1] + b[1] + (lo < a[0]).astype(jnp.uint32)


def limbs_to_float(n: Limbs) -> jax.Array:
    """Return the counter as float32, to within an ulp."""
    high = n[1].astype(jnp.float32) * jnp.float32(2.0**32)
    return high + n[0].astype(jnp.float32)


def limbs_to_digits(n: Limbs) -> jax.Array:
    """Return four 16-bit digits; their sums over 65,536 devices fit in uint32."""
    lo, hi = n
    low = jnp.uint32(0xFFFF)
    return jnp.stack([lo & low, lo >> 16, hi & low, hi >> 16])


def digits_to_limbs(digits: jax.Array) -> Limbs:
    """Return the counter from sums of 16-bit digits."""
    a, b, c, d = digits
    zero = jnp.zeros_like(a)
    n = limbs_add((a, zero), (b << 16, b >> 16))
    n = limbs_add(n, (zero, c))
    return limbs_add(n, (zero, d << 16))


def order_key(x: jax.Array) -> jax.Array:
    """Return a uint32 that orders as the float32 does, with NaN above everything.

    Collectives and sharded reductions of floats may lose a NaN, those of integers
    have none.
    """
    b = bits(x)
    key = jnp.where(b >> 31 == 1, ~b, b | jnp.uint32(_SIGN))
    return jnp.where(jnp.isnan(x), jnp.uint32(0xFFFFFFFF), key)


def from_order_key(key: jax.Array) -> jax.Array:
    """Return the float32 of an order key."""
    return floats(jnp.where(key >> 31 == 1, key ^ jnp.uint32(_SIGN), ~key))


def exponent_above(magnitude: jax.Array) -> jax.Array:
    """Return the least int32 e with `magnitude < 2**e`, clipped to [-125, 128]."""
    e = (bits(magnitude) >> 23).astype(jnp.int32) - 126
    return jnp.clip(e, -125, 128)


def scale(x: jax.Array, e: jax.Array) -> jax.Array:
    """Return `x * 2**e`, exactly, for e in [-252, 252]."""
    half = e // 2
    return x * _power_of_two(half) * _power_of_two(e - half)


def kept_above_zero(squares: Pair, differ: jax.Array) -> Pair:
    """Return a sum of squared deviations that is 0 only where no values differ.

    The squares of deviations below 1e-19 underflow: the sum is then the smallest normal
    number, so that it is not taken for that of equal values. Of equal values the sum is
    0, where rounding of their mean left something. NaN and infinities pass.

    Args:
      squares: Sum of squares, at least 0.
      differ: Bool, where any deviation is not 0.
    """
    hi, lo = squares
    hi = jnp.where(hi < SMALLEST_NORMAL, SMALLEST_NORMAL, hi)
    zero = jnp.float32(0)
    return jnp.where(differ, hi, zero), jnp.where(differ, lo, zero)


def relative_to(magnitude: jax.Array, x: jax.Array) -> jax.Array:
    """Return x times the power of two that brings a magnitude into [0.5, 1), exactly.

    Products of what it returns neither underflow nor overflow where x is about as large
    as the magnitude. The power is a constant in derivatives.

    >>> float(relative_to(jnp.float32(3 * 2.0**-80), jnp.float32(2.0**-80)))
    0.25
    """
    return scale(x, -exponent_above(magnitude))


def _power_of_two(e: jax.Array) -> jax.Array:
    return floats((e + 127).astype(jnp.uint32) << 23)


def clear_low_bit(x: jax.Array) -> jax.Array:
    """Return `x` with the last mantissa bit cleared: the same rounded value everywhere.

    A compiler may turn `total / n` into a product, and fuse it with a later
    `values - mean` into one operation without rounding in between: the deviations
    would then be from another centre than the mean that is returned. It does so across
    an optimization barrier, but not across bit operations.
    """
    return floats(bits(x) & np.uint32(0xFFFFFFFE))
