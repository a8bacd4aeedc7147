"""Values of a line of telemetry, as plain values with the digits of their type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

_ARRAYS = jax.Array | np.ndarray | np.generic


def plain(value: Any) -> Any:
    """Return arrays within lists and mappings as plain values, in the same order.

    Waits for arrays on devices. Floats of 32 bits or fewer become the shortest decimal
    number that a float32 rounds to the same value.

    >>> plain({"rate": np.float32(1e-5), "logits": np.float32([[0.1, 2]])})
    {'rate': 1e-05, 'logits': [[0.1, 2.0]]}
    """
    if isinstance(value, Mapping):
        return {name: plain(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if not isinstance(value, _ARRAYS):
        return value
    array = np.asarray(value)
    is_float = jax.numpy.issubdtype(array.dtype, jax.numpy.floating)
    if is_float and array.dtype.itemsize <= 4:
        array = array.astype(np.float32).astype(str).astype(np.float64)
    return array.tolist()


def is_scalar(value: Any) -> bool:
    """Return whether a value is a real number, or an array of rank 0 of one."""
    if isinstance(value, _ARRAYS):
        return value.ndim == 0 and _is_real(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def require_plain(name: str, value: Any) -> None:
    """Refuse what `plain` cannot convert, without waiting for arrays.

    Raises:
      TypeError: It is not a number, a string, None, an array of real numbers, or a list
        or mapping of these.
    """
    if isinstance(value, Mapping):
        for key, x in value.items():
            if not isinstance(key, str):
                raise _type_error(f"{name}[{key!r}]", key)
            require_plain(f"{name}[{key!r}]", x)
    elif isinstance(value, list | tuple):
        for i, x in enumerate(value):
            require_plain(f"{name}[{i}]", x)
    elif isinstance(value, _ARRAYS):
        if not _is_real(value) and value.dtype != bool:
            raise _type_error(name, value)
    elif value is not None and not isinstance(value, str | bool | int | float):
        raise _type_error(name, value)


def _is_real(array: Any) -> bool:
    kinds = jax.numpy.floating, jax.numpy.integer
    return any(jax.numpy.issubdtype(array.dtype, kind) for kind in kinds)


def _type_error(name: str, value: Any) -> TypeError:
    return TypeError(
        f"on_batch_end() got {name} of type {type(value).__name__}; expected numbers, "
        f"strings, None, arrays of real numbers, and lists and mappings of them. "
        f"Convert it first."
    )
