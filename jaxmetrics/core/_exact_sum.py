"""Exact sums of float32 values in integers: the same bits in any order.

Every finite float32 is a whole number of units of 2^-149, the smallest of them, with at
most 277 bits. So a sum is an integer too, and integer addition does not depend on the
order. It is kept in 352 bits, room for 2^74 of the largest values, as eleven uint32
*limbs*, lowest first, in two's complement. One more word has flags of what is no
number: bit 0 of +inf, bit 1 of -inf; NaN, as inf - inf, sets both. These twelve words
are canonical: one value has one form.

A batch is summed without carries. A value with the exponent e is m * 2^e units, m below
2^24. All values are cut at the same multiples of 16 bits into *digits* below 2^16,
which keep the sign of their value, and the digits at each place are summed in int32:

    1.5   = 2^149 + 2^148    the digit at 144 is 0b110000
    2^-20 = 2^129            the digit at 128 is 0b10
    sum                      144: 48, 128: 2, and carries are propagated once at the end

A sum of 2^13 digits is below 2^29 in magnitude. Longer axes are summed in blocks, whose
sums are cut into digits again. The digits of four places, 64 bits, are computed in one
pass over the values. It begins at the place of the largest value; a loop goes on
downwards until the place of the smallest one. Values within a factor of 2^25 of each
other take a single pass.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arithmetic import bits, scale
from jaxmetrics.core._cell_sum import FEW_CELLS, block_sums
from jaxmetrics.core._mesh import vary, varying

LIMBS = 11
WORDS = LIMBS + 1

_PLACES = 2 * LIMBS  # of 16 bits
_UNIT = 149  # the unit is 2^-149
_WINDOW = 4  # places summed in one pass
_BLOCK = 1 << 13  # digits summed in int32
_SHORTEST_BLOCK = 1 << 10  # an axis without such a divisor is padded
_SHARDS = 256  # a split keeps this many equal parts of an axis apart, if it has them
_LOW = np.uint32(0xFFFF)

Axes = tuple[int, ...]


class _Fields(NamedTuple):
    """Parts of float32 values, each uint32; see `_fields`."""

    mantissa: jax.Array
    exponent: jax.Array
    negative: jax.Array
    special: jax.Array


def exact_sum(values: jax.Array, axes: Axes = ()) -> jax.Array:
    """Return the words `[12, ...]` of the sum of float32 or integer values over axes.

    Gradients do not pass through integers: they are 0.
    """
    if values.dtype != jnp.float32:
        return functools.reduce(
            add_words, [exact_sum(x, axes) for x in _as_floats(values)]
        )
    highest, lowest, special = _ranged(values, axes)

    def sums_at(place: jax.Array) -> jax.Array:
        base = 16 * place
        for axis in axes:
            base = jnp.expand_dims(base, axis)
        return _summed(_window(values, jnp.broadcast_to(base, values.shape)), axes)

    return jnp.concatenate([_descended(sums_at, highest, lowest), special[None]])


def exact_cells(values: jax.Array, index: jax.Array, cells: int) -> jax.Array:
    """Return the words `[12, cells]` of the sum of the values in each cell.

    Args:
      values: float32 or integers `[rows]`.
      index: int32 `[rows]`, at least 0; rows of cells that do not exist are dropped.
      cells: Number of cells.
    """
    if values.dtype != jnp.float32:
        return functools.reduce(
            add_words, [exact_cells(x, index, cells) for x in _as_floats(values)]
        )
    by_scatter = functools.partial(_cells_by_scatter, cells=cells)
    if cells > FEW_CELLS:
        return by_scatter(values, index)
    by_comparison = functools.partial(_cells_by_comparison, cells=cells)
    return lax.platform_dependent(values, index, default=by_scatter, tpu=by_comparison)


def add_words(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the words of the sum of two sums."""
    limbs = _add_limbs(a[:LIMBS], b[:LIMBS])
    return jnp.concatenate([limbs, a[LIMBS:] | b[LIMBS:]])


