"""Leaf kinds: how one leaf of a metric is stored, merged, read and reduced.

A state is one 32-bit array. A kind with `parts` gets it with the axis of the parts
first, then any batch axes; a kind without parts gets it as it is. Kinds are immutable
and compare by value: leaves of equal kinds are reduced as one array.

`reduce` is a generator. It yields requests for collectives and is sent their results,
in two rounds: maxima first, then sums, which may depend on the maxima. The caller runs
the generators of all leaves in step and packs the requests of a round into one
collective for each operation and type (see `_reduction`). A kind with nothing to ask
in a round yields an empty list.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Generator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arithmetic import (
    INTEGERS,
    digits_to_limbs,
    exponent_above,
    from_order_key,
    integer_pair,
    limbs_add,
    limbs_to_digits,
    limbs_to_float,
    order_key,
    pair_add,
    scale,
)
from jaxmetrics.core._integer_extreme import IntegerExtreme, value_of, words_of
from jaxmetrics.core._summands import Summands

State = Any  # one array, or a tuple of its parts
Request = tuple[str, jax.Array]  # ("max" or "sum", array)
Rounds = Generator[list[Request], list[jax.Array], State]
Axes = tuple[str, ...]

ARRAY = "an array or a number"  # results of `type_of`
SUMMANDS = "the values of total(), or of a count with weights"
EXTREME = "the integers of maximum() or minimum()"

_SUM_DIGITS = 4  # of 15 bits each: less than 2^-59 of the largest summand is dropped


@dataclasses.dataclass(frozen=True)
class Count:
    """A 64-bit counter in two uint32 limbs: exact to 2^62, never negative."""

    parts, dtype, fill = 2, np.uint32, 0

    def encode(self, value: Any) -> State:
        """Return the state of a bool, an integer, an array of them, or `Summands`."""
        if isinstance(value, Summands):
            sums = [_limbs_of(x, value.axes(x)) for x in value.values]
            return functools.reduce(limbs_add, sums)
        refuse_other(value, "integers, such as of count_where(condition, mask)", ARRAY)
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
        """Return the sum."""
        return limbs_add(a, b)

    def decode(self, state: State, host: bool) -> Any:
        """Return an int or int64 array on the host, float32 under jit."""
        if not host:
            return limbs_to_float(state)
        lo, hi = state
        if not lo.ndim:
            return int(lo) + (int(hi) << 32)
        return lo.astype(np.int64) + (hi.astype(np.int64) << 32)

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Sum the 16-bit digits: 65,536 of them fit in a uint32."""
        yield []
        (digits,) = yield [("sum", limbs_to_digits(state))]
        return digits_to_limbs(digits)


@dataclasses.dataclass(frozen=True)
class Sum:
    """A float32 pair, renormalised at every merge."""

    parts, dtype, fill = 2, np.float32, 0

    def encode(self, value: Any) -> State:
        """Return the state of a number, an array, a pair (hi, lo), or `Summands`."""
        refuse_other(value, "total(values, mask)", ARRAY, SUMMANDS, "a tuple of 2")
        if isinstance(value, Summands):
            value = value.pair()
        if isinstance(value, tuple):
            return tuple(jnp.asarray(part, jnp.float32) for part in value)
        if isinstance(value, (int, float, np.number, np.ndarray)):
            plain = np.asarray(value, np.float64)
            with np.errstate(over="ignore"):
                hi = plain.astype(np.float32)
            finite = np.isfinite(hi)
            lo = np.where(finite, plain - np.where(finite, hi, 0), 0)
            return hi, lo.astype(np.float32)
        value = jnp.asarray(value)
        if value.dtype.kind in "iu" and value.dtype.itemsize >= 4:
            return integer_pair(value)
        hi = value.astype(jnp.float32)
        return hi, jnp.zeros_like(hi)

    def merge(self, a: State, b: State) -> State:
        """Return the compensated sum."""
        return pair_add(*hidden_from_folding(a, b))

    def decode(self, state: State, host: bool) -> Any:
        """Return a float64 on the host, float32 under jit."""
        hi, lo = state
        if not host:
            return hi + lo
        if not hi.ndim:
            return np.float64(float(hi) + float(lo))
        return (hi.astype(np.float64) + lo.astype(np.float64))[()]

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Sum fixed-point digits: the same bits under any order of devices.

        Float addition depends on the order of the devices, integer addition does not.
        So all devices agree on an exponent e, the least with |hi| < 2**e everywhere
        (round one), write hi and lo as multiples of 2**(e-14), 2**(e-29), 2**(e-44)
        and 2**(e-59), and sum those integers (round two). With e = 3 the pair
        (5.0, 1e-8) becomes the digits 10240, 1, -10777, ...: 5 is 10240 * 2**-11,
        1e-8 is about 2**-26 - 10777 * 2**-41. Digits of hi and lo together stay within
        2**15 in magnitude, so that 65,535 of them do not overflow an int32.

        Infinities and NaN have no digits: they are summed as floats and added last.
        """
        hi, lo = state
        finite = jnp.isfinite(hi)
        zero = jnp.float32(0)
        magnitude = jnp.where(finite, jnp.abs(hi), zero)
        (largest,) = yield [("max", order_key(magnitude))]
        e = exponent_above(from_order_key(largest))
        digits = to_digits(jnp.where(finite, hi, zero), e)
        digits = digits + to_digits(jnp.where(finite, lo, zero), e)
        words = lax.bitcast_convert_type(digits, jnp.uint32)
        words, special = yield [("sum", words), ("sum", jnp.where(finite, zero, hi))]
        hi, lo = from_digits(lax.bitcast_convert_type(words, jnp.int32), e)
        hi = hi + special
        return hi, jnp.where(jnp.isfinite(hi), lo, zero)


@dataclasses.dataclass(frozen=True)
class Max:
    """The largest value; NaN is larger than everything and survives any sharding."""

    parts, dtype, fill, sign = 0, np.float32, -np.inf, 1

    def encode(self, value: Any) -> State:
        """Return the value as float32; integers only if they are exact."""
        refuse_other(value, f"{self._helper}(values, mask)", ARRAY, EXTREME)
        _refuse_rounded(value, "max_leaf" if self.sign > 0 else "min_leaf")
        return _as_float32(value)

    def merge(self, a: State, b: State) -> State:
        """Return the larger value."""
        return jnp.maximum(a, b)

    def decode(self, state: State, host: bool) -> Any:
        """Return a float64 on the host, float32 under jit."""
        return state.astype(np.float64)[()] if host else state

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Take the maximum of order keys, which are integers and keep NaN."""
        (key,) = yield [("max", order_key(self.sign * state))]
        yield []
        return self.sign * from_order_key(key)

    @property
    def _helper(self) -> str:
        return "maximum" if self.sign > 0 else "minimum"


