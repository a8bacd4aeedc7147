"""Validate a step number."""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping
from typing import Any


def check_step(step: Any, call: str = "log_step", name: str = "step") -> int:
    """Return a step as an int.

    Args:
      step: The step that the user passed.
      call: Name of the called function, for the error.
      name: Name of the argument, for the error.

    Raises:
      TypeError: The step is not an integer on the host.
      ValueError: The step is negative, or has more than 64 bits.
    """
    jax = sys.modules.get("jax")
    on_device = jax is not None and isinstance(step, jax.Array)
    try:
        if isinstance(step, bool) or on_device:
            raise TypeError
        number = operator.index(step)
    except TypeError:  # NumPy arrays have `__index__`, which most of them refuse
        advice = "Count optimizer updates: 0, 1, 2."
        if on_device:
            advice = (
                "Count steps on the host; int(step) of a device value waits for it."
            )
        elif isinstance(step, Mapping) or hasattr(step, "compute"):
            advice = f"The step comes first: {call}(step, values)."
        elif isinstance(step, float) and step.is_integer():
            advice = f"Pass {int(step)}."
        raise TypeError(
            f"{call}() got a {name} of type {type(step).__name__}, expected an int. "
            f"{advice}"
        ) from None
    if number < 0:
        raise ValueError(
            f"{call}() got {name} {number}, expected the number of updates completed. "
            f"Count from 0; log_step() without a step takes the next one."
        )
    if number >= 2**63:
        raise ValueError(
            f"{call}() got {name} {number}, expected less than 2**63, the largest that "
            f"readers hold. Count optimizer updates."
        )
    return number


def can_be_followed(step: object) -> bool:
    """Return whether a value is a step after which there is another.

    The step of a damaged row may be any number.
    """
    return isinstance(step, int) and 0 <= step < 2**63 - 1