def words_to_places(words: jax.Array) -> jax.Array:
    """Return words below 2^16 whose sums over 65,536 devices fit in uint32."""
    limbs, special = words[:LIMBS], words[LIMBS]
    places = jnp.stack([limbs & _LOW, limbs >> 16], axis=1)
    places = places.reshape(_PLACES, *special.shape)
    flags = jnp.stack([special & jnp.uint32(1), special >> 1])
    return jnp.concatenate([places, flags])


def places_to_words(places: jax.Array) -> jax.Array:
    """Return the words from sums of places."""
    plus, minus = (places[_PLACES:] > 0).astype(jnp.uint32)
    limbs = _limbs(places[:_PLACES])
    return jnp.concatenate([limbs, (plus | (minus << 1))[None]])


def words_to_float(words: jax.Array) -> jax.Array:
    """Return the sum rounded to float32, once if it is not subnormal."""
    limbs, special = words[:LIMBS], words[LIMBS]
    negative = limbs[-1] >> 31
    flipped = limbs ^ (jnp.zeros_like(negative) - negative)[None]
    number = _along(limbs)
    first = jnp.where(number == 0, negative[None], jnp.uint32(0))
    magnitude = _add_limbs(flipped, first)
    # The highest limb that is not 0, the one below it, and whether any lower is not.
    used = magnitude > 0
    place = jnp.where(used, number, 0).max(axis=0)
    high, below = (
        jnp.where(number == wanted[None], magnitude, jnp.uint32(0)).max(axis=0)
        for wanted in (place, place - 1)
    )
    rest = (used & (number < place[None] - 1)).any(axis=0)
    shift = jnp.minimum(lax.clz(high), jnp.uint32(31))
    lost = ((below << shift) != 0) | rest
    kept = high << shift
    kept = kept | jnp.where(shift > 0, below >> (32 - shift), jnp.uint32(0))
    rounded = (kept | lost.astype(jnp.uint32)).astype(jnp.float32)
    value = scale(rounded, 32 * place - shift.astype(jnp.int32) - _UNIT)
    value = jnp.where(negative > 0, -value, value)
    infinite = jnp.where(special == 1, jnp.float32(jnp.inf), jnp.float32(-jnp.inf))
    infinite = jnp.where(special == 3, jnp.float32(jnp.nan), infinite)
    return jnp.where(special > 0, infinite, value)


def words_to_double(words: np.ndarray) -> Any:
    """Return the sum of words on the host, correctly rounded to float64."""
    limbs, special = words[:LIMBS].astype(np.uint64), words[LIMBS]
    negative = limbs[-1] >> np.uint64(31)
    full = np.uint64(0xFFFFFFFF)
    magnitude = []
    carry = negative
    for limb in limbs:
        flipped = (limb ^ (negative * full)) + carry
        carry = flipped >> np.uint64(32)
        magnitude.append(flipped & full)
    # 96 bits from the highest limb that is not 0, and whether any lower limb is not.
    high = middle = low = rest = np.zeros(special.shape, np.uint64)
    place = np.zeros(special.shape, np.int64)
    seen = rest
    padded = [seen, seen, *magnitude]
    for k in range(LIMBS):
        used = padded[k + 2] != 0
        high, middle, low, rest = (
            np.where(used, new, old)
            for new, old in (
                (padded[k + 2], high),
                (padded[k + 1], middle),
                (padded[k], low),
                (seen, rest),
            )
        )
        place = np.where(used, k, place)
        seen = seen | padded[k]
    length = np.frexp(high.astype(np.float64))[1].astype(np.uint64)  # bits of high
    shift = np.uint64(32) - length
    top = (high << np.uint64(32)) | middle
    kept = (top << shift) | (low >> length)
    lost = ((low << shift) & full) | rest
    kept = kept | (lost != 0).astype(np.uint64)
    exponent = 32 * place - 32 - shift.astype(np.int64) - _UNIT
    value = np.ldexp(kept.astype(np.float64), exponent)
    value = np.where(negative > 0, -value, value)
    infinite = np.choose(special, [0.0, np.inf, -np.inf, np.nan])
    return np.where(special > 0, infinite, value)[()]


