"""Hashes of 32-bit values, equal on every device and on the host."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import mix

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


def salted(word: Any, salt: int) -> Any:
    """Return a hash of the words, a different one for each salt."""
    return mix(word + np.uint32((2 * salt + 1) * _GOLDEN & 0xFFFFFFFF))


def is_int32(values: Any) -> Any:
    """Return where integers are an int32; others exist with `jax_enable_x64` only."""
    return values.astype(jnp.int32).astype(values.dtype) == values


def is_uint32(values: Any) -> Any:
    """Return where integers are a uint32."""
    return values.astype(jnp.uint32).astype(values.dtype) == values


def require_int32(caller: str, name: str, values: Any) -> None:
    """Refuse values that are not integers, or uint32, which int32 results cut."""
    require_integers(caller, name, values)
    if values.dtype == jnp.uint32:
        raise TypeError(
            f"{caller}: {name} are uint32, but are returned as int32, which has no "
            "integers from 2^31 on. Convert with .astype(int32), by which those become "
            "negative."
        )


def require_integers(caller: str, name: str, values: Any) -> None:
    """Refuse values that are not integers."""
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"{caller}: {name} must be integers, got {values.dtype}. Convert with "
            ".astype(int32), or number the categories."
        )
