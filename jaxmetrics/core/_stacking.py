"""States side by side, along a leading axis."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def stacked(state: Any, count: int) -> Any:
    """Several copies of a host state along a new leading axis, read-only."""
    return jax.tree.map(
        lambda x: np.broadcast_to(np.asarray(x), (count, *np.shape(x))), state
    )


def one_of(stack: Any, index: int) -> Any:
    """One of the states, or values, of a stack."""
    return jax.tree.map(lambda x: x[index], stack)


def put_at(stack: Any, index: Any, state: Any) -> Any:
    """The stack with one of its states replaced."""
    return jax.tree.map(lambda s, x: jnp.asarray(s).at[index].set(x), stack, state)


def take(stack: Any, order: Any) -> Any:
    """The stack's states in another order."""
    return jax.tree.map(lambda s: jnp.take(jnp.asarray(s), order, axis=0), stack)