@dataclasses.dataclass(frozen=True)
class Min(Max):
    """The smallest value; NaN wins."""

    fill, sign = np.inf, -1

    def merge(self, a: State, b: State) -> State:
        """Return the smaller value."""
        return jnp.minimum(a, b)


@dataclasses.dataclass(frozen=True)
class IntegerMax:
    """The largest integer, of int32 and uint32, as two words; see _integer_extreme."""

    parts, dtype, fill, largest = 2, np.uint32, 0, True

    def encode(self, value: Any) -> State:
        """Return the words of an integer, an array of them, or an `IntegerExtreme`.

        An infinite float stands for no value: it is what an empty state reads as.
        """
        refuse_other(value, f"{self._helper}(values, mask)", ARRAY, EXTREME)
        if isinstance(value, IntegerExtreme):
            if value.largest != self.largest:
                raise TypeError(
                    f"takes {self._helper}(values), got the other one. Exchange the "
                    "two."
                )
            return value.words
        if isinstance(value, float) and value == self._nothing:
            return np.uint32(0), np.uint32(0)
        on_host = isinstance(value, (int, np.generic, np.ndarray))
        xp = np if on_host else jnp
        value = xp.asarray(value)
        if value.dtype.kind not in "iu":
            raise TypeError(
                f"holds integers, got {value.dtype}. Convert with .astype(int32), or "
                "declare the leaf without a dtype."
            )
        if value.size and on_host:
            if value.min() < -(2**31) or value.max() >= 2**32:
                raise ValueError(
                    f"holds integers of 32 bits, got {value.min()} to {value.max()}. "
                    "Declare the leaf without a dtype, or split the integers."
                )
        return words_of(xp, value, self.largest)

    def merge(self, a: State, b: State) -> State:
        """Return the words of the larger value."""
        return jnp.maximum(a, b)

    def decode(self, state: State, host: bool) -> Any:
        """Return an int or int64 array on the host, float32 under jit.

        Where there is no value, it is the infinity that is the identity; an array on
        the host is then float64.
        """
        if not host:
            value, seen = value_of(jnp, state, self.largest, jnp.float32)
            return jnp.where(seen, value, jnp.float32(self._nothing))
        value, seen = value_of(np, state, self.largest, np.int64)
        if not seen.all():
            value = np.where(seen, value, self._nothing)
        return value.item() if value.ndim == 0 else value

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Take the maximum of the words."""
        (words,) = yield [("max", state)]
        yield []
        return words

    @property
    def _helper(self) -> str:
        return "maximum" if self.largest else "minimum"

    @property
    def _nothing(self) -> float:
        return -math.inf if self.largest else math.inf


@dataclasses.dataclass(frozen=True)
class IntegerMin(IntegerMax):
    """The smallest integer."""

    largest = False


@dataclasses.dataclass(frozen=True)
class Free:
    """A leaf that the metric's own `merge` combines; reduced by gather and fold.

    Args:
      dtype: Type of the leaf.
      fill: Value of the empty state.
    """

    dtype: np.dtype[Any]
    fill: float

    parts = 0

    def encode(self, value: Any) -> State:
        """Return the value in the declared dtype."""
        refuse_other(value, "an array", ARRAY, EXTREME)
        if self.dtype.kind == "f":
            _refuse_rounded(value, "leaf")
        if isinstance(value, (int, float, np.number, np.ndarray)):
            return np.asarray(value, self.dtype)
        return jnp.asarray(value).astype(self.dtype)

    def merge(self, a: State, b: State) -> State:
        """Return the first; the metric's `merge` replaces it."""
        return a

    def decode(self, state: State, host: bool) -> Any:
        """Return float64 or int64 on the host, the declared dtype under jit."""
        if not host:
            return state
        wide = {"f": np.float64, "i": np.int64, "u": np.int64}[self.dtype.kind]
        return state.astype(wide)[()]


