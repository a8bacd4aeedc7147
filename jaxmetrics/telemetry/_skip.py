"""Whether an update is left out."""

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
    """Whether to leave an update out: a bool scalar, the same on all devices.

    True if the gradients' norm is not finite or above `max_norm`, or if any part of
    the loss is not finite. It is computed from the global values in the step, so no
    host decides for itself.

    Args:
      grads: Gradients.
      loss: The loss, a scalar or of each example.
      max_norm: The largest norm that is accepted; None accepts all finite ones.
      axis: Inside `shard_map`, the mesh axes over which gradients or loss vary; one
        device's reason is then a reason for all.

    Example:
      >>> params, new_params = {"w": jnp.zeros(2)}, {"w": jnp.ones(2)}
      >>> skip = skip_update({"w": jnp.array([1.0, jnp.nan])})
      >>> kept = lambda new, old: jnp.where(skip, old, new)
      >>> jax.tree.map(kept, new_params, params)["w"].tolist()
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