def words_of_numbers(values: Any) -> np.ndarray:
    """Return the words of numbers on the host, each rounded to a multiple of 2^-149."""
    values = np.asarray(values)
    words = np.zeros((WORDS, values.size), np.uint32)
    for i, value in enumerate(values.ravel().tolist()):
        if not math.isfinite(value):
            words[LIMBS, i] = 3 if math.isnan(value) else 1 if value > 0 else 2
            continue
        units = round(Fraction(value) * 2**_UNIT)
        if units.bit_length() >= 32 * LIMBS:
            raise ValueError(f"is beyond an exact sum: {value}. It holds up to 2^202.")
        packed = units.to_bytes(4 * LIMBS, "little", signed=True)
        words[:LIMBS, i] = np.frombuffer(packed, "<u4")
    return words.reshape(WORDS, *values.shape)


def _cells_by_comparison(values: jax.Array, index: jax.Array, cells: int) -> jax.Array:
    """Sum over all rows for one cell after the other."""

    def sum_of(cell: jax.Array) -> jax.Array:
        return exact_sum(jnp.where(index == cell, values, jnp.float32(0)), (0,))

    return lax.map(sum_of, jnp.arange(cells, dtype=jnp.int32)).T


def _cells_by_scatter(values: jax.Array, index: jax.Array, cells: int) -> jax.Array:
    """Scatter digits of 8 bits: a block of 2^20 rows of them fits in int32."""
    highest, lowest, _ = _ranged(values, (0,))
    special = _fields(values).special
    flags = jnp.stack([special & jnp.uint32(1), special >> 1])
    special = jnp.zeros((2, cells), jnp.uint32).at[:, index].max(flags, mode="drop")

    def sums_at(place: jax.Array) -> jax.Array:
        def block_sum(values: jax.Array, index: jax.Array) -> jax.Array:
            wide = _window(values, jnp.broadcast_to(16 * place, values.shape))
            digits = []
            for digit in wide:
                size = abs(digit)
                sign = jnp.sign(digit)
                digits += [(size & 0xFF) * sign, (size >> 8) * sign]
            table = jnp.zeros((len(digits), cells), jnp.int32)
            return table.at[:, index].add(jnp.stack(digits), mode="drop")

        low, high = block_sums(block_sum, values, index, cells)
        low, high = (x[::2] + (x[1::2] << 8) for x in (low, high))
        zero = jnp.zeros_like(low[:1])
        return jnp.concatenate([low, zero]) + jnp.concatenate([zero, high])

    limbs = _descended(sums_at, highest, lowest)
    return jnp.concatenate([limbs, special[:1] | (special[1:] << 1)])


def _ranged(values: jax.Array, axes: Axes) -> tuple[jax.Array, ...]:
    """Return over axes the largest and smallest exponent, and flags.

    The smallest exponent is 255 if all values are 0.
    """
    fields = _fields(values)
    zero = jnp.uint32(0)
    used = fields.mantissa > 0
    largest, smallest, special = lax.reduce(
        (
            jnp.where(used, fields.exponent, zero),
            jnp.where(used, jnp.uint32(255) - fields.exponent, zero),
            fields.special,
        ),
        (zero, zero, zero),
        lambda a, b: (jnp.maximum(a[0], b[0]), jnp.maximum(a[1], b[1]), a[2] | b[2]),
        axes,
    )
    return largest, jnp.uint32(255) - smallest, special


