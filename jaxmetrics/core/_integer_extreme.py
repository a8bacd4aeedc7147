"""Largest and smallest integers, exact for int32 and uint32, in two uint32 words.

The words are maxima, so that states merge, and shards reduce, word by word:

| values seen | words of a largest value | words of a smallest value |
|---|---|---|
| none | 0, 0 | 0, 0 |
| x below 0 | x + 2^31 + 1, 0 | 1 - x, 0 |
| x from 0 | 2^31 + 1, x | 1, 2^32 - 1 - x |

The first word tells whether there is a value, and which sign the extreme has; the
second word is that of the largest (or smallest) of the values that are not negative.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._labels import as_32bit_integers

Words = tuple[Any, Any]

_NOT_NEGATIVE = np.uint32(
    (1 << 31) + 1
)  # first word of a largest value that is not negative


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["words"],
    meta_fields=["largest"],
)
@dataclasses.dataclass(frozen=True, eq=False)
class IntegerExtreme:
    """The largest or smallest of some integers: what `maximum` returns of integers.

    Attributes:
      words: Two uint32 arrays; see the module.
      largest: False for a smallest value.
    """

    words: Words
    largest: bool


def integer_extreme(
    values: Any, valid: Any, axes: tuple[int, ...], largest: bool
) -> IntegerExtreme:
    """Return the largest or smallest valid integer along axes.

    Args:
      values: Integers; those of other widths count as int32, within its limits.
      valid: Bool of their shape.
      axes: Axes that are reduced.
      largest: False for the smallest.
    """
    words = words_of(jnp, values, largest)
    zero = jnp.uint32(0)
    first, second = (
        jnp.where(valid, word, zero).max(axis=axes, initial=zero) for word in words
    )
    return IntegerExtreme((first, second), largest)


def words_of(xp: Any, values: Any, largest: bool) -> Words:
    """Return the two words of each integer.

    Args:
      xp: numpy or jax.numpy.
      values: Integers from -2^31 to 2^32 - 1; of NumPy also int64.
      largest: False for the words of a smallest value.
    """
    values = xp.asarray(values)
    if values.dtype.itemsize != 4 and xp is jnp:
        values = as_32bit_integers(values)
    elif values.dtype.itemsize < 4:
        values = values.astype(np.int32)
    negative = values < 0
    bits = values.astype(np.uint32)  # modulo 2^32
    one, zero = np.uint32(1), np.uint32(0)
    with np.errstate(over="ignore"):
        if largest:
            offset = (bits ^ np.uint32(1 << 31)) + one
            first, second = xp.where(negative, offset, _NOT_NEGATIVE), bits
        else:
            first, second = xp.where(negative, one - bits, one), ~bits
    return first, xp.where(negative, zero, second)


def value_of(xp: Any, words: Words, largest: bool, wide: Any) -> tuple[Any, Any]:
    """Return the integer in a type that holds it, and whether there is one.

    Args:
      xp: numpy or jax.numpy.
      words: The two words.
      largest: False for the words of a smallest value.
      wide: Type of the result, such as int64, or float32 with rounding.
    """
    first, second = words
    one = np.uint32(1)
    with np.errstate(over="ignore"):
        if largest:
            bits, negative = (first - one) ^ np.uint32(1 << 31), first < _NOT_NEGATIVE
        else:
            bits, negative, second = one - first, first > one, ~second
    below = bits.astype(np.int32).astype(wide)
    value = xp.where(negative, below, second.astype(wide))
    return value, first > np.uint32(0)
