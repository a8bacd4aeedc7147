"""Checks and shapes that the regression metrics share."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp


def paired(preds: Any, targets: Any) -> tuple[Any, Any]:
    """Return predictions and targets as float32 arrays of one shape.

    Raises:
      ValueError: The shapes differ; nothing is broadcast.
    """
    preds, targets = (jnp.asarray(x).astype(jnp.float32) for x in (preds, targets))
    if preds.shape != targets.shape:
        raise ValueError(
            f"preds have shape {preds.shape} and targets {targets.shape}, but the "
            "shapes must be equal. Reshape one of them: nothing is broadcast."
        )
    return preds, targets


def series(outputs: int | None) -> tuple[int, ...]:
    """Return the shape of sums that keep the last axis if there are several outputs."""
    return () if outputs is None else (outputs,)


def check_outputs(metric: str, outputs: int | None) -> None:
    """Refuse a number of outputs below 1."""
    if outputs is not None and outputs < 1:
        raise ValueError(
            f"{metric}: outputs is None or the length of the last axis, got {outputs}. "
            "Leave it out to take all entries as one series."
        )
