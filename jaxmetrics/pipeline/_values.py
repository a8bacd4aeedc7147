"""Check the values of a `log_step` call and add them to a row under their full keys."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jaxmetrics.record import COUNT_FIELDS, key, scalar

if TYPE_CHECKING:
    from jaxmetrics.pipeline._row import Row


def add_scalars(row: Row, values: Mapping[str, Any]) -> list[Exception]:
    """Add scalars by name to a row; return the errors of those that are none."""
    errors: list[Exception] = []
    for name, value in values.items():
        try:
            full = name if name in COUNT_FIELDS else key(name, row.split)
            row.add(full, checked_scalar(name, value))
        except (TypeError, ValueError, RuntimeError) as error:
            errors.append(error)
    return errors


def add_metrics(row: Row, metrics: Any) -> list[Exception]:
    """Launch the reduction of a metric or collection, whose values the row fetches."""
    if not hasattr(metrics, "compute") or isinstance(metrics, type):
        return [
            TypeError(
                f"log_step() got metrics of type {type(metrics).__name__}, expected a "
                f"Metric, a Collection or a mapping. Log scalars by name: loss=loss."
            )
        ]
    from jaxmetrics.core import snapshot

    try:
        row.add_later(snapshot(metrics).compute)
    except Exception as error:
        return [
            RuntimeError(
                f"log_step() could not reduce metrics={type(metrics).__name__} "
                f"({error}). Log the metrics that the last step returned."
            )
        ]
    return []


def is_array(value: object) -> bool:
    """Return whether a value is an array of JAX, without importing JAX."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def checked_scalar(name: str, value: Any) -> object:
    """Return a Python number, or the array itself if it is a scalar on a device.

    Args:
      name: Name of the value in the call, for the error.
      value: A number of Python or NumPy, an array of rank 0, or a scalar of JAX.

    Raises:
      TypeError: The value is not a number, or is traced.
      RuntimeError: The array was deleted.
    """
    try:
        if not is_array(value):
            return scalar(value)
        from jaxmetrics.core import is_tracer  # JAX is loaded: this is its array

        if is_tracer(value):
            raise TypeError("a value within jit has no number yet")
        if value.ndim:
            raise TypeError(f"an array of shape {value.shape} is not a number")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"log_step() got {name!r}: {error}. Log scalars, after the compiled step; "
            f"pass a metric or a Collection as metrics=."
        ) from None
    if value.is_deleted():
        raise RuntimeError(
            f"log_step() got {name!r}, whose array was deleted, as donated arrays are. "
            f"Log a value that the step returns and that is not donated."
        )
    return value
