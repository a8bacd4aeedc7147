"""Predictions beside targets: what the regression metrics share."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp


def paired(preds: Any, targets: Any) -> tuple[Any, Any]:
    """Predictions and targets as float32 arrays of one shape.

    Raises:
      ValueError: if the shapes differ; nothing is broadcast.
    """
    preds, targets = (jnp.asarray(x).astype(jnp.float32) for x in (preds, targets))
    if preds.shape != targets.shape:
        raise ValueError(
            f"preds have shape {preds.shape} and targets {targets.shape}; they must be "
            "alike. Reshape one of them: nothing is broadcast."
        )
    return preds, targets


def series(outputs: int | None) -> tuple[int, ...]:
    """The shape of sums that keep the last axis where outputs are told apart."""
    return () if outputs is None else (outputs,)


def check_outputs(who: str, outputs: int | None) -> None:
    """Refuse a number of outputs below 1."""
    if outputs is not None and outputs < 1:
        raise ValueError(
            f"{who}: outputs is None or the length of the last axis, got {outputs}."
        )
