"""Decide in the step whether to skip an update."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.telemetry._norms import grad_norm


def skip_update(
    grads: Any,
    loss: Any = None,
    max_norm: float | None = None,
    axis: str | tuple[str, ...] | None = None,
) -> jax.Array:
    """Return whether to skip an update: a bool scalar, the same on all devices.

    True if the norm of the gradients is not finite or above `max_norm`, or if any
    element of the loss is not finite. The flag is computed in the step from global
    values, or with `axis` from those of all devices, so all processes agree.

    Args:
      grads: Gradients.
      loss: Loss, a scalar or one value per example.
      max_norm: Largest accepted norm. Default: any finite norm.
      axis: Inside `shard_map`, the mesh axes over which gradients or loss vary; if one
        device has a reason to skip, all skip. The norm that is compared with `max_norm`
        is that of the gradients of a device: pass whole gradients, not shards of them.

    Example:
      >>> params, new_params = {"w": jnp.zeros(2)}, {"w": jnp.ones(2)}
      >>> skip = skip_update({"w": jnp.array([1.0, jnp.nan])})
      >>> select = lambda new, old: jnp.where(skip, old, new)
      >>> jax.tree.map(select, new_params, params)["w"].tolist()
      [0.0, 0.0]
    """
    norm = grad_norm(grads)
    skip = ~jnp.isfinite(norm)
    if max_norm is not None:
        skip = skip | (norm > max_norm)
    if loss is not None:
        skip = skip | ~jnp.isfinite(jnp.asarray(loss)).all()
    if axis is not None:
        skip = lax.pmax(skip.astype(jnp.int32), axis) > 0
    return skip
