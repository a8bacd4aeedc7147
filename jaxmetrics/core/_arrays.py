"""Test if a value is an array on a device, is ready, or was deleted; number an axis."""

from __future__ import annotations

from typing import Any, TypeGuard

import jax
import numpy as np

from jaxmetrics.core._jax import is_tracer


def is_on_device(value: Any) -> TypeGuard[jax.Array]:
    """Return True for a jax array with values: no NumPy array, none that is traced."""
    return isinstance(value, jax.Array) and not is_tracer(value)


def is_deleted(value: Any) -> bool:
    """Return True for an array that was deleted, as donated ones are.

    False for any other value: numbers, NumPy arrays, traced arrays.

    >>> x = jax.numpy.ones(3)
    >>> x.delete()
    >>> is_deleted(x), is_deleted(1.0)
    (True, False)
    """
    if is_tracer(value):
        return False
    return bool(getattr(value, "is_deleted", bool)())


def is_ready(value: Any) -> bool:
    """Return True if reading a value does not wait for a device.

    True for deleted arrays too: reading them fails at once.
    """
    return not hasattr(value, "is_ready") or is_deleted(value) or value.is_ready()


def is_known(*sizes: Any) -> bool:
    """Return whether sizes are numbers, and not symbols of a function being exported.

    >>> is_known(*jax.numpy.ones((2, 3)).shape)
    True
    """
    return all(isinstance(size, int) for size in sizes)


def positions(length: int, rank: int) -> np.ndarray:
    """Return 0, 1, 2, ... along the last of `rank` axes, int32.

    >>> positions(3, 2)
    array([[0, 1, 2]], dtype=int32)
    """
    return np.arange(length, dtype=np.int32).reshape((1,) * (rank - 1) + (length,))
