"""Leaf kinds: how one leaf of a metric is stored, merged, read and reduced.

A state is one 32-bit array. A kind with `parts` sees it with the axis of its parts
first and whatever batch axes the state has after it; one without sees it as it is.
`reduce` is a generator that asks for collectives in two rounds, first maxima, then
sums: the caller packs what all leaves ask for into one collective each.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arithmetic import (
    digits_to_limbs,
    exponent_above,
    from_order_key,
    limbs_add,
    limbs_to_digits,
    limbs_to_float,
    order_key,
    pair_add,
    scale,
)

State = Any  # one array, or a tuple of its parts
Ask = tuple[str, jax.Array]  # ("max" or "sum", what)
Rounds = Generator[list[Ask], list[jax.Array], State]
Axes = tuple[str, ...]

_DIGITS = 4  # of 15 bits each: what lies below 2^-59 of the largest is dropped


class Count:
    """A 64-bit counter in two uint32 limbs: exact to 2^62, never negative."""

    parts, dtype, fill = 2, np.uint32, 0

    def encode(self, value: Any) -> State:
        """State of a bool, an integer or an integer array."""
        if isinstance(value, (int, np.integer, np.ndarray, np.bool_)):
            plain = np.asarray(value)
            if plain.dtype.kind not in "biu":
                raise TypeError(f"a count takes integers, got {plain.dtype}")
            if plain.size and plain.min() < 0:
                raise ValueError(f"a count is never negative, got {plain.min()}")
            wide = plain.astype(np.uint64)
            low = np.uint64(0xFFFFFFFF)
            return (wide & low).astype(np.uint32), (wide >> 32).astype(np.uint32)
        value = jnp.asarray(value)
        if value.dtype.kind not in "biu":
            raise TypeError(f"a count takes integers, got {value.dtype}")
        if value.dtype.itemsize == 8:
            return value.astype(jnp.uint32), (value >> 32).astype(jnp.uint32)
        low = value.astype(jnp.uint32)
        return low, jnp.zeros_like(low)

    def merge(self, a: State, b: State) -> State:
        """The sum."""
        return limbs_add(a, b)

    def decode(self, state: State, host: bool) -> Any:
        """An int or int64 array on the host, float32 under jit."""
        if not host:
            return limbs_to_float(state)
        lo, hi = (part.astype(np.int64) for part in state)
        value = lo + (hi << 32)
        return int(value) if value.ndim == 0 else value

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Sum of 16-bit digits."""
        yield []
        (digits,) = yield [("sum", limbs_to_digits(state))]
        return digits_to_limbs(digits)


