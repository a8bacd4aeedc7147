"""Two outputs of one shape, compared entry by entry."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def paired(
    metric: str, first: tuple[str, Any], second: tuple[str, Any]
) -> tuple[jax.Array, jax.Array]:
    """Return two arrays, of any type, by name for errors.

    Raises:
      ValueError: The shapes differ.
    """
    a, b = (jnp.asarray(x) for _, x in (first, second))
    if a.shape != b.shape:
        raise ValueError(
            f"{metric}: {first[0]} have shape {a.shape} and {second[0]} {b.shape}; the "
            "shapes must be equal. Pass one of each for every entry."
        )
    return a, b
