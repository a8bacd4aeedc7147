"""Scalars of a training loop that may still be computed on a device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jaxmetrics.core import is_deleted, is_on_device, is_tracer
from jaxmetrics.record import scalar

__all__ = ["checked_scalars", "fetch_scalars"]


def checked_scalars(call: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers as floats, and scalars on a device as they are.

    Args:
      call: Name of the called function, for the error.
      values: Numbers or arrays of one element, by name; None is an unknown value, which
        is left out.

    Raises:
      TypeError: A value is not a number, or is traced.
      RuntimeError: A value was deleted.
    """
    known = {name: value for name, value in values.items() if value is not None}
    return {name: _checked(call, name, value) for name, value in known.items()}


def fetch_scalars(
    call: str,
    batches: Iterable[Mapping[str, Any]],
    add: Callable[[str, float], object],
) -> None:
    """Pass the scalars of batches to a function, in order; waits for the device.

    Args:
      call: Name of the function that was called with them, for the error.
      batches: Results of `checked_scalars`.
      add: Called with the name and the number of each.

    Raises:
      RuntimeError: A value cannot be fetched; the others are passed nevertheless.
    """
    batches, faults = list(batches), []
    for batch in batches:  # start all copies before waiting for the first
        for value in batch.values():
            if is_on_device(value) and not is_deleted(value):
                value.copy_to_host_async()
    for batch in batches:
        for name, value in batch.items():
            try:
                number = float(scalar(value))
            except RuntimeError as error:
                faults.append(_deleted(call, name, str(error)))
            else:
                add(name, number)
    if faults:
        raise RuntimeError(faults[0])


def _checked(call: str, name: str, value: Any) -> Any:
    try:
        if is_tracer(value):
            raise TypeError("a value within jit has no number yet")
        if not hasattr(value, "is_ready"):
            return float(scalar(value))
        if math.prod(value.shape) != 1:
            raise TypeError(f"an array of shape {value.shape} is not a number")
        if is_on_device(value) and not _is_real(value.dtype.name):
            raise TypeError(f"an array of {value.dtype} is not a number")
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"{call}() got {name!r}: {error}. Log scalars, after the compiled step."
        ) from None
    if is_deleted(value):
        raise RuntimeError(_deleted(call, name, "it has been deleted"))
    return value


def _is_real(dtype: str) -> bool:
    return dtype.startswith(("bool", "int", "uint", "float", "bfloat"))


def _deleted(call: str, name: str, reason: str) -> str:
    return (
        f"{call}() got {name!r}, which cannot be fetched: {reason}. If the next step "
        f"donates it, log an output of the step that is not passed to it again."
    )