def _descended(
    sums_at: Callable[[jax.Array], jax.Array],
    largest: jax.Array,
    smallest: jax.Array,
) -> jax.Array:
    """Return the limbs of a sum, computed window by window from the largest value.

    Args:
      sums_at: Function of the lowest place of a window that returns sums below 2^24 at
        this place and those above.
      largest: Largest exponent, or one for each of several sums.
      smallest: Smallest exponent.
    """
    top = jnp.maximum((largest + jnp.uint32(23)) // 16, jnp.uint32(_WINDOW - 1))
    first = top.astype(jnp.int32) - (_WINDOW - 1)
    end = smallest.astype(jnp.int32)

    def unfinished(carry: Any) -> jax.Array:
        place, _ = carry
        return (16 * (place + _WINDOW) > end).any()

    def add_window(carry: Any) -> Any:
        place, total = carry
        sums = sums_at(place)
        place = place.reshape(place.shape or (1,) * (sums.ndim - 1))
        found = jnp.arange(len(sums), dtype=jnp.int32)
        found = place[None] + found.reshape(-1, *[1] * place.ndim)
        places = jnp.arange(_PLACES, dtype=jnp.int32)
        places = places.reshape(-1, *[1] * found.ndim)
        here = jnp.where(places == found[None], sums[None], jnp.int32(0))
        return carry[0] - _WINDOW, total + here.sum(axis=1, dtype=jnp.int32)

    shape = jax.eval_shape(sums_at, first).shape[1:]
    total = vary(jnp.zeros((_PLACES, *shape), jnp.int32), varying(first))
    _, total = lax.while_loop(unfinished, add_window, (first, total))
    return _signed_limbs(total)


def _as_floats(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return two float32 arrays whose sum is an array of integers."""
    low = values & jnp.asarray(0xFFFF, values.dtype)
    return (values - low).astype(jnp.float32), low.astype(jnp.float32)


def _fields(values: jax.Array) -> _Fields:
    """Return mantissa, exponent and sign bit, and the flags of what is no number.

    A value is mantissa * 2^exponent units. The mantissa of what is no number is 0.
    """
    word = bits(values)
    exponent = (word >> 23) & jnp.uint32(255)
    fraction = word & jnp.uint32(0x7FFFFF)
    negative = word >> 31
    zero = jnp.uint32(0)
    normal = exponent > 0
    mantissa = fraction | jnp.where(normal, jnp.uint32(1 << 23), zero)
    no_number = exponent == 255
    flags = jnp.where(fraction > 0, jnp.uint32(3), jnp.uint32(1) << negative)
    return _Fields(
        jnp.where(no_number, zero, mantissa),
        jnp.where(normal, exponent - jnp.uint32(1), zero),
        negative,
        jnp.where(no_number, flags, zero),
    )


def _window(values: jax.Array, base: jax.Array) -> list[jax.Array]:
    """Return the signed digits at the four places from the bit `base` on."""
    mantissa, exponent, negative, _ = _fields(values)
    # Shifts by 32 or more, or by a negative amount modulo 2^32, give 0.
    shift = exponent - lax.bitcast_convert_type(base, jnp.uint32)
    up, down = lax.shift_left, lax.shift_right_logical
    thirty_two = jnp.full_like(shift, 32)
    low = up(mantissa, shift) | down(mantissa, jnp.zeros_like(shift) - shift)
    high = up(mantissa, shift - thirty_two) | down(mantissa, thirty_two - shift)
    sign = jnp.where(negative > 0, jnp.int32(-1), jnp.int32(1))
    digits = (low & _LOW, low >> 16, high & _LOW, high >> 16)
    return [digit.astype(jnp.int32) * sign for digit in digits]


def _summed(digits: list[jax.Array], axes: Axes) -> jax.Array:
    """Return digits at as many places or more, whose sum is that over the axes."""
    while axes:
        digits, chosen, axes = _split(digits, axes)
        sums = lax.reduce(
            digits,
            [jnp.int32(0)] * len(digits),
            lambda a, b: [x + y for x, y in zip(a, b)],
            chosen,
        )
        summed = jnp.stack(sums)
        low, high = summed & jnp.int32(0xFFFF), summed >> 16
        zero = jnp.zeros_like(low[:1])
        digits = list(jnp.concatenate([low, zero]) + jnp.concatenate([zero, high]))
    return jnp.stack(digits)


def _split(digits: list[jax.Array], axes: Axes) -> tuple[list[jax.Array], Axes, Axes]:
    """Return the digits, the axes to reduce at once, and those that then remain.

    An axis that is too long is split in [outer, inner]; an axis that is sharded keeps
    its shards apart in the outer part.
    """
    chosen: list[int] = []
    room = _BLOCK
    shape = digits[0].shape
    for i in reversed(range(len(axes))):
        axis, size = axes[i], shape[axes[i]]
        if size <= room:
            chosen.append(axis)
            room //= max(size, 1)
            continue
        if chosen and room < _SHORTEST_BLOCK:
            return digits, tuple(sorted(chosen)), axes[: i + 1]
        parts = math.gcd(size, _SHARDS)
        length = size // parts
        inner = max(d for d in _divisors(length) if d <= room)
        padding = 0
        if inner < min(length, _SHORTEST_BLOCK):
            inner, padding = room, -length % room
        outer = parts * ((length + padding) // inner)
        split = (*shape[:axis], outer, inner, *shape[axis + 1 :])
        digits = [_padded(x, axis, parts, padding).reshape(split) for x in digits]
        # The outer part keeps the number of the axis, later ones move by one.
        now = (axis + 1, *(other + 1 for other in chosen))
        return digits, tuple(sorted(now)), axes[: i + 1]
    return digits, tuple(sorted(chosen)), ()


def _padded(digit: jax.Array, axis: int, parts: int, padding: int) -> jax.Array:
    """Return the digits with zeros at the end of each of the equal parts of an axis."""
    if not padding:
        return digit
    shape = digit.shape
    split = digit.reshape(*shape[:axis], parts, -1, *shape[axis + 1 :])
    widths = [(0, 0)] * split.ndim
    widths[axis + 1] = (0, padding)
    return jnp.pad(split, widths)


def _divisors(n: int) -> list[int]:
    small = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return small + [n // d for d in small]


def _limbs(digits: jax.Array) -> jax.Array:
    """Return the limbs of the sum of uint32 digits `[22, ...]` at all places."""
    low, high = digits & _LOW, digits >> 16
    high = jnp.concatenate([jnp.zeros_like(high[:1]), high[:-1]])
    low, high = (part[::2] | (part[1::2] << 16) for part in (low, high))
    return _add_limbs(low, high)


def _signed_limbs(digits: jax.Array) -> jax.Array:
    """Return the limbs of the sum of int32 digits, each below 2^30 in magnitude.

    2^30 is added to each digit, and all of that is taken away again.
    """
    above = lax.bitcast_convert_type(digits + jnp.int32(1 << 30), jnp.uint32)
    added = sum(1 << (30 + 16 * place) for place in range(_PLACES))
    taken = (-added % (1 << (32 * LIMBS))).to_bytes(4 * LIMBS, "little")
    constant = np.frombuffer(taken, "<u4").reshape(-1, *[1] * (digits.ndim - 1))
    limbs = _limbs(above)
    return _add_limbs(limbs, jnp.broadcast_to(constant, limbs.shape))


def _add_limbs(a: jax.Array, b: jax.Array) -> jax.Array:
    """Add the limbs of two integers modulo 2^352, without a loop over carries.

    A limb makes a carry if its sum wraps, and passes one on if its sum is all ones.
    With these as bits of two integers, an addition of the bits finds where carries
    arrive: it runs through the ones that pass on.
    """
    limbs = a + b
    number = _along(limbs).astype(jnp.uint32)
    zero = jnp.uint32(0)
    bit = jnp.uint32(1) << jnp.broadcast_to(number, limbs.shape)
    makes = jnp.where(limbs < a, bit, zero).sum(axis=0, dtype=jnp.uint32)
    passes = jnp.where(limbs == ~zero, bit, zero).sum(axis=0, dtype=jnp.uint32)
    arrives = ((makes << 1) + passes) ^ passes
    return limbs + ((arrives[None] >> number) & jnp.uint32(1))


def _along(like: jax.Array) -> jax.Array:
    """Return the numbers of the entries of the first axis, for broadcasting."""
    numbers = jnp.arange(like.shape[0], dtype=jnp.int32)
    return numbers.reshape(-1, *[1] * (like.ndim - 1))
