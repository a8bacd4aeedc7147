"""Checks and shapes that the regression metrics share."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import difference, divide, variance_or_nan

AVERAGES = ("uniform", "none")

_NOISE = 2.0**-40  # deviations of equal values from their mean are smaller, relative


def paired(preds: Any, targets: Any, outputs: int | None) -> tuple[Any, Any, Any]:
    """Return predictions, targets and `preds - targets`, float32 arrays of one shape.

    The difference of integers is taken before they are rounded to float32: 16777217 and
    16777216 differ by 1, although both are 16777216 in float32.

    Raises:
      ValueError: The shapes differ, nothing is broadcast; or the last axis does not
        have the length of the outputs.
    """
    preds, targets = jnp.asarray(preds), jnp.asarray(targets)
    if preds.shape != targets.shape:
        raise ValueError(
            f"preds have shape {preds.shape} and targets {targets.shape}, but the "
            "shapes must be equal. Reshape one of them: nothing is broadcast."
        )
    if outputs is not None and preds.shape[-1:] != (outputs,):
        raise ValueError(
            f"preds have shape {preds.shape}, but their last axis must be the "
            f"{outputs} outputs. Configure "
            f"outputs={preds.shape[-1] if preds.ndim else None}."
        )
    error = difference(preds, targets)
    return preds.astype(jnp.float32), targets.astype(jnp.float32), error


def series(outputs: int | None) -> tuple[int, ...]:
    """Return the shape of sums that keep the last axis if there are several outputs."""
    return () if outputs is None else (outputs,)


def check_outputs(
    metric: str,
    outputs: int | None,
    average: str,
    averages: tuple[str, ...] = AVERAGES,
) -> None:
    """Refuse a number of outputs below 1, and averages that are unknown or of nothing.

    Args:
      metric: Name of the metric.
      outputs: Number of outputs, or None.
      average: Average over the outputs.
      averages: Averages that the metric has.
    """
    if outputs is not None and outputs < 1:
        raise ValueError(
            f"{metric}: outputs is None or the length of the last axis, got {outputs}. "
            "Leave it out to take all entries as one series."
        )
    if average not in averages:
        raise ValueError(
            f"{metric}: average is {average!r}, but must be one of {averages}. Leave "
            "it out for the mean over the outputs."
        )
    if outputs is None and average != "uniform":
        raise ValueError(
            f"{metric}: average={average!r} needs the number of outputs; without it "
            "all entries are one series. Pass outputs=..."
        )


def check_stderr_by_output(metric: Any) -> None:
    """Refuse the standard error of a mean over outputs.

    The errors of the outputs of one example are not independent.
    """
    name = type(metric).__name__
    if metric.stderr and metric.outputs is not None and metric.average != "none":
        raise ValueError(
            f"{name}: stderr=True with outputs={metric.outputs} needs average='none', "
            "since errors of the outputs of one example belong together. Pass "
            "average='none'."
        )


def over_outputs(by_output: Any, outputs: int | None, average: str) -> Any:
    """Return the values by output, or their mean."""
    if outputs is None or average == "none":
        return by_output
    return by_output.mean(-1)


def variance_held(xp: Any, variance: Any, n: Any, mean: Any, equal: Any) -> Any:
    """Return a variance, 0 of equal values, and nan where float32 did not hold it.

    Args:
      xp: numpy or jax.numpy.
      variance: Variance, whose sum of squares was kept in float32.
      n: Number of the values, or sum of their weights.
      mean: Mean of the values.
      equal: Where the smallest value is the largest one in float32. Rounding may leave
        equal values a variance above 0, and may make unequal integers equal.
    """
    mean = xp.asarray(mean)
    equal = equal & ~(variance > (mean * _NOISE) ** 2)
    return variance_or_nan(variance, n, equal)


def mean_by_output(total: Any, count: Any, outputs: int | None, average: str) -> Any:
    """Return the mean of each output, or the mean of these."""
    return over_outputs(divide(total, count), outputs, average)
