"""Checks of arguments, padding and means that the losses share."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import Array, is_tracer, not_ignored


def one_for_each_token(values: Any) -> Any:
    """Return labels or a mask as an array, None as it is.

    A list becomes an array of NumPy: jax would cut integers of 64 bits to 32, so that a
    label out of range may be that of another class.
    """
    if values is None or hasattr(values, "dtype"):
        return values
    return np.asarray(values)


def kept_tokens(labels: Array, pad_id: int | None, mask: Array | None) -> Array:
    """Return which tokens count, bool of the labels' shape."""
    kept = jnp.ones_like(labels, bool)
    if pad_id is not None:
        kept &= not_ignored(labels, pad_id)
    if mask is not None:
        kept &= mask
    return kept


def mean_over_tokens(values: Array, kept: Array) -> Array:
    """Return the mean of the values that are kept, float32; nan if none are."""
    count = kept.sum(dtype=jnp.int32).astype(jnp.float32)
    return jnp.where(kept, values, 0).sum() / count


def require_floats(call: str, **arrays: Array) -> None:
    """Refuse arrays that are not floats.

    Raises:
      TypeError: One is not; the error names it.
    """
    for name, array in arrays.items():
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(
                f"{call} got {name} of {array.dtype}, expected floats. Pass the "
                f"outputs of the last layer."
            )


def require_tokens(
    call: str, name: str, array: Array, labels: Array, mask: Array | None
) -> None:
    """Refuse labels and masks that are not one for each row of the last axis.

    Args:
      call: Name of the function, for errors.
      name: Name of the array.
      array: Array `[..., entries]`.
      labels: Expected to be integers `[...]`.
      mask: Expected to be bool `[...]`.

    Raises:
      TypeError: The labels are not integers, or the mask not bool.
      ValueError: Shapes do not match.
    """
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"{call} got labels of {labels.dtype}, expected integer classes. Pass the "
            f"argmax of one-hot labels."
        )
    shape = array.shape[:-1]
    for argument, other in {"labels": labels, "mask": mask}.items():
        if other is not None and other.shape != shape:
            raise ValueError(
                f"{call} got {name} {array.shape} and {argument} {other.shape}, "
                f"expected {argument} {shape}. Shift and slice both in the same way."
            )
    if mask is not None and mask.dtype != bool:
        raise TypeError(
            f"{call} got a mask of {mask.dtype}, expected bool. Pass mask > 0."
        )


def is_used(weight: Any) -> bool:
    """Return whether a weight is not 0, or is not known before the step runs."""
    return is_tracer(weight) or bool(weight != 0)


def require_static(call: str, **numbers: Any) -> None:
    """Refuse numbers that are traced.

    Raises:
      TypeError: One is; the error names it.
    """
    for name, number in numbers.items():
        if is_tracer(number):
            raise TypeError(
                f"{call} got a traced {name}, expected a number that is static. Pass a "
                "Python number, or name the argument of your step in static_argnames."
            )


def require_smoothing(call: str, label_smoothing: float) -> None:
    """Refuse a smoothing outside [0, 1).

    Raises:
      ValueError: It is outside.
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(
            f"{call} got label_smoothing={label_smoothing}, expected a number in "
            f"[0, 1). Pass 0.1 to spread a tenth of the target."
        )