class Sum:
    """A float32 pair, renormalised at every merge."""

    parts, dtype, fill = 2, np.float32, 0

    def encode(self, value: Any) -> State:
        """State of a number, an array, or a pair (hi, lo) of them."""
        if isinstance(value, tuple):
            return tuple(jnp.asarray(part, jnp.float32) for part in value)
        if isinstance(value, (int, float, np.number, np.ndarray)):
            plain = np.asarray(value, np.float64)
            with np.errstate(over="ignore"):
                hi = plain.astype(np.float32)
            rest = np.where(
                np.isfinite(hi), plain - np.where(np.isfinite(hi), hi, 0), 0
            )
            return hi, rest.astype(np.float32)
        hi = jnp.asarray(value).astype(jnp.float32)
        return hi, jnp.zeros_like(hi)

    def merge(self, a: State, b: State) -> State:
        """The compensated sum."""
        return pair_add(*guarded(a, b))

    def decode(self, state: State, host: bool) -> Any:
        """A float64 on the host, float32 under jit."""
        hi, lo = state
        if not host:
            return hi + lo
        return (hi.astype(np.float64) + lo.astype(np.float64))[()]

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Sum of fixed-point digits: the same bits under any order of devices."""
        hi, lo = state
        finite = jnp.isfinite(hi)
        zero = jnp.float32(0)
        magnitude = jnp.where(finite, jnp.abs(hi), zero)
        (top,) = yield [("max", order_key(magnitude))]
        e = exponent_above(from_order_key(top))
        digits = _to_digits(jnp.where(finite, hi, zero), e)
        digits = digits + _to_digits(jnp.where(finite, lo, zero), e)
        words = lax.bitcast_convert_type(digits, jnp.uint32)
        words, special = yield [("sum", words), ("sum", jnp.where(finite, zero, hi))]
        hi, lo = _from_digits(lax.bitcast_convert_type(words, jnp.int32), e)
        hi = hi + special
        return hi, jnp.where(jnp.isfinite(hi), lo, zero)


class Max:
    """The largest value; NaN is larger than everything and survives any sharding."""

    parts, dtype, fill, sign = 0, np.float32, -np.inf, 1

    def encode(self, value: Any) -> State:
        """The value as float32."""
        return _as_float32(value)

    def merge(self, a: State, b: State) -> State:
        """The larger."""
        return jnp.maximum(a, b)

    def decode(self, state: State, host: bool) -> Any:
        """A float64 on the host, float32 under jit."""
        return state.astype(np.float64)[()] if host else state

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Maximum of order keys."""
        (key,) = yield [("max", order_key(self.sign * state))]
        yield []
        return self.sign * from_order_key(key)


class Min(Max):
    """The smallest value; NaN wins."""

    fill, sign = np.inf, -1

    def merge(self, a: State, b: State) -> State:
        """The smaller."""
        return jnp.minimum(a, b)


class Free:
    """A leaf that its metric's own `merge` combines; reduced by gather and fold."""

    parts = 0

    def __init__(self, dtype: Any, fill: float) -> None:
        """A leaf of `dtype` whose empty state is full of `fill`."""
        self.dtype, self.fill = np.dtype(dtype), fill

    def encode(self, value: Any) -> State:
        """The value in the declared dtype."""
        if isinstance(value, (int, float, np.number, np.ndarray)):
            return np.asarray(value, self.dtype)
        return jnp.asarray(value).astype(self.dtype)

    def merge(self, a: State, b: State) -> State:
        """The first; the metric's `merge` replaces it."""
        return a

    def decode(self, state: State, host: bool) -> Any:
        """Float64 or int64 on the host, as declared under jit."""
        if not host:
            return state
        wide = {"f": np.float64, "i": np.int64, "u": np.int64}[self.dtype.kind]
        return state.astype(wide)[()]


def guarded(a: State, b: State) -> tuple[State, State]:
    """Both operands, hidden from constant folding.

    A compiler that knows one operand drops a step of the exact sum. The guard is on
    the operands: on the result it would split the fusion.
    """
    return lax.optimization_barrier((a, b))


def _as_float32(value: Any) -> Any:
    if isinstance(value, (int, float, np.number, np.ndarray)):
        return np.asarray(value, np.float32)
    return jnp.asarray(value).astype(jnp.float32)


def _to_digits(x: jax.Array, e: jax.Array) -> jax.Array:
    x = scale(x, -e) * jnp.float32(2.0**14)
    digits = []
    for _ in range(_DIGITS):
        digit = jnp.round(x)
        digits.append(digit.astype(jnp.int32))
        x = (x - digit) * jnp.float32(2.0**15)
    return jnp.stack(digits)


def _from_digits(digits: jax.Array, e: jax.Array) -> State:
    zero = jnp.zeros_like(digits[0], jnp.float32)
    total = (zero, zero)
    for k in range(_DIGITS - 1, -1, -1):
        for piece in (digits[k] & 0xFFFF, (digits[k] >> 16) << 16):
            value = piece.astype(jnp.float32) * jnp.float32(2.0 ** (-14 - 15 * k))
            total = pair_add(total, (value, zero))
    return tuple(scale(part, e) for part in total)
