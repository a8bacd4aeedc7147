"""Hashes of 32-bit values, equal on every device and on the host."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

_GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio: successive salts lie far apart


def words(values: Any) -> Any:
    """Return integers as uint32 (two's complement), or floats as their float32 bits.

    Negative zero becomes zero.
    """
    if values.dtype.kind in "biu":
        return values.astype(jnp.uint32)
    values = values.astype(jnp.float32)
    values = jnp.where(values == 0, jnp.float32(0), values)
    return lax.bitcast_convert_type(values, jnp.uint32)


def mix(word: Any) -> Any:
    """Return a bijection of uint32 in which each output bit depends on all input bits.

    Zero stays zero, so add a constant first. For NumPy or jax arrays. This is triple32
    (Wellons, hash prospector, 2018), with an avalanche bias of 0.02; the finalizer of
    murmur3 has 0.23.
    """
    word = (word ^ (word >> 17)) * np.uint32(0xED5AD4BB)
    word = (word ^ (word >> 11)) * np.uint32(0xAC4C1B51)
    word = (word ^ (word >> 15)) * np.uint32(0x31848BAB)
    return word ^ (word >> 14)


def salted(word: Any, salt: int) -> Any:
    """Return a hash of the words, a different one for each salt."""
    return mix(word + np.uint32((2 * salt + 1) * _GOLDEN & 0xFFFFFFFF))


def require_integers(caller: str, name: str, values: Any) -> None:
    """Refuse values that are not integers."""
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"{caller}: {name} must be integers, got {values.dtype}. Convert with "
            ".astype(int32), or number the categories."
        )
