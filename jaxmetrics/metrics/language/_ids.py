"""Checks of integers that number something."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp


def require_ids(metric: str, name: str, ids: Any) -> None:
    """Refuse arrays that are not integers."""
    dtype = jnp.asarray(ids).dtype
    if not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(
            f"{metric}: {name} are {dtype}, but must be integers. Convert them with "
            ".astype(int32)."
        )