def refuse_other(value: Any, contribution: str, *types: str) -> None:
    """Refuse what is a contribution to another kind of leaf, with a TypeError.

    Args:
      value: The contribution.
      contribution: The one that the leaf takes, for the error.
      *types: Results of `type_of` that it may be.
    """
    if type_of(value) not in types:
        raise TypeError(
            f"takes {contribution}, got {type_of(value)}. Return the former, or "
            "declare the kind of leaf that takes the latter."
        )


def type_of(value: Any) -> str:
    """Return the type of a contribution, in words."""
    if isinstance(value, Summands):
        return SUMMANDS
    if isinstance(value, IntegerExtreme):
        return EXTREME
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if value is None or isinstance(value, str | Mapping):
        return f"{value!r}"
    return ARRAY


def hidden_from_folding(a: State, b: State) -> tuple[State, State]:
    """Return both operands behind a barrier that hides constants.

    A compiler that knows one operand as a constant drops a step of the exact sum. The
    barrier is on the operands: on the result it would split the fusion.
    """
    return lax.optimization_barrier((a, b))


def _limbs_of(values: jax.Array, axes: tuple[int, ...]) -> State:
    """Return the sum of integers, at least 0, over axes."""
    if values.dtype not in INTEGERS:
        raise TypeError(
            f"a count takes integers, got a sum of {values.dtype}. Declare a sum_leaf, "
            'or count_leaf(weighted="weighted") for a sum of weights.'
        )
    low = values.astype(jnp.uint32)
    zero = jnp.uint32(0)
    limbs = lax.reduce((low, jnp.zeros_like(low)), (zero, zero), limbs_add, axes)
    return tuple(limbs)


def _refuse_rounded(value: Any, declaration: str) -> None:
    """Refuse integers that float32 may round."""
    if isinstance(value, IntegerExtreme):
        kind = "integers"
    elif isinstance(value, jax.Array):
        wide = value.dtype.kind in "iu" and value.dtype.itemsize >= 4
        kind = f"{value.dtype}" if wide else ""
    else:
        plain = np.asarray(value)
        integers = plain.dtype.kind in "iu"
        rounded = integers and (plain != plain.astype(np.float32)).any()
        kind = f"{value}" if rounded else ""
    if kind:
        raise TypeError(
            f"is float32, which rounds integers beyond 2^24; got {kind}. Convert with "
            f".astype(float32), or declare {declaration}(dtype=np.int32)."
        )


def _as_float32(value: Any) -> Any:
    if isinstance(value, (int, float, np.number, np.ndarray)):
        return np.asarray(value, np.float32)
    return jnp.asarray(value).astype(jnp.float32)


def to_digits(x: jax.Array, e: jax.Array) -> jax.Array:
    """Return signed digits d with x = sum of d[k] * 2**(e - 14 - 15 k), as int32."""
    x = scale(x, -e) * jnp.float32(2.0**14)
    digits = []
    for _ in range(_SUM_DIGITS):
        digit = jnp.round(x)
        digits.append(digit.astype(jnp.int32))
        x = (x - digit) * jnp.float32(2.0**15)
    return jnp.stack(digits)


def from_digits(digits: jax.Array, e: jax.Array) -> State:
    """Return the pair of summed digits, smallest first; each in two exact floats."""
    zero = jnp.zeros_like(digits[0], jnp.float32)
    total = (zero, zero)
    for k in range(_SUM_DIGITS - 1, -1, -1):
        for piece in (digits[k] & 0xFFFF, (digits[k] >> 16) << 16):
            value = piece.astype(jnp.float32) * jnp.float32(2.0 ** (-14 - 15 * k))
            total = pair_add(total, (value, zero))
    return tuple(scale(part, e) for part in total)
