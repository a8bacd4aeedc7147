"""Hashes of 32-bit values, the same on every device and on the host."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

_GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio: successive salts lie far apart


def words(values: Any) -> Any:
    """The 32 bits of integers (negative ones in two's complement) or of floats.

    Zero and negative zero are one value.
    """
    if values.dtype.kind in "biu":
        return values.astype(jnp.uint32)
    values = values.astype(jnp.float32)
    values = jnp.where(values == 0, jnp.float32(0), values)
    return lax.bitcast_convert_type(values, jnp.uint32)


def mix(word: Any) -> Any:
    """A bijection of uint32 whose every output bit depends on every input bit.

    Zero stays zero, so add something first. NumPy or jax arrays alike.
    Wellons's triple32 (hash prospector, 2018): the bias of its avalanche is 0.02, that
    of a murmur3 finaliser 0.23.
    """
    word = (word ^ (word >> 17)) * np.uint32(0xED5AD4BB)
    word = (word ^ (word >> 11)) * np.uint32(0xAC4C1B51)
    word = (word ^ (word >> 15)) * np.uint32(0x31848BAB)
    return word ^ (word >> 14)


def salted(word: Any, salt: int) -> Any:
    """A hash of words, another one for each salt, none of which is zero."""
    return mix(word + np.uint32((2 * salt + 1) * _GOLDEN & 0xFFFFFFFF))


def require_integers(who: str, name: str, values: Any) -> None:
    """Refuse values that are no integers."""
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"{who}: {name} are integers, got {values.dtype}. Convert with "
            ".astype(int32), or number the categories."
        )
